from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tidemark_django import native, semconv
from tidemark_django.agg import Attributes, Histogram, Point, Registry

Scope = Literal["process", "host"]


@dataclass(frozen=True)
class Reading:
    """
    One look at a resource. None means: cannot be measured, and nothing is sent.

    *contended* says that something waits although its number is another resource's (a sync worker's queue is the
    listening socket's).
    """

    capacity: float | None = None
    busy: float | None = None
    waiting: float | None = None
    stall_age: float | None = None
    contended: bool | None = None


class Resource:
    """
    Something work can queue for: read every 250 ms, reported as mean and maximum of the interval.

    Args:
        read: Gives the reading of now, or None while the resource does not exist. Called from the agent's thread.

        rejected: Gives the work turned away since the last call, by reason. Called at export.
    """

    def __init__(
        self,
        registry: Registry,
        kind: str,
        name: str,
        read: Callable[[], Reading | None],
        *,
        scope: Scope = "process",
        listener: str | None = None,
        rejected: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        attributes: Attributes = (
            (semconv.TIDEMARK_RESOURCE_KIND, kind),
            (semconv.TIDEMARK_RESOURCE_NAME, name),
            (semconv.TIDEMARK_RESOURCE_SCOPE, scope),
        )
        if listener is not None:
            attributes += ((semconv.TIDEMARK_LISTENER_ID, listener),)
        self.kind = kind
        self.name = name
        self.attributes = attributes
        self._registry = registry
        self._read = read
        self._rejected = rejected
        self._wait: Histogram | None = None
        self.waiting_since: Callable[[], list[float]] | None = None
        """Gives the moments (``perf_counter``) since which its work waits, where each is known."""
        self.full_for = 0.0
        """Seconds of the last ticks in a row that found it full while something waited."""
        self._lock = native.lock()
        self._reset()

    @property
    def wait(self) -> Histogram:
        """Where its waits are recorded, in seconds. Asking for it declares that waits can be measured."""
        if self._wait is None:
            self._wait = self._registry.histogram("tidemark.resource.wait", self.attributes)
        return self._wait

    def _reset(self) -> None:
        self._busy: list[float] = []
        self._waiting: list[float] = []
        self._saturated: float | None = None
        self._last: Reading | None = None

    def read(self) -> Reading | None:
        """The reading of now."""
        return self._read()

    def tick(self, elapsed: float) -> None:
        """Reads the resource; *elapsed* is the time since the last tick, in seconds."""
        reading = self._read()
        if reading is None:
            return
        with self._lock:
            self._last = reading
            if reading.busy is not None:
                self._busy.append(reading.busy)
            if reading.waiting is not None:
                self._waiting.append(reading.waiting)
            contended = reading.contended
            if contended is None and reading.waiting is not None:
                contended = reading.waiting > 0
            if reading.capacity is not None and reading.busy is not None and contended is not None:
                full = contended and reading.busy >= reading.capacity
                self.full_for = self.full_for + elapsed if full else 0.0
                self._saturated = (self._saturated or 0.0) + (elapsed if full else 0.0)

    def take(self) -> list[Point]:
        """The points of the interval."""
        with self._lock:
            busy, waiting, saturated, last = self._busy, self._waiting, self._saturated, self._last
            self._reset()
        values: list[tuple[str, float | None]] = [
            ("busy", sum(busy) / len(busy) if busy else None),
            ("busy.max", max(busy) if busy else None),
            ("waiting", sum(waiting) / len(waiting) if waiting else None),
            ("waiting.max", max(waiting) if waiting else None),
            ("saturated_time", saturated),
        ]
        if last is not None:
            now = self._read() or last
            values += [("capacity", now.capacity), ("stall_age", now.stall_age)]
        points = [
            Point(f"tidemark.resource.{name}", self.attributes, value) for name, value in values if value is not None
        ]
        if self._rejected is not None and last is not None:
            points += [
                Point(
                    "tidemark.resource.rejected", (*self.attributes, (semconv.TIDEMARK_REJECTED_REASON, reason)), count
                )
                for reason, count in self._rejected().items()
            ]
        return points
