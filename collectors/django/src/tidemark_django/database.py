import os
import sys
from collections.abc import Callable
from functools import wraps
from time import perf_counter, time_ns
from types import CodeType, FrameType
from typing import Any, Final

from tidemark_django import frames, runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import SERIES_PER_METRIC, Attributes, AttributeValue, Histogram
from tidemark_django.encode import Event
from tidemark_django.request import MAX_QUERY_SPANS, Database, RequestState, current_request
from tidemark_django.statements import Statement, StatementCache

SYSTEMS: Final = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle.db"}
MAX_STATEMENTS_OF_A_REQUEST: Final = 1000

MAX_DATABASES: Final = 1000
MAX_REPEATS: Final = 1000

_statements = StatementCache()
_databases: dict[str, Database] = {}
_repeats: dict[tuple[Statement, str | None, CodeType, int], tuple[Attributes, str]] = {}


def install() -> None:
    """Wraps the one place all of Django's queries pass, and the opening of connections."""
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    if getattr(CursorWrapper, "_tidemark", False):
        return
    execute: Callable[..., Any] = CursorWrapper._execute_with_wrappers  # type: ignore[attr-defined]
    connect: Callable[..., Any] = BaseDatabaseWrapper.connect

    @wraps(execute)
    def timed_execute(self: Any, sql: Any, params: Any, many: bool, executor: Any) -> Any:
        agent = runtime.agent
        if agent is None:
            return execute(self, sql, params, many, executor)
        state = current_request.get()
        inner = state.inner if state is not None else 0.0
        start = perf_counter()
        try:
            result = execute(self, sql, params, many, executor)
        except BaseException as error:
            _note(agent, state, self.db, sql, start, inner, type(error).__name__)
            raise
        _note(agent, state, self.db, sql, start, inner, None)
        return result

    @wraps(connect)
    def timed_connect(self: Any) -> Any:
        agent = runtime.agent
        if agent is None:
            return connect(self)
        kind = _connect_kind(self)
        state = current_request.get()
        inner = state.inner if state is not None else 0.0
        start = perf_counter()
        try:
            return connect(self)
        finally:
            elapsed = perf_counter() - start
            try:
                agent.histogram(
                    "db.client.connection.create_time",
                    (semconv.DB_CLIENT_CONNECTION_POOL_NAME, self.alias),
                    (semconv.DB_SYSTEM_NAME, system_of(self)),
                    (semconv.TIDEMARK_DB_CONNECT_KIND, kind),
                ).record(elapsed)
                if state is not None:
                    state.spend("db", elapsed, inner)
            except Exception as error:
                agent.failed("database", error)

    CursorWrapper._execute_with_wrappers = timed_execute  # type: ignore[attr-defined]
    BaseDatabaseWrapper.connect = timed_connect  # type: ignore[method-assign]
    CursorWrapper._tidemark = True  # type: ignore[attr-defined]


def system_of(connection: Any) -> str:
    """OpenTelemetry's name of a Django back end."""
    vendor = str(connection.vendor)
    return SYSTEMS.get(vendor, vendor)


def _database(connection: Any) -> Database:
    """One object per alias, made anew when its name changes (tests, tenants)."""
    name = connection.settings_dict.get("NAME")
    found = _databases.get(connection.alias)
    if found is None or found.configured is not name:
        text = str(name or "")
        namespace = os.path.basename(text) if connection.vendor == "sqlite" else text
        known = Database(connection.alias, system_of(connection), namespace, name)
        if len(_databases) >= MAX_DATABASES:
            _databases.clear()
        found = _databases[connection.alias] = known
    return found


def _connect_kind(connection: Any) -> str:
    if not connection.settings_dict.get("OPTIONS", {}).get("pool"):
        return "connect"
    pool = getattr(type(connection), "_connection_pools", {}).get(connection.alias)
    return "pool_open" if pool is None or getattr(pool, "closed", False) else "pool_get"


def _note(
    agent: Agent,
    state: RequestState | None,
    connection: Any,
    sql: Any,
    start: float,
    inner: float,
    error: str | None,
) -> None:
    end = perf_counter()
    try:
        source = _database(connection)
        statement = _statements.get(sql if type(sql) is str else str(sql), mysql=source.system == "mysql")
        route = (state.route or _route_now(agent, state)) if state is not None else None
        series = agent.query_series.get((source, statement, route, error))
        if series is None:
            series = _add_series(agent, source, statement, route, error)
        series.record(end - start)
        if state is None:
            return
        state.queries += 1
        state.spend("db", end - start, inner)
        if agent.config.traces and state.queries <= MAX_QUERY_SPANS:
            if state.query_spans is None:
                state.query_spans = []
            state.query_spans.append((start, end, source, statement, error))
        if statement.operation == "SELECT":
            _count_repeat(agent, state, statement, route)
    except Exception as failure:
        agent.failed("database", failure)


def _add_series(
    agent: Agent, source: Database, statement: Statement, route: str | None, error: str | None
) -> Histogram:
    attributes: Attributes = (
        (semconv.DB_SYSTEM_NAME, source.system),
        (semconv.DB_NAMESPACE, source.namespace),
        (semconv.DB_OPERATION_NAME, statement.operation),
        (semconv.DB_QUERY_SUMMARY, statement.summary),
        (semconv.DB_QUERY_TEXT, statement.text),
        (semconv.TIDEMARK_DB_ALIAS, source.alias),
    )
    if route is not None:
        attributes += ((semconv.HTTP_ROUTE, route),)
    if error is not None:
        attributes += ((semconv.ERROR_TYPE, error),)
    series = agent.registry.histogram("db.client.operation.duration", attributes)
    if len(agent.query_series) < SERIES_PER_METRIC:
        agent.query_series[source, statement, route, error] = series
    return series


def _route_now(agent: Agent, state: RequestState) -> str | None:
    """The route as far as known while the view still runs: the request object has it once the resolver ran."""
    match = getattr(state.request, "resolver_match", None)
    if match is not None and match.route is not None:
        state.route = agent.route(match.route)
    return state.route


def _count_repeat(agent: Agent, state: RequestState, statement: Statement, route: str | None) -> None:
    """
    Finds N+1: one SELECT repeated from one line within one request.

    Looking for the line costs a microsecond or two, so it is done twice per statement: at the second run and at the
    threshold.
    """
    seen = state.statements
    if seen is None:
        seen = state.statements = {}
    count = seen.get(statement, 0) + 1
    if count == 1 and len(seen) >= MAX_STATEMENTS_OF_A_REQUEST:
        return
    seen[statement] = count
    threshold = agent.config.n_plus_one
    if count not in {2, threshold}:
        return
    frame = sys._getframe(2)
    here = frames.nearest_application_frame(frame)
    if count == 2:
        if state.sites is None:
            state.sites = {}
        state.sites[statement] = here
    if count != threshold or here is None or (count > 2 and (state.sites or {}).get(statement) != here):
        return
    key = (statement, route, here[0], here[1])
    found = _repeats.get(key)
    if found is None:
        if len(_repeats) >= MAX_REPEATS:
            _repeats.clear()
        found = _repeats[key] = _describe(frame, statement, route, here)
    labels, body = found
    agent.registry.counter("tidemark.db.n_plus_one", labels).add()
    trace_id, span_id = state.ids()
    agent.event(Event(semconv.EVENT_TIDEMARK_DB_N_PLUS_ONE, time_ns(), dict(labels), body, trace_id, span_id))


def _describe(
    frame: FrameType, statement: Statement, route: str | None, here: tuple[CodeType, int]
) -> tuple[Attributes, str]:
    where, relation = frames.site(here), frames.relation_descriptor(frame)
    labels: dict[str, AttributeValue] = {
        semconv.DB_QUERY_SUMMARY: statement.summary,
        semconv.TIDEMARK_DB_SITE: where,
    }
    if route is not None:
        labels[semconv.HTTP_ROUTE] = route
    if relation is not None:
        labels[semconv.TIDEMARK_DB_RELATION] = relation
    return tuple(labels.items()), f"{statement.summary} repeats at {where}"
