import random
import re
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter, time_ns
from typing import Any, Final

from tidemark_django.net import last_data_age

TRACEPARENT: Final = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
MAX_QUERY_SPANS: Final = 100
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
NS_PER_S: Final = 1e9
NOTHING_BELOW: Final = (0.0, 0.0)


def known_method(method: str) -> str:
    """Methods outside the known set become ``_OTHER``, as OpenTelemetry wants it."""
    return method if method in METHODS else "_OTHER"


@dataclass(frozen=True, eq=False)
class Database:
    """What the measurements of a connection's queries are filed under. One object per alias, compared by identity."""

    alias: str
    system: str
    namespace: str
    configured: Any
    """``NAME`` as the settings had it when this was made."""
    number: int
    """What a :data:`QueryRecord` calls it."""


QueryRecord = tuple[float, float, int, Any, str | None, int, bool]
"""
A query: start, end, number of its database, SQL, error, rows (-1: not known), whether the SQL may carry values. Plain
values, so that the garbage collector does not follow what a request notes.
"""

INNER_PHASES: Final = ("db", "db_pool", "cache", "template", "middleware")
"""Phases within the view's time."""

RequestKind = tuple[str, str | None, int, str, str | None]
"""Method, Django's pattern, status, scheme, error."""

SOCKET_SOURCE: Final = "tcp_info"
"""``tidemark.queue.source`` of waits that the kernel told."""


class _Always:
    """
    What every request sets or is asked for. Slots, all set at once: reading a default from the class costs three times
    as much, and a default that is only set costs as much as a read.
    """

    __slots__ = (
        "_inner",
        "agent",
        "asynchronous",
        "cpu",
        "cpu_start",
        "end",
        "error",
        "finished",
        "key",
        "method",
        "pattern",
        "queried",
        "queries",
        "queue",
        "repeats",
        "request",
        "responded",
        "sampled",
        "scheme",
        "socket_info",
        "start",
        "status",
        "thread_id",
    )

    def __init__(self, agent: Any, method: str, scheme: str) -> None:
        self.start = perf_counter()
        self.agent = agent
        self.method = method
        self.scheme = scheme
        self.asynchronous = self.finished = self.sampled = False
        self._inner = self.queried = 0.0
        self.key = self.status = 0
        self.cpu: float | None = None
        self.cpu_start: float | None = None
        self.end: float | None = None
        self.error: str | None = None
        self.pattern: str | None = None
        self.queries: list[QueryRecord] | None = None
        self.queue: float | None = None
        self.repeats: dict[Any, Any] | None = None
        self.request: Any = None
        self.responded: float | None = None
        self.socket_info: bytes | None = None
        self.thread_id: int | None = None


class RequestState(_Always):
    """
    What one request has done so far.

    One object per request, shared by reference with every thread and task that works for it: a context variable
    rebound inside a copied context would lose what it counted. *pattern* is Django's own pattern of the route; *key*
    its place in the agent's table of requests; *queried* the seconds of its queries, kept apart from the other phases
    because each query adds to them. What few requests need has its default in the class.
    """

    below: tuple[float, float] = NOTHING_BELOW
    cache = 0.0
    db = 0.0
    db_pool = 0.0
    hops = 0
    middleware = 0.0
    parent_id = 0
    queries_before = 0
    """Queries that a request which runs very many has handed over already."""
    queue_source = ""
    runs: dict[Any, int] | None = None
    seen: tuple[float, float] | None = None
    """When the watch last looked at its thread, and how long that had computed then."""
    sites: dict[Any, Any] | None = None
    span_id = 0
    stalls = 0
    start_ns = 0
    task: Any = 0
    """The identity of its asyncio task, or its greenlet."""
    template = 0.0
    trace_id = 0

    def join(self, traceparent: str) -> None:
        """Joins the caller's trace, and takes its decision whether spans are sent."""
        match = TRACEPARENT.match(traceparent)
        if match:
            self.trace_id = int(match.group(1), 16)
            self.parent_id = int(match.group(2), 16)
            self.sampled = bool(int(match.group(3), 16) & 1)

    def ids(self) -> tuple[int, int]:
        """Trace id and span id, made when first needed."""
        if not self.trace_id:
            self.trace_id = random.getrandbits(128) or 1
        if not self.span_id:
            self.span_id = random.getrandbits(64) or 1
        return self.trace_id, self.span_id

    @property
    def inner(self) -> float:
        """Seconds of all inner phases so far."""
        return self._inner + self.queried

    def hand_over_queries(self, keep: int) -> list[QueryRecord]:
        """Takes all queries but the first *keep* off a request that runs very many."""
        held = self.queries or []
        taken = held[keep:]
        del held[keep:]
        self.queries_before += len(taken)
        return taken

    def queue_time(self) -> float | None:
        """Seconds the request waited before the application, if that is known."""
        if self.socket_info is not None:
            self.queue, self.queue_source = last_data_age(self.socket_info), SOCKET_SOURCE
            self.socket_info = None
        return self.queue

    def spend(self, phase: str, elapsed: float, inner_before: float) -> None:
        """
        Counts *elapsed* seconds to a phase, less what nested phases counted in the meantime.

        *inner_before* is :attr:`inner` when the phase began: a template that runs queries keeps only its own time.
        """
        own = elapsed - (self.inner - inner_before)
        if own > 0 and not self.finished:
            self.add(phase, own)

    def phases(self) -> dict[str, float]:
        """Seconds of the inner phases that took any."""
        own = {phase: getattr(self, phase) for phase in INNER_PHASES}
        own["db"] += self.queried
        return {phase: seconds for phase, seconds in own.items() if seconds}

    def add(self, phase: str, seconds: float) -> None:
        """Counts seconds that are a phase's own."""
        setattr(self, phase, getattr(self, phase) + seconds)
        self._inner += seconds

    def pattern_now(self) -> str | None:
        """The pattern as far as known while the view still runs: the request object has it once the resolver ran."""
        if self.pattern is None:
            match = getattr(self.request, "resolver_match", None)
            if match is not None:
                self.pattern = match.route
        return self.pattern

    def at_ns(self, moment: float) -> int:
        """Wall clock of a ``perf_counter`` moment. The first call ties the two clocks."""
        if not self.start_ns:
            self.start_ns = time_ns() - int((perf_counter() - self.start) * NS_PER_S)
        return self.start_ns + int((moment - self.start) * NS_PER_S)


current_request: ContextVar[RequestState | None] = ContextVar("tidemark_request", default=None)
