import gc
import os
import sys
import time
from collections import deque
from typing import Any, Final

from tidemark_django import kernel, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Attributes, Point
from tidemark_django.native import gil_enabled
from tidemark_django.quota import QUOTA_LIMIT, cpu_quota

MAX_PAUSES: Final = 10_000
GC_KEYS: Final = {
    "collections": "cpython.gc.collections",
    "collected": "cpython.gc.collected_objects",
    "uncollectable": "cpython.gc.uncollectable_objects",
}


class ProcessWatch:
    """CPU, threads, descriptors, switches and garbage collection of this process."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._sums: dict[tuple[str, Attributes], float] = {}
        self._gc_started = 0.0
        self._pauses: deque[tuple[int, float]] = deque(maxlen=MAX_PAUSES)
        for metric, attributes, total in self._counters():
            self._sums[metric, attributes] = total
        gc.callbacks.append(self._on_gc)

    def stop(self) -> None:
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_started = time.perf_counter()
        elif self._gc_started:
            pause = time.perf_counter() - self._gc_started
            self._pauses.append((int(info["generation"]), pause))

    def _counters(self) -> list[tuple[str, Attributes, float]]:
        usage = os.times()
        counters: list[tuple[str, Attributes, float]] = [
            ("process.cpu.time", ((semconv.CPU_MODE, "user"),), usage.user),
            ("process.cpu.time", ((semconv.CPU_MODE, "system"),), usage.system),
        ]
        try:
            import resource

            own = resource.getrusage(resource.RUSAGE_SELF)
            kind = semconv.PROCESS_CONTEXT_SWITCH_TYPE
            counters += [
                ("process.context_switches", ((kind, "voluntary"),), own.ru_nvcsw),
                ("process.context_switches", ((kind, "involuntary"),), own.ru_nivcsw),
            ]
        except ImportError:
            pass
        for generation, stats in enumerate(gc.get_stats()):
            label = ((semconv.CPYTHON_GC_GENERATION, generation),)
            counters += [(metric, label, stats[key]) for key, metric in GC_KEYS.items()]
        times = kernel.thread_times(os.getpid())
        if times is not None:
            counters += self._thread_times("main", times)
        agent_times = [kernel.thread_times(ident) for ident in self._agent.agent_threads.values()]
        known = [entry for entry in agent_times if entry is not None]
        if known:
            counters += self._thread_times("agent", (sum(ran for ran, _ in known), sum(wait for _, wait in known)))
        counters += [
            ("tidemark.agent.cpu.time", ((semconv.TIDEMARK_AGENT_PART, part),), seconds)
            for part, seconds in list(self._agent.agent_cpu.items())
        ]
        counters += [(name, (), value) for name, value in (cpu_quota() or {}).items() if name != QUOTA_LIMIT]
        return counters

    @staticmethod
    def _thread_times(role: str, times: tuple[float, float]) -> list[tuple[str, Attributes, float]]:
        return [
            (
                "tidemark.thread.cpu.time",
                ((semconv.TIDEMARK_THREAD_ROLE, role), (semconv.TIDEMARK_CPU_STATE, state)),
                seconds,
            )
            for state, seconds in zip(("running", "runqueue"), times, strict=True)
        ]

    def take(self) -> list[Point]:
        points: list[Point] = []
        for metric, attributes, total in self._counters():
            before = self._sums.get((metric, attributes), 0.0)
            self._sums[metric, attributes] = total
            points.append(Point(metric, attributes, max(0.0, total - before)))
        while self._pauses:
            generation, pause = self._pauses.popleft()
            self._agent.histogram("tidemark.cpython.gc.pause", (semconv.CPYTHON_GC_GENERATION, generation)).record(
                pause
            )
        for metric, count in (
            ("process.thread.count", kernel.thread_count()),
            ("process.open_file_descriptor.count", kernel.descriptor_count()),
        ):
            if count is not None:
                points.append(Point(metric, (), count))
        quota = cpu_quota()
        if quota is not None:
            points.append(Point(QUOTA_LIMIT, (), quota[QUOTA_LIMIT]))
        points.append(Point("process.uptime", (), time.time() - self._agent.started_at))
        if gil_enabled():
            points.append(Point("tidemark.cpython.gil.switch_interval", (), sys.getswitchinterval()))
        return points
