"""
From the first line of a request to its measurements: shared by the WSGI and the ASGI side.

A request only notes moments; :func:`drain` makes measurements of them, many requests at a time, in the agent's
thread four times a second. Done in the request, with the processor's caches full of other code, it cost four times as
much.
"""

from collections import Counter as Tally
from itertools import chain
from random import random
from time import perf_counter, thread_time, time_ns
from typing import TYPE_CHECKING, Any, Final

from tidemark_django import database, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Attributes, AttributeValue, Histogram, Registry
from tidemark_django.encode import Event, Span
from tidemark_django.net import last_data_ages
from tidemark_django.request import (
    MAX_QUERY_SPANS,
    SOCKET_SOURCE,
    RequestKind,
    RequestState,
    current_request,
    known_method,
)
from tidemark_django.unix_waits import DIAG_SOURCE

if TYPE_CHECKING:
    from tidemark_django.database import Repeat

FIRST_SERVER_ERROR: Final = 500
KERNEL_SOURCES: Final = (SOCKET_SOURCE, DIAG_SOURCE)
MAX_KINDS: Final = 2000
MAX_UNDRAINED: Final = 8192

_get_current, _set_current = current_request.get, current_request.set


def finish(agent: Agent, state: RequestState, error: BaseException | None = None) -> None:
    """Hands a finished request over to be recorded. Does so once, however often it is called, and never raises."""
    if state.finished:
        return
    state.finished = True
    try:
        if state.end is None:
            state.end = perf_counter()
        if state.cpu_start is not None:
            state.cpu = thread_time() - state.cpu_start
        agent.requests.pop(state.key, None)
        if _get_current() is state:
            _set_current(None)
        if error is not None:
            state.error = type(error).__name__
        state.request = None
        finished = agent.finished
        finished.append(state)
        if len(finished) > MAX_UNDRAINED:
            drain(agent, wait=False)
    except Exception as failure:
        agent.failed("http", failure)


def drain(agent: Agent, *, wait: bool = True) -> None:
    """Records every finished request. Without *wait* it leaves that to the thread that is at it."""
    if not agent.drain_lock.acquire(blocking=wait):
        return
    try:
        finished, by_kind = agent.finished, dict[RequestKind, list[RequestState]]()
        for _ in range(len(finished)):
            state = finished.popleft()
            status = state.status
            if status >= FIRST_SERVER_ERROR and state.error is None:
                state.error = str(status)
            kind = (state.method, state.pattern, status, state.scheme, state.error)
            if kind in by_kind:
                by_kind[kind].append(state)
            else:
                by_kind[kind] = [state]
        for kind, states in by_kind.items():
            try:
                _record(agent, kind, states)
            except Exception as failure:
                agent.failed("http", failure)
        for _ in range(len(agent.loose_queries)):
            pattern, queries = agent.loose_queries.popleft()
            try:
                database.record(agent, agent.route(pattern) if pattern is not None else None, queries)
            except Exception as failure:
                agent.failed("database", failure)
    finally:
        agent.drain_lock.release()


def _record(agent: Agent, kind: RequestKind, states: list[RequestState]) -> None:
    series = agent.http_series.get(kind)
    if series is None:
        series = _add_series(agent, kind)
    durations: list[float] = []
    views: list[float] = []
    sends: list[float] = []
    queried: list[float] = []
    repeated: Tally[Repeat] = Tally()
    config = agent.config
    traces, slow, ratio, failed = config.traces, config.slow_request, config.trace_ratio, kind[4] is not None
    for state in states:
        end, responded = state.end or state.start, state.responded
        duration = end - state.start
        durations.append(duration)
        inner = state._inner + state.queried
        if responded is not None:
            sends.append(end - responded)
            views.append(responded - state.start - inner)
        else:
            views.append(duration - inner)
        if inner:
            if not state._inner:
                queried.append(inner)
            else:
                for phase, seconds in state.phases().items():
                    series.phase(phase).record(seconds)
        if state.cpu is not None:
            series.cpu(state.cpu)
        if state.asynchronous:
            series.get("tidemark.asgiref.hops").record(state.hops)
        if state.repeats:
            for key, repeat in state.repeats.items():
                repeated[repeat] += 1
                if not repeat.told:
                    _tell_repeats(agent, state, key, repeat, duration)
        # Slow ones, failed ones, those the caller chose, a share of the rest.
        if traces and (failed or duration >= slow or state.sampled or (random() < ratio and not state.parent_id)):
            _keep_spans(agent, state, end)
    agent.served += len(states)
    series.duration.add_all(durations)
    series.phase("view").add_all(views)
    series.phase("send").add_all(sends)
    series.phase("db").add_all(queried)
    for repeat, times in repeated.items():
        repeat.counter.add(times)
    _record_queues(agent, series, states)
    _record_queries(agent, series, [state for state in states if state.queries is not None])


def _record_queues(agent: Agent, series: "RequestSeries", states: list[RequestState]) -> None:
    """What requests of one kind waited before the application."""
    ages = last_data_ages([state.socket_info for state in states if state.socket_info is not None])
    waits: dict[str, list[float]] = {SOCKET_SOURCE: ages} if ages else {}
    for state in states:
        if state.queue is not None:
            waits.setdefault(state.queue_source, []).append(state.queue)
    for source, seconds in waits.items():
        series.phase("queue").add_all(seconds)
        series.queue(source).add_all(seconds)
        if agent.socket_resource is not None and source in KERNEL_SOURCES:
            agent.socket_resource.wait.add_all(seconds)


def _record_queries(agent: Agent, series: "RequestSeries", states: list[RequestState]) -> None:
    """The queries of requests of one kind."""
    if not states:
        return
    series.get("tidemark.db.queries_per_request").add_all(
        [state.queries_before + len(state.queries or ()) for state in states]
    )
    database.record(agent, series.route, list(chain.from_iterable(state.queries or () for state in states)))


class RequestSeries:
    """The histograms of one kind of request, kept so that a request builds no attributes: half of what it cost."""

    def __init__(self, registry: Registry, attributes: Attributes, route: str | None) -> None:
        self.route = route
        self._registry = registry
        self._by_route: Attributes = ((semconv.HTTP_ROUTE, route),) if route is not None else ()
        self._found: dict[str, Histogram] = {}
        self.duration = registry.histogram("http.server.request.duration", attributes)

    def cpu(self, seconds: float) -> None:
        self.get("tidemark.http.server.cpu.duration").record(seconds)

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


def _add_series(agent: Agent, kind: RequestKind) -> RequestSeries:
    raw_method, pattern, status, scheme, error = kind
    method = known_method(raw_method)
    route = agent.route(pattern) if pattern is not None else None
    attributes: Attributes = ((semconv.HTTP_REQUEST_METHOD, method), (semconv.URL_SCHEME, scheme))
    if route is not None:
        attributes += ((semconv.HTTP_ROUTE, route),)
    if status:
        attributes += ((semconv.HTTP_RESPONSE_STATUS_CODE, status),)
    if error is not None:
        attributes += ((semconv.ERROR_TYPE, error),)
    agent.methods.add((method, scheme))
    series = RequestSeries(agent.registry, attributes, route)
    if len(agent.http_series) < MAX_KINDS:
        agent.http_series[kind] = series
    return series


def _tell_repeats(agent: Agent, state: RequestState, key: Any, repeat: "Repeat", duration: float) -> None:
    """N+1 that a request met, with what it cost there: told once per interval and place."""
    repeat.told = True
    seconds = sum(
        query[1] - query[0] for query in state.queries or () if database.resolve(query)[1] is repeat.statement
    )
    price = f"{seconds * 1e3:.1f} ms of {duration * 1e3:.1f} ms"
    times = (state.runs or {}).get(key, agent.config.n_plus_one)
    body = f"{repeat.summary} ran {times} times ({price}) at {repeat.where}"
    attributes: dict[str, AttributeValue] = {
        **dict(repeat.labels),
        semconv.TIDEMARK_DB_REPEATS: times,
        semconv.TIDEMARK_DB_REPEATS_TIME: seconds,
    }
    if repeat.fix:
        body += f": {repeat.fix}"
        attributes[semconv.TIDEMARK_DB_FIX] = repeat.fix
    agent.event(Event(semconv.EVENT_TIDEMARK_DB_N_PLUS_ONE, time_ns(), attributes, body, *state.ids()))


def _keep_spans(agent: Agent, state: RequestState, end: float) -> None:
    trace_id, span_id = state.ids()
    method = known_method(state.method)
    attributes: dict[str, AttributeValue] = {
        semconv.HTTP_REQUEST_METHOD: method,
        semconv.URL_SCHEME: state.scheme,
    }
    route = agent.route(state.pattern) if state.pattern is not None else None
    if route is not None:
        attributes[semconv.HTTP_ROUTE] = route
    if state.status:
        attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = state.status
    if state.error is not None:
        attributes[semconv.ERROR_TYPE] = state.error
    sending = end - state.responded if state.responded is not None else 0.0
    phases = state.phases()
    phases["view"] = max(0.0, end - state.start - sending - state.inner)
    if sending > 0:
        phases["send"] = sending
    queue = state.queue_time()
    if queue is not None:
        phases["queue"] = queue
    for phase, seconds in phases.items():
        attributes[f"{semconv.TIDEMARK_PHASE}.{phase}"] = seconds
    name = f"{method} {route}" if route else method
    agent.span(
        Span(
            name,
            trace_id,
            span_id,
            state.parent_id,
            True,
            state.at_ns(state.start),
            state.at_ns(end),
            attributes,
            state.error is not None,
        )
    )
    for number, query in enumerate((state.queries or ())[:MAX_QUERY_SPANS], start=1):
        began, ended, failure = query[0], query[1], query[4]
        source, statement = database.resolve(query)
        details: dict[str, AttributeValue] = {
            semconv.DB_SYSTEM_NAME: source.system,
            semconv.DB_NAMESPACE: source.namespace,
            semconv.DB_OPERATION_NAME: statement.operation,
            semconv.DB_QUERY_SUMMARY: statement.summary,
            semconv.DB_QUERY_TEXT: statement.text,
            semconv.TIDEMARK_DB_ALIAS: source.alias,
        }
        if failure is not None:
            details[semconv.ERROR_TYPE] = failure
        agent.span(
            Span(
                statement.summary,
                trace_id,
                (span_id + number) % 2**64 or 1,
                span_id,
                False,
                state.at_ns(began),
                state.at_ns(ended),
                details,
                failure is not None,
            )
        )
