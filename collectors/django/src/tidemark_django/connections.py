from collections import Counter as Tally
from collections.abc import Callable

from tidemark_django import native, semconv
from tidemark_django.agg import Attributes, Point


class Connections:
    """
    Open inbound connections by protocol.

    WebSockets are counted as they come and go; ``http`` only where the server keeps a count, given
    as *http*.
    """

    def __init__(self) -> None:
        self._lock = native.lock()
        self._websockets: int | None = None
        self._opened = 0
        self._reported = 0
        self._by_consumer: Tally[str] = Tally()
        self.http: Callable[[], int | None] | None = None

    def expect_websockets(self) -> None:
        """From now on no WebSocket is a measured zero."""
        with self._lock:
            if self._websockets is None:
                self._websockets = 0

    def changed(self, by: int) -> None:
        """One WebSocket more (1) or less (-1)."""
        with self._lock:
            self._websockets = max(0, (self._websockets or 0) + by)
            self._opened += max(0, by)

    def of_consumer(self, name: str, by: int) -> None:
        """One WebSocket more or less of a Channels consumer."""
        with self._lock:
            self._by_consumer[name] += by

    def now_websockets(self) -> int:
        """Open WebSockets; 0 when none was ever seen."""
        return self._websockets or 0

    def now(self) -> dict[str, int]:
        """Open connections by kind; kinds that cannot be counted are missing."""
        counts: dict[str, int] = {}
        if self._websockets is not None:
            counts["websocket"] = self._websockets
        http = self.http() if self.http is not None else None
        if http is not None:
            counts["http"] = max(0, http)
        return counts

    def take(self) -> list[Point]:
        points = [Point("tidemark.connections", inbound(kind), count) for kind, count in self.now().items()]
        if self._websockets is not None:
            grown = self._opened - self._reported
            self._reported += grown
            points.append(Point("tidemark.connections.opened", inbound("websocket"), grown))
        points += [
            Point("tidemark.websocket.connections", ((semconv.TIDEMARK_WEBSOCKET_CONSUMER, name),), count)
            for name, count in list(self._by_consumer.items())
        ]
        return points


def inbound(kind: str) -> Attributes:
    """Attributes of connections that clients opened."""
    return ((semconv.TIDEMARK_CONNECTION_KIND, kind), (semconv.TIDEMARK_CONNECTION_DIRECTION, "inbound"))
