import random
import re
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter, time_ns
from types import CodeType
from typing import Any, Final

from tidemark_django.statements import Statement

TRACEPARENT: Final = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
MAX_QUERY_SPANS: Final = 100
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
NS_PER_S: Final = 1e9


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


QueryRecord = tuple[float, float, Database, Statement, str | None]
"""A query: start, end, database, statement, error. A plain tuple: one is made for every query."""

RequestKind = tuple[str, str | None, int, str, str | None]
"""Method, route, status, scheme, error."""

FinishedRequest = tuple[
    RequestKind, float, float, float, tuple[tuple[str, float], ...], float | None, str, float | None, int, int | None
]
"""Kind, duration, seconds of sending and of inner phases, these phases, queue, its source, CPU, queries, hops."""


class RequestState:
    """
    What one request has done so far.

    One object per request, shared by reference with every thread and task that works for it: a context variable
    rebound inside a copied context would lose what it counted. What a request does not use stays on the class, so
    that making one of these costs little.
    """

    agent: Any = None
    asynchronous = False
    cpu_start: float | None = None
    end: float | None = None
    error: str | None = None
    finished = False
    hops = 0
    inner = 0.0
    parent_id = 0
    queries = 0
    query_spans: list[QueryRecord] | None = None
    queue: float | None = None
    queue_source = ""
    request: Any = None
    responded: float | None = None
    route: str | None = None
    sampled = False
    sites: dict[Statement, tuple[CodeType, int] | None] | None = None
    span_id = 0
    stalls = 0
    start_ns = 0
    statements: dict[Statement, int] | None = None
    status = 0
    thread_id: int | None = None
    trace_id = 0

    def __init__(self, method: str, scheme: str) -> None:
        self.start = perf_counter()
        self.method = method
        self.scheme = scheme
        self.phases: dict[str, float] = {}

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

    def spend(self, phase: str, elapsed: float, inner_before: float) -> None:
        """
        Counts *elapsed* seconds to a phase, less what nested phases counted in the meantime.

        *inner_before* is :attr:`inner` when the phase began: a template that runs queries keeps only its own time.
        """
        own = elapsed - (self.inner - inner_before)
        if own > 0 and not self.finished:
            self.phases[phase] = self.phases.get(phase, 0.0) + own
            self.inner += own

    def at_ns(self, moment: float) -> int:
        """Wall clock of a ``perf_counter`` moment. The first call ties the two clocks."""
        if not self.start_ns:
            self.start_ns = time_ns() - int((perf_counter() - self.start) * NS_PER_S)
        return self.start_ns + int((moment - self.start) * NS_PER_S)


current_request: ContextVar[RequestState | None] = ContextVar("tidemark_request", default=None)
