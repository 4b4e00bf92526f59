import os
from collections import OrderedDict
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final

from tidemark_django import native, sock_diag

MAX_REMEMBERED: Final = 4096
DIAG_SOURCE: Final = "unix_diag"
"""``tidemark.queue.source`` of waits that looks at a Unix socket's accept queue found."""
EXECUTOR_SOURCE: Final = "executor"
"""``tidemark.queue.source`` of waits in a queue of the server's own, beside those."""

own_queue_wait: ContextVar[float | None] = ContextVar("tidemark_own_queue_wait", default=None)
"""Seconds the connection that this thread is in stood in the server's own queue, for requests from Unix sockets."""


class UnixWaits:
    """
    How long each connection stood in the accept queue of a Unix socket, of which the kernel keeps no time.

    The agent's thread looks at the queue, in which the kernel names each connection by its client's end; a connection
    waited as long as the looks that saw it stand for. That is Little's law for a single one: one wait is right within
    the pause between two looks (0.1 s, 0.02 s where there is a loop), their mean is right whatever their length, as
    the looks come at random moments.
    """

    def __init__(self) -> None:
        self._listeners: list[int] = []
        self._last = perf_counter()
        self._waited: dict[int, float] = {}
        self._left: OrderedDict[int, float] = OrderedDict()
        self._served: OrderedDict[int, None] = OrderedDict()
        self._lock = native.lock()

    def add(self, listener: Any) -> None:
        """Looks at the queue of a listening socket from now on."""
        self._listeners.append(os.fstat(listener.fileno()).st_ino)

    def look(self) -> None:
        """Sees who waits now. From the agent's thread."""
        queues = [sock_diag.unix_waiting(inode) for inode in self._listeners]
        now = perf_counter()
        gap, self._last = now - self._last, now
        with self._lock:
            before = self._waited
            self._waited = {}
            for queue in queues:
                for peer in queue or ():
                    self._waited[peer] = before.pop(peer, 0.0) + gap
            if None in queues:
                self._waited = {**before, **self._waited}
            else:
                self._left.update(before)
            _forget(self._left)

    def take(self, connection: Any) -> float | None:
        """
        Seconds an accepted connection waited before, 0 when no look saw it. Once for each: later requests on a
        connection that is kept alive did not stand in this queue, and there is nothing to say of them.

        Args:
            connection: Its socket, or the number of its descriptor.
        """
        try:
            inode = os.fstat(connection if isinstance(connection, int) else connection.fileno()).st_ino
        except (OSError, AttributeError, ValueError):
            return None
        peer = sock_diag.unix_peer(inode)
        if peer is None:
            return None
        with self._lock:
            if peer in self._served:
                return None
            self._served[peer] = None
            _forget(self._served)
            return self._waited.pop(peer, None) or self._left.pop(peer, 0.0)

    def before_application(self, connection: Any) -> tuple[float | None, str]:
        """What the request that the calling thread begins waited, and how that is known."""
        own, accepted = own_queue_wait.get(), self.take(connection)
        if own is None:
            return accepted, DIAG_SOURCE
        own_queue_wait.set(None)
        return own + (accepted or 0.0), EXECUTOR_SOURCE


def _forget(remembered: "OrderedDict[int, Any]") -> None:
    while len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)
