import random
import threading
import time
from typing import Final

from tidemark_django import kernel, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Histogram
from tidemark_django.alarm import Alarm
from tidemark_django.native import gil_enabled
from tidemark_django.saturation import Reading, Resource

PROBE_PERIOD_S: Final = 0.1
LOOP_PROBE_PERIOD_S: Final = 0.02
"""Where there is a loop its own wait is measured, and rare long blocks want many probes."""
PROBE_JITTER: Final = 0.25
# A quiet interpreter wakes its probe within 0.10 ms at p90 (measured); what is longer found the lock held.
HELD_S: Final = 0.25e-3


class LockProbe:
    """
    The interpreter lock and the processor, from the pauses of the agent's thread.

    The thread sleeps; how late it wakes is time it waited for a core (the kernel's timer tells that, and the kernel
    counts it where a thread may run and does not) plus time it waited for the interpreter lock (the rest). The period
    is jittered so that it does not keep step with the switch interval.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._alarm = Alarm()
        self._times = kernel.OwnTimes()
        self._locked = False
        self._gil_waits: list[bool] = []
        self._cpu = (time.perf_counter(), time.process_time())
        self._cores = kernel.usable_cores()
        self._asleep_until: float | None = None
        self.gil: Resource | None = None
        self.cpu: Resource | None = None
        self._gil_wait: Histogram | None = None
        self._cpu_wait: Histogram | None = None
        self._busy_share = 0.0
        if kernel.thread_times(threading.get_native_id()) is not None:
            self.cpu = agent.add(Resource(agent.registry, "cpu", "process", self._read_cpu))
            self._cpu_wait = self.cpu.wait
        self._look_for_lock()

    def _look_for_lock(self) -> None:
        """A build without the lock has it from the first import of an extension that wants it: then it is measured."""
        if not gil_enabled():
            return
        self._locked = True
        self._agent.identity[semconv.TIDEMARK_GIL] = "on"
        if self._cpu_wait is not None:
            self.gil = self._agent.add(Resource(self._agent.registry, "gil", "process", self._read_gil))
            self._gil_wait = self.gil.wait

    def once(self) -> None:
        """Sleeps one period, measures, and pokes the loops. From the agent's thread."""
        if not self._locked:
            self._look_for_lock()
        loops = self._agent.loops
        period = (LOOP_PROBE_PERIOD_S if loops else PROBE_PERIOD_S) * (1 + random.uniform(-PROBE_JITTER, PROBE_JITTER))
        for loop in loops:
            loop.probe()
        before = self._times.read() if self._cpu_wait is not None else None
        late, without_core = self._alarm.sleep(period)
        if before is None or self._cpu_wait is None:
            return
        after = self._times.read()
        if after is None:
            return
        starved = max(without_core or 0.0, after[1] - before[1])
        self._cpu_wait.record(starved)
        if self._gil_wait is not None:
            waited = max(0.0, late - starved)
            self._gil_wait.record(waited)
            self._gil_waits.append(waited > HELD_S)

    def _read_gil(self) -> Reading | None:
        """Share of the probes that found the lock held: arrivals at random moments see the time average."""
        found, self._gil_waits = self._gil_waits, []
        if found:
            self._busy_share = sum(found) / len(found)
        return Reading(capacity=1, busy=self._busy_share)

    def _read_cpu(self) -> Reading:
        last, now = self._cpu, (time.perf_counter(), time.process_time())
        elapsed = now[0] - last[0]
        if elapsed >= 0.05:
            self._cpu_busy = (now[1] - last[1]) / elapsed
            self._cpu = now
        return Reading(capacity=self._cores, busy=self._cpu_busy)

    _cpu_busy = 0.0
