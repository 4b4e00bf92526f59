"""Settings that are known to hurt, each with its reason and its fix: as Django's system checks, a gauge, and events."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic, time_ns
from typing import Any, Final

from tidemark_django import kernel, native, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Point
from tidemark_django.encode import Event
from tidemark_django.native import gil_enabled

TOLD_AGAIN_S: Final = 3600.0
DEFAULT_POOL_SIZE: Final = 4
"""``min_size`` of psycopg_pool; ``max_size`` is the same unless it is given."""


@dataclass(frozen=True)
class Rule:
    """Why a setting hurts, and what to do. The README has the same words, compared by a test."""

    why: str
    fix: str


RULES: Final = {
    "tidemark.W001": Rule(
        "Under ASGI a request's thread ends with it, but its persistent connection stays open: the database runs out "
        "of connections",
        '`CONN_MAX_AGE = 0`, or a pool: `OPTIONS["pool"]`',
    ),
    "tidemark.W002": Rule(
        "Under gevent each greenlet has a connection of its own, and persistent ones stay open when it ends",
        "`CONN_MAX_AGE = 0`, or a pooler such as PgBouncer",
    ),
    "tidemark.W003": Rule(
        "More request threads than the database pool has connections: the others wait for one",
        "pool `max_size` of at least the threads of a worker",
    ),
    "tidemark.W004": Rule(
        "A pool without `max_size` never has more than its `min_size`, four connections",
        'name `min_size` and `max_size` in `OPTIONS["pool"]`',
    ),
    # Source: gunicorn's documentation, "How Many Workers?".
    "tidemark.W005": Rule(
        "More workers than twice the usable cores and one: they wait for a core, and each costs memory and connections",
        "fewer workers, or threads if requests wait for I/O",
    ),
    "tidemark.W006": Rule(
        "The kernel cut the configured backlog: connections beyond it are dropped while the server believes it has "
        "room",
        "raise `net.core.somaxconn`, or lower the backlog",
    ),
    "tidemark.W007": Rule(
        "With `DEBUG` every query is kept in memory and formatted", "`DEBUG = False` in what serves users"
    ),
    "tidemark.W008": Rule(
        "All workers together may open more connections than the database allows: the last ones are refused",
        "fewer workers or threads, a smaller pool in each, or a pooler such as PgBouncer",
    ),
    # Source: gunicorn's documentation of the setting `threads`: "generally in the 2-4 x $(NUM_CORES) range".
    "tidemark.W009": Rule(
        "More threads in a worker than four per usable core: they share one interpreter lock, and wait for it longer",
        "fewer threads in more workers",
    ),
    # Source: Django's documentation of the setting CONN_HEALTH_CHECKS.
    "tidemark.W010": Rule(
        "A persistent connection that the database has closed fails the next request that uses it",
        "`CONN_HEALTH_CHECKS = True`",
    ),
    # Source: the documentation of Channels, "Channel Layers".
    "tidemark.W011": Rule(
        "An in-memory channel layer ends at its process: messages do not reach the consumers of other workers",
        "`channels_redis`, or one worker",
    ),
}


@dataclass(frozen=True)
class Deployment:
    """How the project is served, as far as it is known; None is not known."""

    asgi: bool = False
    gevent: bool = False
    server: str = ""
    workers: int | None = None
    threads: int | None = None
    cores: float | None = None
    locked: bool = True
    """Whether its threads share an interpreter lock."""
    configured_backlog: int | None = None
    backlog_limit: float | None = None
    connection_limits: Mapping[str, int] = field(default_factory=dict)
    """Connections that the database of an alias allows to all its clients together."""


@dataclass(frozen=True)
class Finding:
    """One rule that this project breaks, and where."""

    id: str
    where: str

    @property
    def message(self) -> str:
        return f"{self.where}: {RULES[self.id].why}."

    @property
    def fix(self) -> str:
        return RULES[self.id].fix


def find(settings: Any, deployment: Deployment) -> list[Finding]:
    """What hurts in these settings under this deployment, less what the project silences."""
    silenced = set(getattr(settings, "SILENCED_SYSTEM_CHECKS", ()))
    found = [*_databases(settings, deployment), *_server(settings, deployment)]
    return [finding for finding in found if finding.id not in silenced]


def _databases(settings: Any, deployment: Deployment) -> Iterator[Finding]:
    for alias, database in (getattr(settings, "DATABASES", None) or {}).items():
        if not str(database.get("ENGINE", "")).strip() or "sqlite3" in database["ENGINE"]:
            continue
        pool = (database.get("OPTIONS") or {}).get("pool")
        name = f'DATABASES["{alias}"]'
        yield from _persistence(database, name, pool, deployment)
        size: int | None = None
        if pool:
            options = pool if isinstance(pool, dict) else {}
            size = options.get("max_size") or options.get("min_size") or DEFAULT_POOL_SIZE
            if not options.get("max_size"):
                yield Finding("tidemark.W004", f"{name} has a pool without max_size")
            if deployment.threads is not None and deployment.threads > size:
                yield Finding("tidemark.W003", f"{deployment.threads} threads, {name} has a pool of {size}")
        each, limit = size or _at_once(deployment), deployment.connection_limits.get(alias)
        if deployment.workers is not None and each is not None and limit:
            told = f"{deployment.workers} workers x {each} connections, {name} allows {limit}"
            if deployment.workers * each > limit:
                yield Finding("tidemark.W008", told)


def _persistence(database: Any, name: str, pool: Any, deployment: Deployment) -> Iterator[Finding]:
    age = database.get("CONN_MAX_AGE", 0)
    if age is not None and age <= 0:
        return
    if deployment.asgi and not pool:
        yield Finding("tidemark.W001", f"{name} has CONN_MAX_AGE = {age}")
    if deployment.gevent:
        yield Finding("tidemark.W002", f"{name} has CONN_MAX_AGE = {age}")
    if not database.get("CONN_HEALTH_CHECKS"):
        yield Finding("tidemark.W010", f"{name} has CONN_MAX_AGE = {age} without CONN_HEALTH_CHECKS")


def _at_once(deployment: Deployment) -> int | None:
    """Requests that one worker runs at once, and so its connections without a pool; None: there is no limit."""
    if deployment.asgi or deployment.gevent:
        return None
    return deployment.threads or (1 if deployment.server == "gunicorn-sync" else None)


def _server(settings: Any, deployment: Deployment) -> Iterator[Finding]:
    workers, threads, cores = deployment.workers, deployment.threads, deployment.cores
    if workers is not None and cores is not None and workers > 2 * cores + 1:
        yield Finding("tidemark.W005", f"{workers} workers on {cores:g} cores")
    if deployment.locked and threads is not None and cores is not None and threads > 4 * cores:
        yield Finding("tidemark.W009", f"{threads} threads in a worker on {cores:g} cores")
    wanted, limit = deployment.configured_backlog, deployment.backlog_limit
    if wanted is not None and limit is not None and limit < wanted:
        yield Finding("tidemark.W006", f"backlog {wanted} became {limit:g}")
    if deployment.server not in {"", "runserver"} and getattr(settings, "DEBUG", False):
        yield Finding("tidemark.W007", f"{deployment.server} serves with DEBUG = True")
    for alias, layer in (getattr(settings, "CHANNEL_LAYERS", None) or {}).items():
        if workers is not None and workers > 1 and str(layer.get("BACKEND", "")).endswith("InMemoryChannelLayer"):
            yield Finding("tidemark.W011", f'CHANNEL_LAYERS["{alias}"] is in memory, {workers} workers')


def register() -> None:
    """Adds the system checks of ``manage.py check --deploy``."""
    from django.core import checks

    def check(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
        from django.conf import settings

        asgi = bool(getattr(settings, "ASGI_APPLICATION", None))
        return [
            checks.Warning(finding.message, hint=finding.fix, id=finding.id)
            for finding in find(settings, Deployment(asgi=asgi, server="a deployment"))
        ]

    # The stub knows only checks without deploy.
    tag: Callable[..., Any] = checks.register
    tag(check, "tidemark", deploy=True)


def deployment_of(agent: Agent) -> Deployment:
    """How this process serves."""
    limits = [
        reading.capacity
        for resource in agent.resources
        if resource.kind == "listen_queue" and (reading := resource.read()) is not None and reading.capacity is not None
    ]
    # A socket handed over by systemd has the backlog it was opened with: only the kernel's own limit is a cut.
    limit = min(limits, default=None)
    return Deployment(
        asgi=bool(agent.loops) and not native.patched(),
        gevent=native.patched(),
        server=agent.server.name,
        workers=agent.server.workers,
        threads=agent.server.threads,
        cores=kernel.usable_cores(),
        locked=gil_enabled(),
        configured_backlog=agent.configured_backlog,
        backlog_limit=limit if limit is not None and limit == kernel.somaxconn() else None,
        connection_limits=dict(agent.connection_limits),
    )


class FindingsWatch:
    """Looks at each export: a finding is a gauge while it holds, and an event when it is new and each hour."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._told: dict[Finding, float] = {}

    def points(self) -> list[Point]:
        """A one for each finding of now."""
        from django.conf import settings

        found = find(settings, deployment_of(self._agent))
        for finding in found:
            self._tell(finding)
        return [
            Point(
                "tidemark.finding",
                (
                    (semconv.TIDEMARK_FINDING_ID, finding.id),
                    (semconv.TIDEMARK_FINDING_WHERE, finding.where),
                    (semconv.TIDEMARK_FINDING_WHY, RULES[finding.id].why),
                    (semconv.TIDEMARK_FINDING_FIX, finding.fix),
                ),
                1,
            )
            for finding in found
        ]

    def _tell(self, finding: Finding) -> None:
        now = monotonic()
        if finding in self._told and now - self._told[finding] < TOLD_AGAIN_S:
            return
        self._told[finding] = now
        self._agent.log_once(finding.id, "tidemark: %s: %s Fix: %s", finding.id, finding.message, finding.fix)
        attributes = {semconv.TIDEMARK_FINDING_ID: finding.id, semconv.TIDEMARK_FINDING_FIX: finding.fix}
        self._agent.event(Event(semconv.EVENT_TIDEMARK_FINDING, time_ns(), attributes, finding.message))
