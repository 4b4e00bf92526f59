"""
From the first line of a request to its measurements: shared by the WSGI and the ASGI side.

A request only notes moments; :func:`drain` makes measurements of them, many requests at a time, in the sampler's
thread four times a second. Done in the request, with the processor's caches full of other code, it cost four times as
much. What is handed over are tuples of plain values, which the garbage collector does not follow.
"""

import random
from time import perf_counter, thread_time
from typing import Final

from tidemark_django import semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Attributes, AttributeValue, Histogram, Registry
from tidemark_django.encode import Span
from tidemark_django.request import FinishedRequest, RequestKind, RequestState, current_request, known_method

FIRST_SERVER_ERROR: Final = 500
MAX_KINDS: Final = 2000
MAX_UNDRAINED: Final = 8192


def finish(agent: Agent, state: RequestState, error: BaseException | None = None) -> None:
    """Hands a finished request over to be recorded. Does so once, however often it is called, and never raises."""
    if state.finished:
        return
    state.finished = True
    try:
        end = state.end or perf_counter()
        cpu = thread_time() - state.cpu_start if state.cpu_start is not None else None
        state.request = None
        agent.requests.pop(id(state), None)
        if current_request.get() is state:
            current_request.set(None)
        if error is not None:
            state.error = type(error).__name__
        elif state.status >= FIRST_SERVER_ERROR:
            state.error = str(state.status)
        duration = end - state.start
        agent.finished.append(
            (
                (state.method, state.route, state.status, state.scheme, state.error),
                duration,
                end - state.responded if state.responded is not None else 0.0,
                state.inner,
                tuple(state.phases.items()) if state.inner else (),
                state.queue,
                state.queue_source,
                cpu,
                state.queries,
                state.hops if state.asynchronous else None,
            )
        )
        if len(agent.finished) > MAX_UNDRAINED:
            drain(agent, wait=False)
        config = agent.config
        if config.traces and (
            state.sampled
            or state.error is not None
            or duration >= config.slow_request
            or (not state.parent_id and random.random() < config.trace_ratio)
        ):
            _keep_spans(agent, state, end)
    except Exception as failure:
        agent.failed("http", failure)


def drain(agent: Agent, *, wait: bool = True) -> None:
    """Records every finished request. Without *wait* it leaves that to the thread that is at it."""
    if not agent.drain_lock.acquire(blocking=wait):
        return
    try:
        finished = agent.finished
        for _ in range(len(finished)):
            try:
                _record(agent, finished.popleft())
            except Exception as failure:
                agent.failed("http", failure)
    finally:
        agent.drain_lock.release()


def _record(agent: Agent, request: FinishedRequest) -> None:
    kind, duration, sending, inner, phases, queue, queue_source, cpu, queries, hops = request
    series = agent.http_series.get(kind)
    if series is None:
        series = _add_series(agent, kind)
    series.duration(duration)
    series.view(max(0.0, duration - sending - inner))
    if sending > 0:
        series.send(sending)
    for phase, seconds in phases:
        series.phase(phase).record(seconds)
    if queue is not None:
        series.phase("queue").record(queue)
        series.queue(queue_source).record(queue)
    if cpu is not None:
        series.get("tidemark.http.server.cpu.duration").record(cpu)
    if queries:
        series.get("tidemark.db.queries_per_request").record(queries)
    if hops is not None:
        series.get("tidemark.asgiref.hops").record(hops)


class RequestSeries:
    """The histograms of one kind of request, kept so that a request builds no attributes: half of what it cost."""

    __slots__ = ("_by_route", "_found", "_registry", "duration", "send", "view")

    def __init__(self, registry: Registry, attributes: Attributes, by_route: Attributes) -> None:
        self._registry = registry
        self._by_route = by_route
        self._found: dict[str, Histogram] = {}
        self.duration = registry.histogram("http.server.request.duration", attributes).record
        self.send = self.phase("send").record
        self.view = self.phase("view").record

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
    raw_method, route, status, scheme, error = kind
    method = known_method(raw_method)
    by_route: Attributes = ((semconv.HTTP_ROUTE, route),) if route is not None else ()
    attributes: Attributes = ((semconv.HTTP_REQUEST_METHOD, method), *by_route, (semconv.URL_SCHEME, scheme))
    if status:
        attributes += ((semconv.HTTP_RESPONSE_STATUS_CODE, status),)
    if error is not None:
        attributes += ((semconv.ERROR_TYPE, error),)
    agent.methods.add((method, scheme))
    series = RequestSeries(agent.registry, attributes, by_route)
    if len(agent.http_series) < MAX_KINDS:
        agent.http_series[kind] = series
    return series


def _keep_spans(agent: Agent, state: RequestState, end: float) -> None:
    trace_id, span_id = state.ids()
    method = known_method(state.method)
    attributes: dict[str, AttributeValue] = {
        semconv.HTTP_REQUEST_METHOD: method,
        semconv.URL_SCHEME: state.scheme,
    }
    if state.route is not None:
        attributes[semconv.HTTP_ROUTE] = state.route
    if state.status:
        attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = state.status
    if state.error is not None:
        attributes[semconv.ERROR_TYPE] = state.error
    sending = end - state.responded if state.responded is not None else 0.0
    phases = state.phases | {"view": max(0.0, end - state.start - sending - state.inner)}
    if sending > 0:
        phases["send"] = sending
    if state.queue is not None:
        phases["queue"] = state.queue
    for phase, seconds in phases.items():
        attributes[f"{semconv.TIDEMARK_PHASE}.{phase}"] = seconds
    name = f"{method} {state.route}" if state.route else method
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
    for number, (began, ended, source, statement, failure) in enumerate(state.query_spans or (), start=1):
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
