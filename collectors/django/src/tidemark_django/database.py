import os
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import count
from operator import sub
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, Final

from tidemark_django import frames, native, runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Attributes, AttributeValue, Counter, Histogram
from tidemark_django.relations import access
from tidemark_django.request import MAX_QUERY_SPANS, Database, QueryRecord, RequestState, current_request
from tidemark_django.statements import OTHER, Statement, StatementCache

SYSTEMS: Final = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle.db"}
CONNECTION_LIMITS: Final = {"postgresql": "SHOW max_connections", "mysql": "SELECT @@max_connections"}
MAX_QUERIES_HELD: Final = 1000
MAX_LOOSE: Final = 8192
MAX_DATABASES: Final = 1000
MAX_REPEATS: Final = 1000
MAX_QUERY_KEYS: Final = 4000
NUMBER: Final = "_tidemark_database"
"""Attribute of Django's connection: what a query record calls its database."""
TRANSACTION: Final = "_tidemark_transaction"
"""Attribute of Django's connection: the transaction in progress."""
CONNECT: Final = "_tidemark_connect"
"""Attribute of Django's connection: where its next opening is recorded, once nothing about it is new."""
QuerySeries = tuple[Histogram, Histogram | None]
"""Where the duration and the rows of one statement's runs are recorded."""
UNKNOWN: Final = Database("_other", "other_sql", "", None, -1)

_statements = StatementCache()
_databases: dict[str, Database] = {}
_by_number: dict[int, Database] = {}
_numbers = count(1)
_lock = native.lock()


def install() -> None:
    """Wraps the one place all of Django's queries pass, and the opening of connections."""
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    if getattr(CursorWrapper, "_tidemark", False):
        return
    execute: Callable[..., Any] = CursorWrapper._execute_with_wrappers  # type: ignore[attr-defined]
    connect: Callable[..., Any] = BaseDatabaseWrapper.connect
    get_current = current_request.get
    djangos_own = execute.__module__ == CursorWrapper.__module__
    BaseDatabaseWrapper._tidemark_database = 0  # type: ignore[attr-defined]
    BaseDatabaseWrapper._tidemark_transaction = None  # type: ignore[attr-defined]
    BaseDatabaseWrapper._tidemark_connect = None  # type: ignore[attr-defined]

    @wraps(execute)
    def timed_execute(self: Any, sql: Any, params: Any, many: bool, executor: Any) -> Any:
        state = get_current()
        connection = self.db
        # What wrappers of its execution query meanwhile is part of it.
        queried = state.queried if state is not None else 0.0
        start = perf_counter()
        try:
            if djangos_own and not connection.execute_wrappers:
                # All that Django's own does then, one call less.
                result = executor(sql, params, many, {"connection": connection, "cursor": self})
            else:
                result = execute(self, sql, params, many, executor)
        except BaseException as error:
            _note_failure(state, self, sql, not params, (start, queried), type(error).__name__)
            raise
        end = perf_counter()
        if state is None or state.finished:
            if runtime.agent is not None:
                _note_loose(runtime.agent, self, sql, not params, start, end)
            return result
        try:
            # Here and not in a function: this runs in each query, and a call costs as much as all of it.
            state.queried = queried + (end - start)
            number = connection._tidemark_database or _number(connection)
            transaction = connection._tidemark_transaction
            if transaction is not None:
                transaction.ran(start, end)
            if sql.__class__ is not str:
                sql = str(sql)
            record = (start, end, number, sql, None, self.cursor.rowcount, not params)
            queries = state.queries
            if queries is None:
                queries = state.queries = []
                state.runs = {}
            queries.append(record)
            key = sql if params else _key_without_values(record)
            runs: Any = state.runs
            run = runs[key] = runs.get(key, 0) + 1
            agent = state.agent
            if agent.repeats_from <= run <= agent.config.n_plus_one:
                _look_at_line(agent, state, key, record, reached=run == agent.config.n_plus_one)
            if len(queries) >= MAX_QUERIES_HELD:
                _hand_over(agent, state)
        except Exception as failure:
            state.agent.failed("database", failure)
        return result

    @wraps(connect)
    def timed_connect(self: Any) -> Any:
        agent = runtime.agent
        if agent is None:
            return connect(self)
        known = _known_connect(agent, self)
        kind = "connect" if known is not None else _connect_kind(self)
        state = get_current()
        inner = state.inner if state is not None else 0.0
        start = perf_counter()
        try:
            return connect(self)
        finally:
            elapsed = perf_counter() - start
            try:
                if known is not None:
                    known.record(elapsed)
                    if self._tidemark_transaction is not None:
                        self._tidemark_transaction.connected()
                else:
                    _note_connect(agent, self, kind, elapsed)
                if state is not None and not state.finished:
                    # As a query's time: the phase is the same, and a sum of its own costs a request's record more.
                    state.queried += max(0.0, elapsed - (state.inner - inner))
            except Exception as error:
                agent.failed("database", error)

    CursorWrapper._execute_with_wrappers = timed_execute  # type: ignore[attr-defined]
    BaseDatabaseWrapper.connect = timed_connect  # type: ignore[method-assign]
    CursorWrapper._tidemark = True  # type: ignore[attr-defined]


def _connected(agent: Agent, connection: Any, kind: str) -> None:
    """Counts a connection that no pool keeps; the first of an alias is asked how many its database allows."""
    if kind == "connect":
        agent.unpooled.opened(connection, system_of)
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
    with _lock:
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


@dataclass(frozen=True, eq=False)
class KnownConnect:
    """The opening of a connection without a pool of which the agent has noted all there is."""

    agent: Agent
    source: Database
    record: Callable[[float], None]


def _known_connect(agent: Agent, connection: Any) -> KnownConnect | None:
    """What was noted when a connection was opened before, if it is still the same agent's and database's."""
    known: KnownConnect | None = connection._tidemark_connect
    if known is None or known.agent is not agent or known.source is not _databases.get(connection.alias):
        return None
    settings = connection.settings_dict
    options = settings.get("OPTIONS")
    same = known.source.configured is settings.get("NAME")
    return known if same and not (options and options.get("pool")) else None


def _note_connect(agent: Agent, connection: Any, kind: str, elapsed: float) -> None:
    number = _number(connection)
    series = agent.connect_series.get((number, kind))
    if series is None:
        series = agent.connect_series[number, kind] = agent.histogram(
            "db.client.connection.create_time",
            (semconv.DB_CLIENT_CONNECTION_POOL_NAME, connection.alias),
            (semconv.DB_SYSTEM_NAME, system_of(connection)),
            (semconv.TIDEMARK_DB_CONNECT_KIND, kind),
        )
    series.record(elapsed)
    transaction = connection.__dict__.get(TRANSACTION)
    if transaction is not None:
        transaction.connected()
    if connection.connection is not None:
        _connected(agent, connection, kind)
        source = _by_number.get(number)
        if kind == "connect" and source is not None and connection.alias in agent.connection_limits:
            setattr(connection, CONNECT, KnownConnect(agent, source, series.record))


def _number(connection: Any) -> int:
    """
    What a query record calls the database of a connection. Noted on Django's connection when it is opened.

    Its name counts as it is then: a later change means another database only after the next opening.
    """
    name = connection.settings_dict.get("NAME")
    source = _databases.get(connection.alias)
    if source is None or source.configured is not name:
        source = _add_database(connection, name)
    connection.__dict__[NUMBER] = source.number
    connection.__dict__.setdefault(TRANSACTION, None)
    return source.number


def _record_of(cursor: Any, sql: Any, literal: bool, start: float, end: float, error: str | None) -> QueryRecord:
    rows = -1 if error else cursor.cursor.rowcount
    return (start, end, getattr(cursor.db, NUMBER) or _number(cursor.db), str(sql), error, rows, literal)


def _note_failure(
    state: RequestState | None, cursor: Any, sql: Any, literal: bool, before: tuple[float, float], error: str
) -> None:
    """Notes a query that raised; *before* is when it began, and the seconds of its request's queries then."""
    agent = runtime.agent
    if agent is None:
        return
    try:
        end = perf_counter()
        start, queried = before
        record = _record_of(cursor, sql, literal, start, end, error)
        transaction = getattr(cursor.db, TRANSACTION)
        if transaction is not None:
            transaction.ran(start, end)
        if state is None or state.finished:
            _hold_loose(agent, record)
            return
        state.queried = queried + (end - start)
        if state.queries is None:
            state.queries, state.runs = [], {}
        state.queries.append(record)
    except Exception as failure:
        agent.failed("database", failure)


def _note_loose(agent: Agent, cursor: Any, sql: Any, literal: bool, start: float, end: float) -> None:
    """Notes a query outside any request. Never raises."""
    try:
        _hold_loose(agent, _record_of(cursor, sql, literal, start, end, None))
    except Exception as failure:
        agent.failed("database", failure)


def _hold_loose(agent: Agent, record: QueryRecord) -> None:
    if len(agent.loose_queries) < MAX_LOOSE:
        agent.loose_queries.append((None, [record]))
    else:
        agent.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, "queries_full"))


def _parsed(sql: str, source: Database) -> Statement:
    return _statements.get(sql, source.system)


def resolve(query: QueryRecord) -> tuple[Database, Statement]:
    """Database and normalised statement of a noted query."""
    source = _by_number.get(query[2], UNKNOWN)
    return source, _parsed(query[3], source)


def record(agent: Agent, route: str | None, queries: list[QueryRecord]) -> None:
    """Makes measurements of noted queries. From :func:`~tidemark_django.http.drain`."""
    if not queries:
        return
    _, _, numbers, statements, errors, _, _ = zip(*queries, strict=True)
    usual = numbers[0] if len(set(numbers)) == 1 and not any(errors) else None
    runs: dict[Any, list[QueryRecord]] = defaultdict(list)
    if usual is not None and len(set(statements)) == 1:
        runs[statements[0]] = queries
    else:
        for group, query in zip(
            statements if usual is not None else zip(numbers, statements, errors, strict=True), queries, strict=True
        ):
            runs[group].append(query)
    for group, found in runs.items():
        number, sql, error = (usual, group, None) if usual is not None else group
        durations, returned = _series(agent, number, sql, route, error)
        starts, ends, _, _, _, rows, _ = zip(*found, strict=True)
        durations.add_all(list(map(sub, ends, starts)))
        if returned is not None:
            returned.add_all([known for known in rows if known >= 0])


def _series(agent: Agent, number: int, sql: str, route: str | None, error: str | None) -> QuerySeries:
    known, key = agent.query_series, (number, sql, route, error)
    series = known.get(key)
    if series is None:
        if len(known) >= MAX_QUERY_KEYS:
            # Raw SQL with literals inside never repeats.
            known.clear()
        series = known[key] = _add_series(agent, number, sql, route, error)
    return series


def _add_series(agent: Agent, number: int, sql: Any, route: str | None, error: str | None) -> QuerySeries:
    source = _by_number.get(number, UNKNOWN)
    statement = _parsed(sql, source)
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
    duration = agent.registry.histogram("db.client.operation.duration", attributes)
    if statement.operation != "SELECT":
        return duration, None
    returned = agent.histogram(
        "db.client.response.returned_rows",
        (semconv.DB_SYSTEM_NAME, source.system),
        (semconv.TIDEMARK_DB_ALIAS, source.alias),
        (semconv.DB_OPERATION_NAME, statement.operation),
    )
    return duration, returned


@dataclass(eq=False)
class Repeat:
    """One SELECT that one line repeats within a request: found once per interval and route, then only counted."""

    labels: Attributes
    statement: Statement
    where: str
    fix: str
    counter: Counter
    told: bool = False

    @property
    def summary(self) -> str:
        return self.statement.summary


UNSEEN: Final = Repeat((), Statement("", "", ""), "", "", Counter())


def _key_without_values(query: QueryRecord) -> str:
    """What tells runs of one statement whose SQL may carry values; Django's own text carries none."""
    return resolve(query)[1].text


def _hand_over(agent: Agent, state: RequestState) -> None:
    """Takes queries off a request that runs very many."""
    agent.loose_queries.append((state.pattern_now(), state.hand_over_queries(MAX_QUERY_SPANS)))
    if state.runs is not None and len(state.runs) >= MAX_QUERIES_HELD:
        state.runs.clear()


def _look_at_line(agent: Agent, state: RequestState, key: Any, query: QueryRecord, *, reached: bool) -> None:
    """
    Finds N+1: one SELECT repeated from one line within one request. Called one run before the threshold and at it.

    Looking for the line walks the stack, so it is done once per statement, route and export interval. After that a
    request only looks up what was found.
    """
    place = (state.pattern_now(), key)
    found = agent.repeats.get(place, UNSEEN)
    if found is not UNSEEN:
        if reached and found is not None:
            state.repeats = {**(state.repeats or {}), key: found}
        return
    statement = resolve(query)[1]
    if statement.operation != "SELECT" or statement.text == OTHER:
        return
    frame = sys._getframe(2)
    here = frames.nearest_application_frame(frame)
    if state.sites is None:
        state.sites = {}
    first = state.sites.setdefault(key, here)
    if not reached:
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
    attributes = tuple(labels.items())
    counter = agent.registry.counter("tidemark.db.n_plus_one", attributes)
    return Repeat(attributes, statement, where, found.fix if found is not None else "", counter)
