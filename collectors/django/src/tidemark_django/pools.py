import threading
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from tidemark_django import runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Point
from tidemark_django.request import current_request
from tidemark_django.saturation import Reading, Resource

SYSTEM = "postgresql"


def install() -> None:
    """Wraps psycopg's pool, if a database of this project uses one (Django 5.1 and later)."""
    from django.conf import settings

    databases = getattr(settings, "DATABASES", None) or {}
    if not any((database.get("OPTIONS") or {}).get("pool") for database in databases.values()):
        return
    from psycopg_pool import ConnectionPool

    if getattr(ConnectionPool, "_tidemark", False):
        return
    getconn: Callable[..., Any] = ConnectionPool.getconn
    putconn: Callable[..., Any] = ConnectionPool.putconn

    @wraps(getconn)
    def timed_getconn(self: Any, *args: Any, **kwargs: Any) -> Any:
        agent = runtime.agent
        watch = _watch(agent, self) if agent is not None else None
        if agent is None or watch is None:
            return getconn(self, *args, **kwargs)
        state = current_request.get()
        inner = state.inner if state is not None else 0.0
        start = perf_counter()
        ticket = object()
        watch.waiters[id(ticket)] = start
        try:
            connection = getconn(self, *args, **kwargs)
            watch.taken[id(connection)] = perf_counter()
            return connection
        finally:
            watch.waiters.pop(id(ticket), None)
            elapsed = perf_counter() - start
            watch.resource.wait.record(elapsed)
            watch.wait_time.record(elapsed)
            if state is not None:
                state.spend("db_pool", elapsed, inner)

    @wraps(putconn)
    def timed_putconn(self: Any, connection: Any) -> None:
        watch = runtime.agent.pools.get(id(self)) if runtime.agent is not None else None
        taken = watch.taken.pop(id(connection), None) if watch is not None else None
        if watch is not None and taken is not None:
            watch.use_time.record(perf_counter() - taken)
        putconn(self, connection)

    ConnectionPool.getconn = timed_getconn  # type: ignore[method-assign]
    ConnectionPool.putconn = timed_putconn  # type: ignore[method-assign,assignment]
    ConnectionPool._tidemark = True  # type: ignore[attr-defined]


class PoolWatch:
    """One alias's pool, read from its own statistics."""

    def __init__(self, agent: Agent, alias: str, pool: Any) -> None:
        self.alias = alias
        self.pool = pool
        self.waiters: dict[int, float] = {}
        self.taken: dict[int, float] = {}
        """When each connection that is in use was taken, by its identity: at most as many as the pool has."""
        self._timeouts = 0
        self._name = ((semconv.DB_CLIENT_CONNECTION_POOL_NAME, alias), (semconv.DB_SYSTEM_NAME, SYSTEM))
        self.wait_time = agent.registry.histogram("db.client.connection.wait_time", self._name)
        self.use_time = agent.registry.histogram("db.client.connection.use_time", self._name)
        self._gave_up = agent.registry.counter("db.client.connection.timeouts", self._name)
        self.resource = Resource(agent.registry, "db_pool", alias, self.read, rejected=self.rejected)

    def read(self) -> Reading:
        stats = self.pool.get_stats()
        oldest = min(list(self.waiters.values()), default=None)
        return Reading(
            capacity=self.pool.max_size,
            busy=max(0, stats.get("pool_size", 0) - stats.get("pool_available", 0)),
            waiting=stats.get("requests_waiting", 0),
            stall_age=perf_counter() - oldest if oldest is not None else 0.0,
        )

    def rejected(self) -> dict[str, float]:
        now = self.pool.get_stats().get("requests_errors", 0)
        self._timeouts, grown = now, max(0, now - self._timeouts)
        self._gave_up.add(grown)
        return {"timeout": grown}

    def points(self) -> list[Point]:
        """OpenTelemetry's own names for the same pool."""
        stats = self.pool.get_stats()
        name = self._name
        idle = stats.get("pool_available", 0)
        return [
            Point("db.client.connection.max", name, self.pool.max_size),
            Point("db.client.connection.count", (*name, (semconv.DB_CLIENT_CONNECTION_STATE, "idle")), idle),
            Point(
                "db.client.connection.count",
                (*name, (semconv.DB_CLIENT_CONNECTION_STATE, "used")),
                max(0, stats.get("pool_size", 0) - idle),
            ),
            Point("db.client.connection.pending_requests", name, stats.get("requests_waiting", 0)),
        ]


_lock = threading.Lock()


def _watch(agent: Agent, pool: Any) -> PoolWatch | None:
    """The watch of a pool that belongs to Django; pools of other code are left alone."""
    found: PoolWatch | None = agent.pools.get(id(pool))
    if found is not None:
        return found
    from django.db.backends.postgresql.base import DatabaseWrapper

    known: dict[str, Any] = getattr(DatabaseWrapper, "_connection_pools", {})
    alias = next((alias for alias, candidate in known.items() if candidate is pool), None)
    if alias is None:
        return None
    with _lock:
        if id(pool) not in agent.pools:
            watch = PoolWatch(agent, alias, pool)
            agent.pools[id(pool)] = watch
            agent.add(watch.resource)
        return agent.pools[id(pool)]
