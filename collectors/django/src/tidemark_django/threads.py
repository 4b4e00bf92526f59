import atexit
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from tidemark_django import native, runtime
from tidemark_django.agent import Agent
from tidemark_django.agg import Point
from tidemark_django.export import Exporter
from tidemark_django.findings import FindingsWatch
from tidemark_django.memory import MemoryWatch
from tidemark_django.probes import LockProbe
from tidemark_django.process import ProcessWatch
from tidemark_django.stalls import StallWatch

SAMPLE_PERIOD_S: Final = 0.2
"""Shortest time between two samples: with the pauses of the watch about 250 ms."""


class Threads:
    """
    The two daemon threads of one process: one that watches, and one that exports.

    Each wake-up of a thread takes the interpreter from a request, whatever it does then: one thread does everything
    that has a clock.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._process = ProcessWatch(agent)
        self._memory = MemoryWatch(agent)
        self._stalls = StallWatch(agent)
        self._probe = LockProbe(agent)
        self._exporter = Exporter(agent, self.collect)
        self._stop = False
        self._findings = FindingsWatch(agent)

    def start(self) -> None:
        for name, body in (("watch", self._watch), ("export", self._exporter.run)):
            native.start_thread(f"tidemark-{name}", partial(self._run, name, body))
        atexit.register(self.close)

    def _run(self, name: str, body: Callable[[], None]) -> None:
        self._agent.agent_threads[name] = threading.get_native_id()
        try:
            body()
        except Exception as error:
            self._agent.failed(name, error)

    def _watch(self) -> None:
        last = time.perf_counter()
        while not self._stop:
            self._probe.once()
            self._guard("stalls", self._stalls.tick)
            if self._agent.unix_waits is not None:
                self._guard("unix_waits", self._agent.unix_waits.look)
            now = time.perf_counter()
            if now - last >= SAMPLE_PERIOD_S:
                self._sample(now - last)
                last = now

    def _sample(self, elapsed: float) -> None:
        for resource in self._agent.resources:
            self._guard(f"resource.{resource.kind}", partial(resource.tick, elapsed))
        self._guard("registry", self._agent.registry.fold)
        self._guard("memory", self._memory.tick)
        self._agent.agent_cpu["watch"] = time.thread_time()

    def _guard(self, part: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._agent.failed(part, error)

    def collect(self) -> list[Point]:
        """Every point of the interval; a part that fails is counted and left out."""
        agent = self._agent
        points: list[Point] = []
        sources: list[tuple[str, Callable[[], list[Point]]]] = [
            *((f"resource.{resource.kind}", resource.take) for resource in agent.resources),
            *(("pools", pool.points) for pool in list(agent.pools.values())),
            ("unpooled", agent.unpooled.points),
            *(("loop", loop.take) for loop in list(agent.loops)),
            ("findings", self._findings.points),
            ("connections", agent.connections.take),
            ("memory", self._memory.take),
            ("process", self._process.take),
            ("registry", agent.registry.take),
            ("http", agent.active_requests),
        ]
        for part, take in sources:
            try:
                points += take()
            except Exception as error:
                agent.failed(part, error)
        self._stalls.new_interval()
        agent.repeats.clear()
        return points

    def export_soon(self) -> None:
        """For what must be told before the process is ended."""
        self._exporter.soon()

    def close(self) -> None:
        """The last export, at the end of the process; a child that inherited the hook does nothing."""
        if os.getpid() != self._agent.pid or runtime.agent is not self._agent:
            return
        self._stop = True
        self._exporter.close()


def start(agent: Agent) -> None:
    """Starts the threads of an agent."""
    agent.threads = Threads(agent)
    agent.threads.start()
