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
NS_PER_S: Final = 1e9


@dataclass(frozen=True)
class QueryRecord:
    """One query of a request, kept until it is known whether the request's spans are sent."""

    start: float
    end: float
    alias: str
    system: str
    namespace: str
    statement: Statement
    error: str | None


class RequestState:
    """
    What one request has done so far.

    One object per request, shared by reference with every thread and task that works for it: a context variable
    rebound inside a copied context would lose what it counted.
    """

    __slots__ = (
        "asynchronous",
        "cpu_start",
        "end",
        "error",
        "finished",
        "hops",
        "inner",
        "method",
        "parent_id",
        "phases",
        "queries",
        "query_spans",
        "queue",
        "queue_source",
        "request",
        "responded",
        "route",
        "sampled",
        "scheme",
        "sites",
        "span_id",
        "stalls",
        "start",
        "start_ns",
        "statements",
        "status",
        "thread_id",
        "trace_id",
    )

    def __init__(self, method: str, scheme: str, *, asynchronous: bool) -> None:
        self.start = perf_counter()
        self.start_ns = time_ns()
        self.method = method
        self.scheme = scheme
        self.asynchronous = asynchronous
        self.route: str | None = None
        self.status = 0
        self.error: str | None = None
        self.queue: float | None = None
        self.queue_source = ""
        self.phases: dict[str, float] = {}
        self.inner = 0.0
        self.queries = 0
        self.request: Any = None
        self.statements: dict[str, int] = {}
        self.sites: dict[str, tuple[CodeType, int] | None] = {}
        self.query_spans: list[QueryRecord] = []
        self.hops = 0
        self.stalls = 0
        self.cpu_start: float | None = None
        self.thread_id: int | None = None
        self.responded: float | None = None
        self.end: float | None = None
        self.finished = False
        self.sampled = False
        self.trace_id = 0
        self.span_id = 0
        self.parent_id = 0

    def trace(self, traceparent: str | None, ratio: float) -> None:
        """Joins the caller's trace, or begins one; decides whether its spans are sent however it goes."""
        match = TRACEPARENT.match(traceparent) if traceparent else None
        if match:
            self.trace_id = int(match.group(1), 16)
            self.parent_id = int(match.group(2), 16)
            self.sampled = bool(int(match.group(3), 16) & 1)
        else:
            self.sampled = random.random() < ratio

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
        if own > 0:
            self.phases[phase] = self.phases.get(phase, 0.0) + own
            self.inner += own

    def at_ns(self, moment: float) -> int:
        """Wall clock of a ``perf_counter`` moment."""
        return self.start_ns + int((moment - self.start) * NS_PER_S)


current_request: ContextVar[RequestState | None] = ContextVar("tidemark_request", default=None)
