"""Settings that are known to hurt, each with its reason and its fix: as Django's system checks, and as events."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import time_ns
from typing import Any, Final

from tidemark_django import kernel, native, semconv
from tidemark_django.agent import Agent
from tidemark_django.encode import Event

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
    configured_backlog: int | None = None
    backlog_limit: float | None = None


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
        age = database.get("CONN_MAX_AGE", 0)
        persistent = age is None or age > 0
        name = f'DATABASES["{alias}"]'
        if deployment.asgi and persistent and not pool:
            yield Finding("tidemark.W001", f"{name} has CONN_MAX_AGE = {age}")
        if deployment.gevent and persistent:
            yield Finding("tidemark.W002", f"{name} has CONN_MAX_AGE = {age}")
        if pool:
            options = pool if isinstance(pool, dict) else {}
            size = options.get("max_size") or options.get("min_size") or DEFAULT_POOL_SIZE
            if not options.get("max_size"):
                yield Finding("tidemark.W004", f"{name} has a pool without max_size")
            if deployment.threads is not None and deployment.threads > size:
                yield Finding("tidemark.W003", f"{deployment.threads} threads, {name} has a pool of {size}")


def _server(settings: Any, deployment: Deployment) -> Iterator[Finding]:
    workers, cores = deployment.workers, deployment.cores
    if workers is not None and cores is not None and workers > 2 * cores + 1:
        yield Finding("tidemark.W005", f"{workers} workers on {cores:g} cores")
    wanted, limit = deployment.configured_backlog, deployment.backlog_limit
    if wanted is not None and limit is not None and limit < wanted:
        yield Finding("tidemark.W006", f"backlog {wanted} became {limit:g}")
    if deployment.server not in {"", "runserver"} and getattr(settings, "DEBUG", False):
        yield Finding("tidemark.W007", f"{deployment.server} serves with DEBUG = True")


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
        configured_backlog=agent.configured_backlog,
        backlog_limit=limit if limit is not None and limit == kernel.somaxconn() else None,
    )


def report(agent: Agent) -> None:
    """Sends each finding of this process as an event, and writes it to the log once."""
    from django.conf import settings

    for finding in find(settings, deployment_of(agent)):
        agent.log_once(finding.id, "tidemark: %s: %s Fix: %s", finding.id, finding.message, finding.fix)
        attributes = {semconv.TIDEMARK_FINDING_ID: finding.id, semconv.TIDEMARK_FINDING_FIX: finding.fix}
        agent.event(Event(semconv.EVENT_TIDEMARK_FINDING, time_ns(), attributes, finding.message))
