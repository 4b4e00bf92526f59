import socket
from typing import Any

from tidemark_django import net
from tidemark_django.agent import Agent
from tidemark_django.saturation import Reading, Resource
from tidemark_django.unix_waits import UnixWaits


class ListenerWatch:
    """
    The accept queue of one listening socket.

    Workers share it and each reports it whole: scope ``host``, to be merged by maximum. With a socket per worker
    (``SO_REUSEPORT``) each has a queue of its own: not *shared*, scope ``process``.
    """

    def __init__(self, agent: Agent, listener: Any, identifier: str, *, shared: bool = True) -> None:
        self._listener = listener
        self._drops = net.listen_drops(listener)
        self.resource = Resource(
            agent.registry,
            "listen_queue",
            identifier,
            self._read,
            scope="host" if shared else "process",
            listener=identifier,
            rejected=self._rejected if self._drops is not None else None,
        )

    def length(self) -> int | None:
        """Connections that wait now."""
        queue = net.accept_queue(self._listener)
        return queue.length if queue is not None else None

    def _read(self) -> Reading | None:
        queue = net.accept_queue(self._listener)
        return Reading(capacity=queue.limit, waiting=queue.length) if queue is not None else None

    def _rejected(self) -> dict[str, float]:
        now = net.listen_drops(self._listener)
        if now is None or self._drops is None:
            return {}
        before, self._drops = self._drops, now
        return {"overflow": max(0, now - before)}


def contended(watches: list[ListenerWatch]) -> bool | None:
    """Whether a connection waits in one of them."""
    lengths = [length for found in watches if (length := found.length()) is not None]
    return any(lengths) if lengths else None


def watch(
    agent: Agent, listeners: Any, *, shared: bool = True, listening: bool = True, waits: bool = True
) -> list[ListenerWatch]:
    """
    Watches every listening socket whose queue the kernel shows.

    Args:
        listening: False for sockets that will listen soon.

        waits: Whether what waits in a Unix socket is looked at; not where the server knows it better.
    """
    watches: list[ListenerWatch] = []
    for listener in listeners:
        identifier = net.listener_id(listener)
        if agent.resource("listen_queue", identifier or "") is not None:
            continue
        if identifier is not None and (not listening or net.accept_queue(listener) is not None):
            found = ListenerWatch(agent, listener, identifier, shared=shared)
            agent.add(found.resource)
            watches.append(found)
            if waits and listener.family == getattr(socket, "AF_UNIX", None):
                agent.unix_waits = agent.unix_waits or UnixWaits()
                agent.unix_waits.add(listener)
    return watches
