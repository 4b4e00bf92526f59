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


class RequestState:
    """
    What one request has done so far.

    One object per request, shared by reference with every thread and task that works for it: a context variable
    rebound inside a copied context would lose what it counted. Slots, all set at once: reading a default from the
    class cost three times as much. *pattern* is Django's own pattern of the route; *queries_before* counts the queries
    that a request which runs very many has handed over already; *counted* how many of those held are in :attr:`inner`;
    *key* is its place in the agent's table of requests; *seen* is when the watch last looked at its thread, and how
    long that had computed then; *task* is the identity of its asyncio task, or its greenlet.
    """

    __slots__ = (
        "_inner",
        "agent",
        "asynchronous",
        "below",
        "cache",
        "counted",
        "cpu",
        "cpu_start",
        "db",
        "db_pool",
        "end",
        "error",
        "finished",
        "hops",
        "key",
        "method",
        "middleware",
        "parent_id",
        "pattern",
        "queries",
        "queries_before",
        "queue",
        "queue_source",
        "repeats",
        "request",
        "responded",
        "runs",
        "sampled",
        "scheme",
        "seen",
        "sites",
        "socket_info",
        "span_id",
        "stalls",
        "start",
        "start_ns",
        "status",
        "task",
        "template",
        "thread_id",
        "trace_id",
    )

    def __init__(self, agent: Any, method: str, scheme: str) -> None:
        self.start = perf_counter()
        self.agent = agent
        self.method = method
        self.scheme = scheme
        self.asynchronous = self.finished = self.sampled = False
        self.below = NOTHING_BELOW
        self.cache = self.db = self.db_pool = self._inner = self.middleware = self.template = 0.0
        self.counted = self.hops = self.key = self.parent_id = self.queries_before = self.span_id = self.stalls = 0
        self.start_ns = self.status = self.trace_id = 0
        self.task: Any = 0
        self.cpu: float | None = None
        self.cpu_start: float | None = None
        self.end: float | None = None
        self.error: str | None = None
        self.pattern: str | None = None
        self.queries: list[QueryRecord] | None = None
        self.queue: float | None = None
        self.queue_source = ""
        self.repeats: dict[Any, Any] | None = None
        self.request: Any = None
        self.responded: float | None = None
        self.runs: dict[Any, int] | None = None
        self.seen: tuple[float, float] | None = None
        self.sites: dict[Any, Any] | None = None
        self.socket_info: bytes | None = None
        self.thread_id: int | None = None

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
        """Seconds of all inner phases so far. Queries are only noted when they end, and added up here."""
        queries = self.queries
        if queries is not None and len(queries) > self.counted:
            self._count_queries(queries)
        return self._inner

    def _count_queries(self, queries: list[QueryRecord]) -> None:
        """A query that an execute wrapper runs within another is noted before it, and is part of its time."""
        noted, self.counted = queries[self.counted :], len(queries)
        total, begun = 0.0, float("inf")
        for query in reversed(noted):
            if query[0] < begun:
                total += min(query[1], begun) - query[0]
                begun = query[0]
        self.db += total
        self._inner += total

    def hand_over_queries(self, keep: int) -> list[QueryRecord]:
        """Takes all queries but the first *keep* off a request that runs very many."""
        held = self.queries or []
        if len(held) > self.counted:
            self._count_queries(held)
        taken = held[keep:]
        del held[keep:]
        self.counted = len(held)
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
