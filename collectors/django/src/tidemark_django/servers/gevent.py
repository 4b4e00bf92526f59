from time import perf_counter
from typing import Any

from tidemark_django.agent import Agent
from tidemark_django.agg import Point
from tidemark_django.loop import MAX_PROBES, LoopWatch


class HubWatch(LoopWatch):
    """
    gevent's hub of one thread, seen from outside as an asyncio loop is.

    Wake-ups of a hub coalesce: one answer answers every probe sent before it.
    """

    def __init__(self, agent: Agent, hub: Any) -> None:
        super().__init__(agent, hub, "gevent")
        self._wake = hub.loop.async_()
        self._wake.start(self._answer_all)

    def probe(self) -> None:
        if len(self._probes) < MAX_PROBES:
            self._probes.append(perf_counter())
            self._wake.send()

    def is_closed(self) -> bool:
        return False

    def _answer_all(self) -> None:
        now = perf_counter()
        for _ in range(len(self._probes)):
            self._wait.record(now - self._probes.popleft())

    def take(self) -> list[Point]:
        """A hub's share of the time is its resource's ``busy``: the metric for loops is asyncio's."""
        self._shares.clear()
        return []


def watch_hub(agent: Agent) -> None:
    """Watches the calling thread's hub."""
    import gevent

    watch = HubWatch(agent, gevent.get_hub())
    agent.loops.append(watch)
    agent.add(watch.resource)
