from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from tidemark_django import runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.database import TRANSACTION, system_of
from tidemark_django.request import current_request


class Transaction:
    """
    A transaction in progress, from its first statement: before it, the database holds nothing for it.

    Kept on Django's connection, so that a query finds it without a look-up of its own.
    """

    __slots__ = ("busy", "start")

    def __init__(self) -> None:
        self.start: float | None = None
        self.busy = 0.0

    def ran(self, start: float, end: float) -> None:
        """Counts a statement."""
        if self.start is None:
            self.start = start
        self.busy += end - start

    def connected(self) -> None:
        """What Django asked while it opened the connection was before the transaction."""
        self.start, self.busy = None, 0.0


def install() -> None:
    """Wraps the begin of the outermost ``transaction.atomic`` and what ends it; inner ones are savepoints."""
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.transaction import Atomic, get_connection

    if getattr(Atomic, "_tidemark", False):
        return
    enter: Callable[..., Any] = Atomic.__enter__

    @wraps(enter)
    def watched_enter(self: Any) -> None:
        connection: Any = get_connection(self.using)
        if runtime.agent is not None and not connection.in_atomic_block:
            setattr(connection, TRANSACTION, Transaction())
        enter(self)

    Atomic.__enter__ = watched_enter  # type: ignore[method-assign]
    for name in ("commit", "rollback"):
        setattr(BaseDatabaseWrapper, name, _timed_end(getattr(BaseDatabaseWrapper, name)))
    Atomic._tidemark = True  # type: ignore[attr-defined]


def _timed_end(method: Callable[..., Any]) -> Callable[..., Any]:
    """A commit or rollback is a round trip that no cursor sees: it belongs to the request's database time."""

    @wraps(method)
    def timed(self: Any) -> Any:
        agent = runtime.agent
        if agent is None or self.connection is None:
            return method(self)
        state = current_request.get()
        inner = state.inner if state is not None else 0.0
        start = perf_counter()
        try:
            return method(self)
        finally:
            end = perf_counter()
            try:
                transaction = self.__dict__.get(TRANSACTION)
                if transaction is not None:
                    setattr(self, TRANSACTION, None)
                    _record(agent, self, transaction, start, end)
                if state is not None:
                    state.spend("db", end - start, inner)
            except Exception as failure:
                agent.failed("transactions", failure)

    return timed


def _record(agent: Agent, connection: Any, transaction: Transaction, ending: float, end: float) -> None:
    """Records a transaction whose commit or rollback took from *ending* to *end*."""
    if transaction.start is None:
        return
    attributes: list[tuple[str, str | int]] = [
        (semconv.DB_SYSTEM_NAME, system_of(connection)),
        (semconv.TIDEMARK_DB_ALIAS, connection.alias),
    ]
    state = current_request.get()
    pattern = state.pattern_now() if state is not None else None
    if pattern is not None:
        attributes.append((semconv.HTTP_ROUTE, agent.route(pattern)))
    agent.histogram("tidemark.db.transaction.duration", *attributes).record(end - transaction.start)
    idle = ending - transaction.start - transaction.busy
    agent.histogram("tidemark.db.transaction.idle_time", *attributes).record(max(0.0, idle))
