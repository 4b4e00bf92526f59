import logging
import os
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tidemark_django import native, semconv
from tidemark_django.agg import Attributes, Histogram, Point, Registry
from tidemark_django.config import Config
from tidemark_django.connections import Connections
from tidemark_django.encode import Event, Span
from tidemark_django.identity import Server, resource_attributes
from tidemark_django.request import QueryRecord, RequestKind, RequestState, known_method
from tidemark_django.saturation import Resource
from tidemark_django.unpooled import UnpooledConnections

if TYPE_CHECKING:
    from tidemark_django.database import QuerySeries, Repeat
    from tidemark_django.executors import ExecutorWatch
    from tidemark_django.http import RequestSeries
    from tidemark_django.loop import LoopWatch
    from tidemark_django.pools import PoolWatch
    from tidemark_django.threads import Threads
    from tidemark_django.unix_waits import UnixWaits

logger = logging.getLogger("tidemark")

MAX_ROUTES: Final = 300
MAX_PENDING_EVENTS: Final = 200
MAX_PENDING_SPANS: Final = 5000
OTHER: Final = "_other"


class Agent:
    """
    Everything one serving process measures. Made after fork, in the process that serves, and never handed to a child.

    Hooks reach it through :mod:`tidemark_django.runtime`; without one they do nothing.
    """

    def __init__(self, config: Config, server: Server) -> None:
        self.config = config
        self.server = server
        self.pid = os.getpid()
        self.thread_clock = not native.patched()
        """Whether a thread's stack and processor time are one request's: not where greenlets share it."""
        self.started_at = time.time()
        self.clock_ns = time.time_ns() - time.perf_counter_ns()
        """What to add to a moment of ``perf_counter``, in nanoseconds, for the wall clock's."""
        self.registry = Registry()
        self.identity = resource_attributes(config, server)
        self.requests: dict[int, RequestState] = {}
        self.native_ids: dict[int, int] = {}
        """The kernel's ids of threads that a server made outside of Python, by Python's."""
        self.finished: deque[RequestState] = deque()
        self.served = 0
        """Requests that were recorded."""
        self.loose_queries: deque[tuple[str | None, list[QueryRecord]]] = deque()
        self.repeats: dict[tuple[str | None, Any], Repeat | None] = {}
        self.repeats_from = max(1, config.n_plus_one - 1)
        """Queries of one request from which repeats are looked for: one before N+1 can be."""
        self.cpu_due = 0.0
        """Moment from which the next request's processor time is measured."""
        self.http_series: dict[RequestKind, RequestSeries] = {}
        self.query_series: dict[tuple[int, Any, str | None, str | None], QuerySeries] = {}
        self.connect_series: dict[tuple[int, str], Histogram] = {}
        self.methods: set[tuple[str, str]] = set()
        self.drain_lock = native.lock()
        self.events: deque[Event] = deque(maxlen=MAX_PENDING_EVENTS)
        self.spans: deque[Span] = deque(maxlen=MAX_PENDING_SPANS)
        self.request_resource: Resource | None = None
        self.configured_backlog: int | None = None
        self.request_limit: float | None = None
        """Seconds after which the server ends a worker that is still in one request, without a word to it."""
        self.socket_resource: Resource | None = None
        """What takes requests straight from the socket: their wait in the socket is the wait for it."""
        self.socket_wait: Callable[[Any], float | None] | None = None
        """Seconds since the client's last bytes, for servers whose requests do not carry their socket."""
        self.stamped_wait: Callable[[Any], float | None] | None = None
        """Seconds since the server's own stamp of when it had the request, for servers that put one into it."""
        self.unix_waits: UnixWaits | None = None
        """Of the Unix sockets that this process listens on."""
        self.client_socket: Callable[[Any], Any] | None = None
        """A request's socket, or its descriptor, for servers that tell it in their own way."""
        self.pools: dict[int, PoolWatch] = {}
        self.unpooled = UnpooledConnections(self)
        self.connection_limits: dict[str, int] = {}
        """Connections that the database of an alias allows to all its clients; 0 where it did not tell."""
        self.executors: dict[str, ExecutorWatch] = {}
        self.loops: list[LoopWatch] = []
        self.connections = Connections()
        self.threads: Threads | None = None
        self._resources: list[Resource] = []
        self._routes: dict[str, str] = {}
        self._lock = native.lock()
        self._told: set[str] = set()
        self.agent_threads: dict[str, int] = {}
        self.agent_cpu: dict[str, float] = {}

    @property
    def resources(self) -> list[Resource]:
        with self._lock:
            return list(self._resources)

    def add(self, resource: Resource) -> Resource:
        """Takes a resource into the sampling; gives it back."""
        with self._lock:
            self._resources.append(resource)
        return resource

    def resource(self, kind: str, name: str) -> Resource | None:
        """The resource of that kind and name, if there is one."""
        return next((item for item in self.resources if item.kind == kind and item.name == name), None)

    def histogram(self, metric: str, *attributes: tuple[str, str | int]) -> Histogram:
        return self.registry.histogram(metric, attributes)

    def count(self, metric: str, *attributes: tuple[str, str | int], by: float = 1) -> None:
        self.registry.counter(metric, attributes).add(by)

    def proxied(self, seconds: float | None) -> None:
        """Notes what passed since a proxy's stamp, for a request whose wait in the socket is known too."""
        if seconds is not None:
            name = "tidemark.http.server.queue.duration"
            self.histogram(name, (semconv.TIDEMARK_QUEUE_SOURCE, "header")).record(seconds)

    def route(self, pattern: str) -> str:
        """The template of one of Django's patterns, for the first 300 of a process; then ``_other``."""
        found = self._routes.get(pattern)
        if found is None:
            template = route_template(pattern)
            with self._lock:
                known = len(self._routes) < MAX_ROUTES or pattern in self._routes
                found = self._routes.setdefault(pattern, template) if known else OTHER
        return found

    def event(self, event: Event) -> None:
        """Queues an event; the oldest gives way when too many wait."""
        if len(self.events) == MAX_PENDING_EVENTS:
            self.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, "events_full"))
        self.events.append(event)

    def span(self, span: Span) -> None:
        """Queues a span; the oldest gives way when too many wait."""
        if len(self.spans) == MAX_PENDING_SPANS:
            self.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, "spans_full"))
        self.spans.append(span)

    def failed(self, part: str, error: BaseException) -> None:
        """Notes an exception of our own: counted each time, logged the first time. Never raises."""
        self.count("tidemark.agent.errors", (semconv.TIDEMARK_AGENT_PART, part))
        self.log_once(part, "tidemark: %s failed and is counted from now on: %r", part, error)

    def not_as_expected(self, part: str, what: str) -> None:
        """Notes that the inside of a server or driver is not what the adapter knows; its numbers stay absent."""
        self.count("tidemark.agent.adapter_errors", (semconv.TIDEMARK_AGENT_PART, part))
        self.log_once(
            f"{part}.{what}", "tidemark: %s: %s is not available, numbers that need it are absent", part, what
        )

    def log_once(self, key: str, message: str, *arguments: object) -> None:
        with self._lock:
            first = key not in self._told
            self._told.add(key)
        if first:
            logger.warning(message, *arguments)

    def active_requests(self) -> list[Point]:
        """Requests in flight by method and scheme, zero for those seen before."""
        live = Tally((known_method(state.method), state.scheme) for state in list(self.requests.values()))
        return [
            Point(
                "http.server.active_requests",
                _attributes((semconv.HTTP_REQUEST_METHOD, method), (semconv.URL_SCHEME, scheme)),
                live[method, scheme],
            )
            for method, scheme in sorted(self.methods | live.keys())
        ]


def _attributes(*pairs: tuple[str, str]) -> Attributes:
    return pairs


def route_template(pattern: str) -> str:
    """
    Django's pattern in the form of OpenTelemetry, with its leading slash.

    >>> route_template("books/<int:pk>/"), route_template("^old/(?P<pk>[0-9]+)$"), route_template("")
    ('/books/<int:pk>/', '/old/(?P<pk>[0-9]+)', '/')
    """
    return "/" + pattern.removeprefix("^").removesuffix("$").lstrip("/")
