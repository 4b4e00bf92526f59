"""What the workers of a preloading master share, and what a process grows by while it serves requests."""

import re
from pathlib import Path
from statistics import fmean

import pytest

from tests.serving import gunicorn, running
from tests.sink import Sink, until
from tidemark_django.memory import Growth

MIB = 1024 * 1024
SHARED = "tidemark.process.memory.shared"
GROWTH = "tidemark.process.memory.growth"


def copy_on_write(pid: int) -> int:
    """Bytes of the written pages that a process shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"Shared_Dirty:\s+(\d+)", text)
    assert found is not None
    return int(found.group(1)) * 1024


def shared_by_workers(sink: Sink, *options: str) -> tuple[float, float]:
    """What two workers share on average and hold alone, as the agent tells it; it must be what the kernel tells."""
    sink.metrics.clear()
    with running(gunicorn("--workers", "2", *options), sink) as server:
        until(lambda: len({point.resource["process.pid"] for point in sink.points(SHARED)}) == 2)

        def newest(name: str) -> dict[int, float]:
            return {point.resource["process.pid"]: point.value for point in sink.points(name)}

        # A worker that did something since its last report shares less than it said.
        until(lambda: all(abs(value - copy_on_write(pid)) < MIB for pid, value in newest(SHARED).items()))
        assert server.process.pid not in newest(SHARED)
        uss, pss = newest("tidemark.process.memory.uss"), newest("tidemark.process.memory.pss")
        assert all(uss[pid] < pss[pid] for pid in uss)
        return fmean(newest(SHARED).values()), fmean(uss.values())


def test_workers_of_a_preloading_master_share_what_it_loaded(sink: Sink) -> None:
    alone_shared, alone_uss = shared_by_workers(sink)
    shared, uss = shared_by_workers(sink, "--preload")
    assert shared > alone_shared + 5 * MIB
    assert uss < alone_uss - 5 * MIB


def test_memory_kept_by_each_request_is_told_per_1000_requests(sink: Sink) -> None:
    kept = 32 * 1024
    with running(gunicorn("--worker-class", "gthread", "--threads", "2"), sink) as server:

        def told() -> float:
            server.hammer(f"/keep/{kept}/", clients=2, rounds=100)
            return sink.points(GROWTH)[-1].value if sink.points(GROWTH) else 0.0

        growth = until(told, 60)
        server.stop()
    assert growth == pytest.approx(1000 * kept, rel=0.15)


def test_memory_that_does_not_rise_with_the_requests_has_not_grown() -> None:
    growth = Growth()
    for served in range(0, 1600, 100):
        growth.add(served, 10 * MIB + 1000 * served)
        assert growth.per_1000_requests() is None
    # More often than is kept.
    for served in range(1600, 100_000, 100):
        growth.add(served, 60 * MIB + (served * 7919) % MIB)
    assert growth.per_1000_requests() == 0


def test_growth_that_begins_late_is_seen() -> None:
    growth = Growth()
    for served in range(0, 200_000, 1000):
        growth.add(served, 60 * MIB + max(0, served - 180_000) * 4096)
    assert growth.per_1000_requests() == pytest.approx(1000 * 4096, rel=0.01)
