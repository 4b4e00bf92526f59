"""The interpreter lock told apart from other causes of lateness, with real processes and known causes."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median, quantiles

import pytest

from tests.serving import ROOT

PROBES = 80
ROUNDS = 2
OUTSIDE = 6
STOPPED_S = 0.02
PROBE = """
import json, sys, threading
from tidemark_django import probes
from tidemark_django.agent import Agent
from tidemark_django.config import Config
from tidemark_django.identity import Server

def burn():
    while True:
        pass

for _ in range(int(sys.argv[1])):
    threading.Thread(target=burn, daemon=True).start()
probes.PROBE_PERIOD_S = 0.02
probe = probes.LockProbe(Agent(Config(), Server("test")))
for _ in range(int(sys.argv[2])):
    probe.once()
print(json.dumps({"gil": list(probe.gil.wait._pending), "cpu": list(probe.cpu.wait._pending)}))
"""


@contextlib.contextmanager
def probing(burners: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process with that many computing threads, and a probe."""
    command = [sys.executable, "-c", PROBE, str(burners), str(PROBES)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[bytes]) -> dict[str, list[float]]:
    """What a probe found for the lock and for a core, in seconds."""
    found: dict[str, list[float]] = json.loads(process.communicate(timeout=60)[0])
    assert len(found["gil"]) == len(found["cpu"]) == PROBES
    return found


def waits(burners: int) -> dict[str, list[float]]:
    with probing(burners) as process:
        return read(process)


@contextlib.contextmanager
def computing_processes(count: int) -> Iterator[None]:
    """Other processes that want every core."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.measured
def test_a_quiet_interpreter_one_burner_and_four_are_three_different_things() -> None:
    rounds = [[waits(burners)["gil"] for burners in (0, 1, 4)] for _ in range(ROUNDS)]
    quiet, one = (sorted(median(found[index]) for found in rounds) for index in (0, 1))
    assert quiet[0] < 0.001
    # One computing thread gives the lock away after each switch interval, 5 ms; without a core, later.
    assert one[-1] > 0.004
    assert one[0] < 0.007
    # Of four each may take the lock before the probe does.
    assert max(fmean(found[2]) / fmean(found[1]) for found in rounds) > 1.3
    assert max(quantiles(found[2], n=10)[-1] for found in rounds) > 0.009
    assert one[0] > 4 * quiet[0]


@pytest.mark.measured
def test_other_processes_take_the_core_and_not_the_lock() -> None:
    with computing_processes(OUTSIDE):
        beside = waits(0)
    assert median(beside["gil"]) < 0.001
    assert fmean(beside["cpu"]) > 2 * fmean(beside["gil"])


def stop_in_its_sleep(process: subprocess.Popen[bytes]) -> None:
    """Waits until the process sleeps, and stops it: one whose timer has rung was told its lateness already."""
    stat = Path(f"/proc/{process.pid}/stat")
    while process.poll() is None:
        if stat.read_text().rpartition(")")[2].split()[0] == "S":
            process.send_signal(signal.SIGSTOP)
            return


@pytest.mark.measured
def test_time_that_the_kernel_counts_for_no_thread_is_not_the_locks() -> None:
    # Stopped, as by a hypervisor that gives the core to another machine: half of all time.
    with probing(0) as process:
        pause = threading.Event()
        while process.poll() is None:
            stop_in_its_sleep(process)
            pause.wait(STOPPED_S)
            process.send_signal(signal.SIGCONT)
            pause.wait(STOPPED_S)
        beside = read(process)
    late = [(cpu, gil) for cpu, gil in zip(beside["cpu"], beside["gil"], strict=True) if cpu + gil > STOPPED_S / 8]
    # Half of the probes end in a stop, and wait for the rest of it.
    assert len(late) > PROBES / 4
    assert sum(gil > cpu for cpu, gil in late) < len(late) / 4
    assert fmean(cpu for cpu, _ in late) > STOPPED_S / 4
    assert median(beside["gil"]) < 0.001
