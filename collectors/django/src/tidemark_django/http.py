"""From the first line of a request to its measurements: shared by the WSGI and the ASGI side."""

from time import perf_counter, thread_time
from typing import Any, Final

from tidemark_django import semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Attributes, AttributeValue, Histogram, Registry
from tidemark_django.encode import Span
from tidemark_django.request import RequestState, current_request

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
FIRST_SERVER_ERROR: Final = 500
MAX_KINDS: Final = 2000


def begin(agent: Agent, state: RequestState, traceparent: str | None) -> None:
    """Registers a request as in flight."""
    if agent.config.traces:
        state.trace(traceparent, agent.config.trace_ratio)
    agent.methods.add((state.method, state.scheme))
    agent.requests[id(state)] = state


def known_method(method: str) -> str:
    """Methods outside the known set become ``_OTHER``, as OpenTelemetry wants it."""
    return method if method in METHODS else "_OTHER"


def note_response(agent: Agent, state: RequestState, request: Any, response: Any) -> None:
    """Takes route and status from Django once a view has answered."""
    state.responded = perf_counter()
    state.status = response.status_code
    match = getattr(request, "resolver_match", None)
    if match is not None and match.route is not None:
        state.route = agent.route(match.route)


def finish(agent: Agent, state: RequestState, error: BaseException | None = None) -> None:
    """Records a finished request. Does so once, however often it is called, and never raises."""
    if state.finished:
        return
    state.finished = True
    state.request = None
    try:
        agent.requests.pop(id(state), None)
        if current_request.get() is state:
            current_request.set(None)
        _record(agent, state, error)
    except Exception as failure:
        agent.failed("http", failure)


def _record(agent: Agent, state: RequestState, error: BaseException | None) -> None:
    end = state.end if state.end is not None else perf_counter()
    duration = end - state.start
    if error is not None:
        state.error = type(error).__name__
    elif state.status >= FIRST_SERVER_ERROR:
        state.error = str(state.status)
    series = agent.http_series.get((state.method, state.route, state.status, state.scheme, state.error))
    if series is None:
        series = _add_series(agent, state)
    series.duration.record(duration)

    phases = state.phases
    if state.responded is not None:
        sending = end - state.responded
        view = state.responded - state.start - state.inner
        if sending > 0:
            phases["send"] = sending
    else:
        view = duration - state.inner
    phases["view"] = view if view > 0 else 0.0
    if state.queue is not None:
        phases["queue"] = state.queue
        series.queue(state.queue_source).record(state.queue)
    for phase, seconds in phases.items():
        series.phase(phase).record(seconds)
    if state.cpu_start is not None:
        series.get("tidemark.http.server.cpu.duration").record(thread_time() - state.cpu_start)
    if state.queries:
        series.get("tidemark.db.queries_per_request").record(state.queries)
    if state.asynchronous:
        series.get("tidemark.asgiref.hops").record(state.hops)
    if agent.config.traces and (state.sampled or state.error is not None or duration >= agent.config.slow_request):
        _keep_spans(agent, state, end)


class RequestSeries:
    """The histograms of one kind of request, kept so that a request builds no attributes: half of what it cost."""

    __slots__ = ("_by_route", "_found", "_registry", "duration")

    def __init__(self, registry: Registry, attributes: Attributes, by_route: Attributes) -> None:
        self._registry = registry
        self._by_route = by_route
        self._found: dict[str, Histogram] = {}
        self.duration = registry.histogram("http.server.request.duration", attributes)

    def get(self, metric: str) -> Histogram:
        """A histogram by route alone."""
        found = self._found.get(metric)
        if found is None:
            found = self._found[metric] = self._registry.histogram(metric, self._by_route)
        return found

    def phase(self, phase: str) -> Histogram:
        """Time the request spent in a phase."""
        found = self._found.get(phase)
        if found is None:
            attributes = (*self._by_route, (semconv.TIDEMARK_PHASE, phase))
            found = self._found[phase] = self._registry.histogram("tidemark.http.server.phase.duration", attributes)
        return found

    def queue(self, source: str) -> Histogram:
        """Wait before the application, by how it was measured."""
        found = self._found.get(source)
        if found is None:
            attributes = (*self._by_route, (semconv.TIDEMARK_QUEUE_SOURCE, source))
            found = self._found[source] = self._registry.histogram("tidemark.http.server.queue.duration", attributes)
        return found


def _add_series(agent: Agent, state: RequestState) -> RequestSeries:
    by_route: Attributes = ((semconv.HTTP_ROUTE, state.route),) if state.route is not None else ()
    attributes: Attributes = (
        (semconv.HTTP_REQUEST_METHOD, state.method),
        *by_route,
        (semconv.URL_SCHEME, state.scheme),
    )
    if state.status:
        attributes += ((semconv.HTTP_RESPONSE_STATUS_CODE, state.status),)
    if state.error is not None:
        attributes += ((semconv.ERROR_TYPE, state.error),)
    series = RequestSeries(agent.registry, attributes, by_route)
    if len(agent.http_series) < MAX_KINDS:
        agent.http_series[state.method, state.route, state.status, state.scheme, state.error] = series
    return series


def _keep_spans(agent: Agent, state: RequestState, end: float) -> None:
    trace_id, span_id = state.ids()
    attributes: dict[str, AttributeValue] = {
        semconv.HTTP_REQUEST_METHOD: state.method,
        semconv.URL_SCHEME: state.scheme,
    }
    if state.route is not None:
        attributes[semconv.HTTP_ROUTE] = state.route
    if state.status:
        attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = state.status
    if state.error is not None:
        attributes[semconv.ERROR_TYPE] = state.error
    for phase, seconds in state.phases.items():
        attributes[f"{semconv.TIDEMARK_PHASE}.{phase}"] = seconds
    name = f"{state.method} {state.route}" if state.route else state.method
    agent.span(
        Span(
            name,
            trace_id,
            span_id,
            state.parent_id,
            True,
            state.start_ns,
            state.at_ns(end),
            attributes,
            state.error is not None,
        )
    )
    for number, query in enumerate(state.query_spans, start=1):
        details: dict[str, AttributeValue] = {
            semconv.DB_SYSTEM_NAME: query.system,
            semconv.DB_NAMESPACE: query.namespace,
            semconv.DB_OPERATION_NAME: query.statement.operation,
            semconv.DB_QUERY_SUMMARY: query.statement.summary,
            semconv.DB_QUERY_TEXT: query.statement.text,
            semconv.TIDEMARK_DB_ALIAS: query.alias,
        }
        if query.error is not None:
            details[semconv.ERROR_TYPE] = query.error
        agent.span(
            Span(
                query.statement.summary,
                trace_id,
                (span_id + number) % 2**64 or 1,
                span_id,
                False,
                state.at_ns(query.start),
                state.at_ns(query.end),
                details,
                query.error is not None,
            )
        )
