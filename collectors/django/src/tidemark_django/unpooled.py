from collections import Counter as Tally
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from tidemark_django import native, semconv
from tidemark_django.agg import Point

if TYPE_CHECKING:
    from tidemark_django.agent import Agent

OWNER: Final = "_tidemark_unpooled"
"""Attribute of Django's connection: who counts it."""


class UnpooledConnections:
    """
    Open database connections that no pool keeps: one per thread and alias, persistent ones also between requests.

    Used are those whose thread runs a request; the others stay open for the next one (``CONN_MAX_AGE``), or for nobody,
    when their thread has ended.
    """

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._lock = native.lock()
        self._opened: dict[int, ref[Any]] = {}
        self._seen: set[tuple[str, str]] = set()

    def opened(self, wrapper: Any, system: Callable[[Any], str]) -> None:
        """Notes Django's wrapper of a connection that was just opened, once: a thread keeps its wrapper."""
        held = wrapper.__dict__
        if held.get(OWNER) is self:
            return
        held[OWNER] = self
        key = id(wrapper)
        self._opened[key] = ref(wrapper, lambda _: self._opened.pop(key, None))
        with self._lock:
            self._seen.add((wrapper.alias, system(wrapper)))

    def points(self) -> list[Point]:
        """Open connections by alias and state. Under gevent, whose greenlets share a thread, it is not known."""
        if not self._agent.thread_clock or not self._seen:
            return []
        wrappers = [wrapper for known in list(self._opened.values()) if (wrapper := known()) is not None]
        with self._lock:
            seen = sorted(self._seen)
        serving = {state.thread_id for state in list(self._agent.requests.values())}
        open_now = Tally(
            (wrapper.alias, "used" if wrapper._thread_ident in serving else "idle")
            for wrapper in wrappers
            if wrapper.connection is not None
        )
        return [
            Point(
                "db.client.connection.count",
                (
                    (semconv.DB_CLIENT_CONNECTION_POOL_NAME, alias),
                    (semconv.DB_SYSTEM_NAME, system),
                    (semconv.DB_CLIENT_CONNECTION_STATE, state),
                ),
                open_now[alias, state],
            )
            for alias, system in seen
            for state in ("idle", "used")
        ]
