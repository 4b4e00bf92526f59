"""The interpreter lock told apart from other causes of lateness, with real processes and known causes."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from statistics import fmean, median, quantiles

import pytest

from tests.serving import ROOT

PROBES = 120
OUTSIDE = 6
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


def waits(burners: int) -> dict[str, list[float]]:
    """What a probe found for the lock and for a core, in a process with that many computing threads."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(burners), str(PROBES)], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    found: dict[str, list[float]] = json.loads(done.stdout)
    assert len(found["gil"]) == len(found["cpu"]) == PROBES
    return found


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
    quiet, one, four = (waits(burners)["gil"] for burners in (0, 1, 4))
    assert median(quiet) < 0.001
    # One computing thread gives the lock away after each switch interval, 5 ms.
    assert 0.004 < median(one) < 0.007
    # Of four each may take the lock before the probe does.
    assert fmean(four) > 1.3 * fmean(one)
    assert quantiles(four, n=10)[-1] > 0.009


@pytest.mark.measured
def test_other_processes_take_the_core_and_not_the_lock() -> None:
    with computing_processes(OUTSIDE):
        beside = waits(0)
    assert median(beside["gil"]) < 0.001
    assert fmean(beside["cpu"]) > 2 * fmean(beside["gil"])
