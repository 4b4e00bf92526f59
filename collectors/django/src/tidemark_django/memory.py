import time
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

from tidemark_django import kernel, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Attributes, Point

MIN_INTERVAL_S: Final = 1.0
MAX_INTERVAL_S: Final = 10.0
CPU_SHARE: Final = 0.001
CPU_SHARE_RISING: Final = 0.01
MAX_PAIRS: Final = 60
MIN_PAIRS: Final = 6
MIN_SPAN: Final = 50
MIN_SPAN_SHARE: Final = 0.2
MIN_FIT: Final = 0.6
FALL_SHARE: Final = 0.2
WARM_UP_REQUESTS: Final = 1000
GROWTH_SPAN: Final = 10_000


class MemoryWatch:
    """
    Memory of the process, what one more connection costs, and what it grows by while it serves requests.

    The proportional sizes cost milliseconds to read and more the larger the process, so they are read at most each
    second, and so seldom that they stay under 0.1 % of a core, but at least each 10 s while that stays under 1 %, which
    is also what they may cost while WebSockets are opened: what one costs is fitted to these readings.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._connections = agent.connections
        self._next = 0.0
        self._most_websockets = 0
        self._sizes: kernel.Sizes | None = None
        self._slopes = {"websocket": Slope(), "http": Slope()}
        self._growth = Growth()

    def tick(self) -> None:
        """Reads the sizes when it is time to. From the agent's thread."""
        now = time.monotonic()
        if now < self._next:
            return
        before = time.thread_time()
        counts = self._connections.now()
        self._sizes = kernel.memory_sizes()
        cost = time.thread_time() - before
        websockets = counts.get("websocket", 0)
        rising, self._most_websockets = websockets > self._most_websockets, max(websockets, self._most_websockets)
        longest = MIN_INTERVAL_S if rising else MAX_INTERVAL_S
        self._next = now + max(MIN_INTERVAL_S, cost / CPU_SHARE_RISING, min(cost / CPU_SHARE, longest))
        if self._sizes is not None:
            for kind, count in counts.items():
                self._slopes[kind].add(count, self._sizes.unique)
            self._growth.add(self._agent.served, self._sizes.unique)

    def take(self) -> list[Point]:
        points: list[Point] = []
        resident = kernel.resident_bytes()
        if resident is not None:
            points.append(Point("process.memory.usage", (), resident))
        if self._sizes is None:
            return points
        uss = self._sizes.unique
        points += [
            Point("tidemark.process.memory.pss", (), self._sizes.proportional),
            Point("tidemark.process.memory.uss", (), uss),
            Point("tidemark.process.memory.shared", (), self._sizes.copy_on_write),
        ]
        growth = self._growth.per_1000_requests()
        if growth is not None:
            points.append(Point("tidemark.process.memory.growth", (), growth))
        for kind, count in self._connections.now().items():
            pair: Attributes = ((semconv.TIDEMARK_CONNECTION_KIND, kind), (semconv.TIDEMARK_MEMORY_TYPE, "uss"))
            points.append(Point("tidemark.connections.memory", pair, uss))
            fitted = self._slopes[kind].fit(count)
            if fitted is not None:
                slope, fit, span = fitted
                points += [
                    Point("tidemark.memory.per_connection", pair, slope),
                    Point("tidemark.memory.per_connection.fit", pair, fit),
                    Point("tidemark.memory.per_connection.span", pair, span),
                ]
        return points


class Slope:
    """
    Bytes per connection by Theil-Sen over rising stretches, gated as in the Node agent.

    Memory does not return after connections close, so only pairs at new high-water marks count; a resident size
    divided by connections would mostly measure the program itself. No answer while connections varied by less than 50
    or 20 % of their mean, while the fit is below 0.6, and once they fell by 20 %: what the next one costs comes from
    memory that is free already.

    >>> slope = Slope()
    >>> for count in range(0, 101, 10):
    ...     slope.add(count, 1_000_000 + 32_768 * count)
    >>> slope.fit(100)
    (32768.0, 1.0, 100)
    >>> slope.fit(79)
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[int, int]] = []
        self._highest = -1
        self._left_peak = False
        self._fitted: tuple[float, float, int] | None = None
        self._stale = False

    def add(self, connections: int, memory: int) -> None:
        if connections < self._highest or (connections == self._highest and self._left_peak):
            self._left_peak = True
            return
        self._left_peak = False
        if connections == self._highest:
            # One pair per number of connections, the latest: a plateau would outweigh the rise.
            self._pairs.pop()
        elif len(self._pairs) == MAX_PAIRS:
            # Thinned rather than forgotten: the span must not shrink while connections grow slowly.
            self._pairs = self._pairs[::2]
        self._highest = connections
        self._pairs.append((connections, memory))
        self._stale = True

    def fit(self, connections: int) -> tuple[float, float, int] | None:
        """Slope in bytes, r squared, span; None while there is nothing to say about that many *connections*."""
        if self._stale:
            self._stale = False
            self._fitted = self._compute()
        return self._fitted if connections >= self._highest * (1 - FALL_SHARE) else None

    def _compute(self) -> tuple[float, float, int] | None:
        pairs = self._pairs
        span = pairs[-1][0] - pairs[0][0]
        if len(pairs) < MIN_PAIRS or span < max(MIN_SPAN, MIN_SPAN_SHARE * fmean(count for count, _ in pairs)):
            return None
        slope, fit = theil_sen(pairs)
        return (slope, fit, span) if fit >= MIN_FIT and slope > 0 else None


class Growth:
    """
    Bytes that the process's own memory grows by in 1,000 requests.

    The first 1,000 requests load code and fill caches, and are left out. Told once another 1,000 were served; 0 while
    memory does not rise with them. Looks at the last 10,000 requests, or further back where those are less than 12
    looks.

    >>> growth = Growth()
    >>> for served in range(0, 9000, 500):
    ...     growth.add(served, 50_000_000 + 2_048 * served)
    >>> growth.per_1000_requests()
    2048000.0
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[int, int]] = []

    def add(self, served: int, memory: int) -> None:
        pairs = self._pairs
        if served < WARM_UP_REQUESTS or (pairs and served == pairs[-1][0]):
            return
        pairs.append((served, memory))
        while len(pairs) > 2 * MIN_PAIRS and served - pairs[1][0] >= GROWTH_SPAN:
            del pairs[0]
        if len(pairs) > MAX_PAIRS:
            del pairs[1:-1:2]

    def per_1000_requests(self) -> float | None:
        pairs = self._pairs
        if len(pairs) < MIN_PAIRS or pairs[-1][0] - pairs[0][0] < WARM_UP_REQUESTS:
            return None
        slope, fit = theil_sen(pairs)
        return slope * 1000 if fit >= MIN_FIT and slope > 0 else 0.0


def theil_sen(pairs: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Slope of the line through pairs of which no two have one first value, and its coefficient of determination."""
    slope = median(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for position, earlier in enumerate(pairs)
        for later in pairs[position + 1 :]
    )
    offset = median(memory - slope * count for count, memory in pairs)
    mean = fmean(memory for _, memory in pairs)
    total = sum((memory - mean) ** 2 for _, memory in pairs)
    residual = sum((memory - offset - slope * count) ** 2 for count, memory in pairs)
    return slope, 1 - residual / total if total else 0.0
