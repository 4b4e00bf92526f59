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

WATCH_PERIOD_S: Final = 0.05
SAMPLE_PERIOD_S: Final = 0.25


class Threads:
    """The three daemon threads of one process: sampler with watchdog, lock probe, export."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._process = ProcessWatch(agent)
        self._memory = MemoryWatch(agent.connections)
        self._stalls = StallWatch(agent)
        self._probe = LockProbe(agent)
        self._exporter = Exporter(agent, self.collect)
        self._stop = native.Event()
        self._findings = FindingsWatch(agent)

    def start(self) -> None:
        for name, body in (("sampler", self._sample), ("probe", self._probe_locks), ("export", self._exporter.run)):
            native.start_thread(f"tidemark-{name}", partial(self._run, name, body))
        atexit.register(self.close)

    def _run(self, name: str, body: Callable[[], None]) -> None:
        self._agent.agent_threads[name] = threading.get_native_id()
        try:
            body()
        except Exception as error:
            self._agent.failed(name, error)

    def _sample(self) -> None:
        last = time.perf_counter()
        while not self._stop.wait(WATCH_PERIOD_S):
            self._guard("stalls", self._stalls.tick)
            now = time.perf_counter()
            elapsed = now - last
            if elapsed >= SAMPLE_PERIOD_S:
                last = now
                for resource in self._agent.resources:
                    self._guard(f"resource.{resource.kind}", partial(resource.tick, elapsed))
                self._guard("registry", self._agent.registry.fold)
                self._guard("memory", self._memory.tick)
                self._agent.agent_cpu["sampler"] = time.thread_time()

    def _probe_locks(self) -> None:
        while not self._stop.is_set():
            self._probe.once()
            self._agent.agent_cpu["probe"] = time.thread_time()

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

    def close(self) -> None:
        """The last export, at the end of the process; a child that inherited the hook does nothing."""
        if os.getpid() != self._agent.pid or runtime.agent is not self._agent:
            return
        self._stop.set()
        self._exporter.close()


def start(agent: Agent) -> None:
    """Starts the threads of an agent."""
    agent.threads = Threads(agent)
    agent.threads.start()
