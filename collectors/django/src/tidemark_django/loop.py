import asyncio
import threading
import time
from collections import deque
from typing import Any, Final

from tidemark_django import executors, kernel, native, runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Point
from tidemark_django.saturation import Reading, Resource

MAX_PROBES: Final = 1000


class LoopWatch:
    """
    One asyncio loop, seen from outside.

    The agent's thread hands the loop a callback at random moments and the callback notes when it ran: the same wait
    that any other ready work has. A probe inside the loop would be silent exactly while the loop is blocked; here
    the age of the oldest unanswered probe shows a block while it lasts.

    Args:
        loop: A running loop. Its thread is the caller's.
    """

    def __init__(self, agent: Agent, loop: Any, name: str = "asyncio") -> None:
        self.loop = loop
        self.thread_id = native.get_ident()
        self.native_id = threading.get_native_id()
        self._probes: deque[float] = deque()
        self._idle: IdleSelector | None = None
        self._last: tuple[float, float] | None = None
        self._shares: list[float] = []
        self.resource = Resource(agent.registry, "event_loop", name, self._read)
        self._wait = self.resource.wait
        selector = getattr(loop, "_selector", None)
        if selector is not None and hasattr(selector, "select"):
            self._idle = IdleSelector(selector)
            loop._selector = self._idle

    def is_closed(self) -> bool:
        return bool(self.loop.is_closed())

    def probe(self) -> None:
        """Asks the loop for a sign of life. From the agent's thread."""
        if self.is_closed() or len(self._probes) >= MAX_PROBES:
            return
        sent = time.perf_counter()
        self._probes.append(sent)
        try:
            self.loop.call_soon_threadsafe(self._answer, sent)
        except RuntimeError:
            self._probes.clear()

    def _answer(self, sent: float) -> None:
        self._wait.record(time.perf_counter() - sent)
        if self._probes:
            self._probes.popleft()

    def beat_age(self) -> float:
        """Seconds the oldest probe has been waiting; 0 when none waits."""
        try:
            return time.perf_counter() - self._probes[0]
        except IndexError:
            return 0.0

    def _read(self) -> Reading | None:
        if self.is_closed():
            return None
        now = time.perf_counter()
        busy = self._busy_since_last(now)
        ready = getattr(self.loop, "_ready", None)
        waiting = len(ready) if ready is not None else None
        return Reading(1, busy, waiting, self.beat_age())

    def _busy_since_last(self, now: float) -> float | None:
        """Active share since the last call: time outside ``select`` (stdlib), CPU time of the thread (uvloop)."""
        if self._idle is not None:
            active: float | None = now - self._idle.idle_until(now)
        else:
            times = kernel.thread_times(self.native_id)
            active = times[0] if times is not None else None
        if active is None:
            return None
        last, self._last = self._last, (now, active)
        if last is None or now - last[0] < 0.01:
            self._last = last or self._last
            return self._shares[-1] if self._shares else None
        share = min(1.0, max(0.0, (active - last[1]) / (now - last[0])))
        self._shares.append(share)
        return share

    def take(self) -> list[Point]:
        shares, self._shares = self._shares, self._shares[-1:]
        if not shares:
            return []
        name = ((semconv.TIDEMARK_RESOURCE_NAME, self.resource.name),)
        return [Point("tidemark.asyncio.eventloop.utilization", name, sum(shares) / len(shares))]


class IdleSelector:
    """A loop's selector that knows how long it has been waiting for events, the wait in progress included."""

    def __init__(self, selector: Any) -> None:
        self._selector = selector
        self._waited = 0.0
        self._since: float | None = None

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return self._selector.select(timeout)
        start = time.perf_counter()
        self._since = start
        try:
            return self._selector.select(timeout)
        finally:
            self._since = None
            self._waited += time.perf_counter() - start

    def idle_until(self, now: float) -> float:
        """Seconds spent waiting up to *now*."""
        since = self._since
        return self._waited + (max(0.0, now - since) if since is not None else 0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


def watch_running(agent: Agent | None = None) -> LoopWatch | None:
    """Watches the running loop of the calling thread, once, and its default executor."""
    agent = agent or runtime.agent
    if agent is None:
        return None
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        agent.not_as_expected("loop", "an asyncio loop")
        return None
    found = next((watch for watch in agent.loops if watch.loop is running), None)
    if found is not None:
        return found
    watch = LoopWatch(agent, running, "asyncio" if not agent.loops else f"asyncio-{len(agent.loops) + 1}")
    agent.loops.append(watch)
    agent.add(watch.resource)
    if getattr(running, "_default_executor", None) is None:
        running.set_default_executor(executors.LoopExecutor(thread_name_prefix="asyncio"))
    return watch
