import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import count
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, Final

from tidemark_django import frames, runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import SERIES_PER_METRIC, Attributes, AttributeValue, Histogram
from tidemark_django.relations import access
from tidemark_django.request import MAX_QUERY_SPANS, Database, QueryRecord, RequestState, current_request
from tidemark_django.statements import Statement, StatementCache

SYSTEMS: Final = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle.db"}
CONNECTION_LIMITS: Final = {"postgresql": "SHOW max_connections", "mysql": "SELECT @@max_connections"}
MAX_QUERIES_HELD: Final = 1000
MAX_LOOSE: Final = 8192
MAX_DATABASES: Final = 1000
MAX_REPEATS: Final = 1000
UNKNOWN: Final = Database("_other", "other_sql", "", None, -1)

_statements = StatementCache()
_databases: dict[str, Database] = {}
_by_number: dict[int, Database] = {}
_numbers = count()


def install() -> None:
    """Wraps the one place all of Django's queries pass, and the opening of connections."""
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    if getattr(CursorWrapper, "_tidemark", False):
        return
    execute: Callable[..., Any] = CursorWrapper._execute_with_wrappers  # type: ignore[attr-defined]
    connect: Callable[..., Any] = BaseDatabaseWrapper.connect
    get_current = current_request.get

    @wraps(execute)
    def timed_execute(self: Any, sql: Any, params: Any, many: bool, executor: Any) -> Any:
        agent = runtime.agent
        if agent is None:
            return execute(self, sql, params, many, executor)
        state = get_current()
        inner = state.inner if state is not None else 0.0
        start = perf_counter()
        try:
            result = execute(self, sql, params, many, executor)
        except BaseException as error:
            _note(agent, state, self, sql, params, start, inner, type(error).__name__)
            raise
        _note(agent, state, self, sql, params, start, inner, None)
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
                series = agent.connect_series.get((self.alias, kind))
                if series is None:
                    series = agent.connect_series[self.alias, kind] = agent.histogram(
                        "db.client.connection.create_time",
                        (semconv.DB_CLIENT_CONNECTION_POOL_NAME, self.alias),
                        (semconv.DB_SYSTEM_NAME, system_of(self)),
                        (semconv.TIDEMARK_DB_CONNECT_KIND, kind),
                    )
                series.record(elapsed)
                if self.connection is not None:
                    _connected(agent, self, kind)
                if state is not None:
                    state.spend("db", elapsed, inner)
            except Exception as error:
                agent.failed("database", error)

    CursorWrapper._execute_with_wrappers = timed_execute  # type: ignore[attr-defined]
    BaseDatabaseWrapper.connect = timed_connect  # type: ignore[method-assign]
    CursorWrapper._tidemark = True  # type: ignore[attr-defined]


def _connected(agent: Agent, connection: Any, kind: str) -> None:
    """Counts a connection that no pool keeps; the first of an alias is asked how many its database allows."""
    if kind == "connect":
        agent.unpooled.opened(connection, system_of(connection))
    if connection.alias in agent.connection_limits or not connection.get_autocommit():
        return
    agent.connection_limits[connection.alias] = 0
    question = CONNECTION_LIMITS.get(connection.vendor)
    if question is not None:
        with connection.connection.cursor() as cursor:
            cursor.execute(question)
            agent.connection_limits[connection.alias] = int(cursor.fetchone()[0])


def system_of(connection: Any) -> str:
    """OpenTelemetry's name of a Django back end."""
    vendor = str(connection.vendor)
    return SYSTEMS.get(vendor, vendor)


def _add_database(connection: Any, name: Any) -> Database:
    """One object per alias, made anew when its name changes (tests, tenants)."""
    text = str(name or "")
    namespace = os.path.basename(text) if connection.vendor == "sqlite" else text
    number = next(_numbers)
    found = Database(connection.alias, system_of(connection), namespace, name, number)
    if len(_by_number) >= MAX_DATABASES:
        del _by_number[next(iter(_by_number))]
    _by_number[number] = found
    _databases[connection.alias] = found
    return found


def _connect_kind(connection: Any) -> str:
    if not connection.settings_dict.get("OPTIONS", {}).get("pool"):
        return "connect"
    pool = getattr(type(connection), "_connection_pools", {}).get(connection.alias)
    return "pool_open" if pool is None or getattr(pool, "closed", False) else "pool_get"


def _note(
    agent: Agent,
    state: RequestState | None,
    cursor: Any,
    sql: Any,
    params: Any,
    start: float,
    inner: float,
    error: str | None,
) -> None:
    """Notes a query that ended, at the least cost: every query of every request passes here."""
    end = perf_counter()
    try:
        connection = cursor.db
        name = connection.settings_dict.get("NAME")
        source = _databases.get(connection.alias)
        if source is None or source.configured is not name:
            source = _add_database(connection, name)
        record = (start, end, source.number, sql, error, -1 if error else cursor.cursor.rowcount)
        transaction = connection.__dict__.get("_tidemark_transaction")
        if transaction is not None:
            transaction.ran(start, end)
        if state is None:
            agent.loose_queries.append((None, [record]))
            if len(agent.loose_queries) > MAX_LOOSE:
                agent.loose_queries.popleft()
                agent.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, "queries_full"))
            return
        own = end - start - state.inner + inner
        if own > 0 and not state.finished:
            state.db += own
            state.inner += own
        queries, runs = state.queries, state.runs
        if queries is None or runs is None:
            state.queries, state.runs = [record], {sql if params else _parsed(sql, source).text: 1}
            return
        queries.append(record)
        # Django's own statements carry no values: their text tells repeats. Hand-written ones may.
        key = sql if params else _parsed(sql, source).text
        run = runs[key] = runs.get(key, 0) + 1
        if run > 1 and run in (2, agent.config.n_plus_one):
            _look_at_repeat(agent, state, key, run, source)
        if len(queries) >= MAX_QUERIES_HELD:
            agent.loose_queries.append((state.pattern_now(), queries[MAX_QUERY_SPANS:]))
            state.queries_before += len(queries) - MAX_QUERY_SPANS
            del queries[MAX_QUERY_SPANS:]
            if len(runs) >= MAX_QUERIES_HELD:
                runs.clear()
    except Exception as failure:
        agent.failed("database", failure)


def _parsed(sql: Any, source: Database) -> Statement:
    return _statements.get(sql if type(sql) is str else str(sql), source.system)


def resolve(query: QueryRecord) -> tuple[Database, Statement]:
    """Database and normalised statement of a noted query."""
    source = _by_number.get(query[2], UNKNOWN)
    return source, _parsed(query[3], source)


def record(agent: Agent, route: str | None, queries: list[QueryRecord]) -> None:
    """Makes measurements of noted queries. From :func:`~tidemark_django.http.drain`."""
    for query in queries:
        source, statement = resolve(query)
        error = query[4]
        series = agent.query_series.get((query[2], statement, route, error))
        if series is None:
            series = _add_series(agent, source, statement, route, error)
        series.record(query[1] - query[0])
        if query[5] >= 0 and statement.operation == "SELECT":
            agent.registry.histogram(
                "db.client.response.returned_rows",
                (
                    (semconv.DB_SYSTEM_NAME, source.system),
                    (semconv.TIDEMARK_DB_ALIAS, source.alias),
                    (semconv.DB_OPERATION_NAME, statement.operation),
                ),
            ).record(query[5])


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
        agent.query_series[source.number, statement, route, error] = series
    return series


@dataclass(eq=False)
class Repeat:
    """One SELECT that one line repeats within a request: found once per interval and route, then only counted."""

    labels: Attributes
    statement: Statement
    where: str
    fix: str
    told: bool = False

    @property
    def summary(self) -> str:
        return self.statement.summary


def _look_at_repeat(agent: Agent, state: RequestState, key: Any, run: int, source: Database) -> None:
    """
    Finds N+1: one SELECT repeated from one line within one request.

    Looking for the line walks the stack, so it is done twice per statement, route and export interval: at a second
    run and at the threshold. After that a request only looks up what was found.
    """
    place = (state.pattern_now(), key)
    threshold = agent.config.n_plus_one
    if place in agent.repeats:
        found = agent.repeats[place]
        if run == threshold and found is not None:
            state.repeats = {**(state.repeats or {}), key: found}
        return
    statement = _parsed(key, source)
    if statement.operation != "SELECT":
        return
    frame = sys._getframe(2)
    here = frames.nearest_application_frame(frame)
    if state.sites is None:
        state.sites = {}
    first = state.sites.setdefault(key, here)
    if run != threshold:
        return
    if len(agent.repeats) >= MAX_REPEATS:
        agent.repeats.clear()
    found = _describe(agent, frame, statement, place[0], here) if here is not None and first == here else None
    agent.repeats[place] = found
    if found is not None:
        state.repeats = {**(state.repeats or {}), key: found}


def _describe(
    agent: Agent, frame: FrameType, statement: Statement, pattern: str | None, here: tuple[CodeType, int]
) -> Repeat:
    where, found = frames.site(here), access(frame)
    labels: dict[str, AttributeValue] = {
        semconv.DB_QUERY_SUMMARY: statement.summary,
        semconv.TIDEMARK_DB_SITE: where,
    }
    if pattern is not None:
        labels[semconv.HTTP_ROUTE] = agent.route(pattern)
    if found is not None and found.relation:
        labels[semconv.TIDEMARK_DB_RELATION] = found.relation
    return Repeat(tuple(labels.items()), statement, where, found.fix if found is not None else "")
