"""
What the agent costs a request: gunicorn gthread 1x4 bare, with the agent, and with OpenTelemetry's own Django
instrumentation, in turns, median of the rounds; and what it costs the agent that its ingest is away.

Needs wrk, which gets the last core for itself where there is taskset: the servers stay off it. Order matters on a warm
machine, so they take turns, many times and shortly (AB, BA); only the ratios mean something. Each ratio has the
interval that holds the median of such rounds with 95 %. The memory is the worker's resident memory with the agent
less that of the bare one, after the load; ``control`` is a second bare server, whose ratio to the first is the
noise of the machine; the growth is that of the worker whose ingest is away,
from the first round to the last.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.serving import Running, gunicorn, running
from tests.sink import Sink, serve

SECONDS = 2
ACCEPTED_OUTSIDE = 0.05
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = ["taskset", "-c", str(CORES[-1])] if len(CORES) > 1 and shutil.which("taskset") else []
COMMAND = gunicorn("--worker-class", "gthread", "--threads", "4")
OTEL_COMMAND = [*COMMAND[:-1], "bench.otel_wsgi:application"]
NOBODY = "http://127.0.0.1:9"
ENVIRONMENTS = {
    "bare": {"TIDEMARK_DISABLED": "1"},
    "agent": {"TIDEMARK_EXPORT_INTERVAL": "10"},
    "control": {"TIDEMARK_DISABLED": "1"},
    "otel": {"TIDEMARK_DISABLED": "1"},
    "up": {"TIDEMARK_EXPORT_INTERVAL": "1"},
    "away": {"TIDEMARK_EXPORT_INTERVAL": "1", "TIDEMARK_ENDPOINT": NOBODY},
}


@dataclass
class Compared:
    """Ratios to the first of the servers by name: median, and the interval that holds it; bytes of their workers."""

    rate: dict[str, float]
    rate_interval: dict[str, tuple[float, float]]
    cpu: dict[str, float]
    cpu_interval: dict[str, tuple[float, float]]
    resident: dict[str, int]
    growth: dict[str, int]


def run(server: Running, path: str) -> tuple[float, float]:
    """One run of wrk with 8 connections: requests per second, and processor seconds per request."""
    before = cpu_seconds(server)
    output = subprocess.run(
        [*PINNED, "wrk", "-t1", "-c8", f"-d{SECONDS}s", f"http://127.0.0.1:{server.port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None, output
    assert "Non-2xx" not in output, output
    count = re.search(r"(\d+) requests in", output)
    assert count
    return float(found.group(1)), (cpu_seconds(server) - before) / int(count.group(1))


def of_workers(server: Running) -> Iterator[Path]:
    """Folders in ``/proc`` of the workers of a server."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(") ")[2].split()[1]) == server.process.pid:
                yield stat.parent


def cpu_seconds(server: Running) -> float:
    """Processor time of the threads of a server's workers so far, to the nanosecond."""
    total = 0
    for worker in of_workers(server):
        for thread in worker.glob("task/*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def database() -> str:
    """A library of 20 books, so that ``/five/`` has something to ask for."""
    from tests.conftest import make_library

    return make_library(str(Path(tempfile.mkdtemp(), "library.sqlite3")))


def resident_bytes(server: Running) -> int:
    """Resident memory of the workers of a server."""
    pages = sum(int((worker / "statm").read_text().split()[1]) for worker in of_workers(server))
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(target: Sink, path: str, rounds: int, names: list[str]) -> Compared:
    """The servers of *names* under the same load in turns, compared with the first of them."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    library = database()
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                running(OTEL_COMMAND if name == "otel" else COMMAND, target, TEST_SQLITE=library, **ENVIRONMENTS[name])
            )
            for name in names
        }
        warm: dict[str, int] = {}
        for number in range(rounds + 1):
            for name in names[:: 1 if number % 2 else -1]:
                found = run(servers[name], path)
                if number:
                    runs[name].append(found)
            warm = warm or {name: resident_bytes(server) for name, server in servers.items()}
            print(f"{path} round {number} of {rounds}", file=sys.stderr)
        resident = {name: resident_bytes(server) for name, server in servers.items()}
    for name in names:
        rate, micro = (statistics.median(column) for column in zip(*runs[name], strict=True))
        print(f"{path:8} {name:6} {rate:7.0f} requests/s {micro * 1e6:7.0f} us CPU/request")
    return compare(path, runs, resident, {name: resident[name] - warm[name] for name in names})


def compare(
    path: str, runs: dict[str, list[tuple[float, float]]], resident: dict[str, int], growth: dict[str, int]
) -> Compared:
    """Ratios of each round's rate and processor time to those of the first server in the same round."""
    compared = Compared({}, {}, {}, {}, resident, growth)
    first, *others = runs
    for name in others:
        pairs = list(zip(runs[name], runs[first], strict=True))
        rates, costs = (sorted(own[part] / other[part] for own, other in pairs) for part in (0, 1))
        compared.rate[name], compared.cpu[name] = (round(statistics.median(ratios), 3) for ratios in (rates, costs))
        compared.rate_interval[name], compared.cpu_interval[name] = interval(rates), interval(costs)
        for of, median, (low, high) in (
            ("rate", compared.rate[name], compared.rate_interval[name]),
            ("CPU", compared.cpu[name], compared.cpu_interval[name]),
        ):
            print(f"{path:8} {name:6} {median:7.3f} of the {of} of {first}, {low:.3f} to {high:.3f}")
    return compared


def interval(ordered: list[float]) -> tuple[float, float]:
    """
    What holds the median with 95 %, from the order of the values alone (sign test). With fewer than six: all of them.

    >>> interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    (2.0, 8.0)
    """
    count = len(ordered)
    outside = 0
    tail = 1 / 2**count
    while 2 * (tail + comb(count, outside + 1) / 2**count) <= ACCEPTED_OUTSIDE:
        outside += 1
        tail += comb(count, outside) / 2**count
    return round(ordered[outside], 3), round(ordered[-1 - outside], 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count, after one that does not (15)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: nothing measured")
    names = ["bare", "agent"]
    if importlib.util.find_spec("opentelemetry.instrumentation.django") is not None:
        names.append("otel")
    else:
        print("opentelemetry-instrumentation-django is not installed: not measured beside", file=sys.stderr)
    with contextlib.contextmanager(serve)() as target:
        if PINNED:
            os.sched_setaffinity(0, CORES[:-1])
        noop = measure(target, "/", arguments.rounds, names)
        five = measure(target, "/five/", arguments.rounds, ["bare", "agent", "control"])
        away = measure(target, "/", arguments.rounds, ["up", "away"])
    summary: dict[str, object] = {
        "rounds": arguments.rounds,
        "noop_rps_ratio": noop.rate["agent"],
        "noop_rps_interval": noop.rate_interval["agent"],
        "noop_cpu_ratio": noop.cpu["agent"],
        "noop_cpu_interval": noop.cpu_interval["agent"],
        "five_queries_rps_ratio": five.rate["agent"],
        "five_queries_rps_interval": five.rate_interval["agent"],
        "five_queries_cpu_ratio": five.cpu["agent"],
        "five_queries_cpu_interval": five.cpu_interval["agent"],
        "five_queries_control_rps_ratio": five.rate["control"],
        "five_queries_control_rps_interval": five.rate_interval["control"],
        "five_queries_control_cpu_ratio": five.cpu["control"],
        "five_queries_control_cpu_interval": five.cpu_interval["control"],
        "otel_noop_rps_ratio": noop.rate.get("otel"),
        "rss_bytes": noop.resident["agent"] - noop.resident["bare"],
        "unreachable_rps_ratio": away.rate["away"],
        "unreachable_rps_interval": away.rate_interval["away"],
        "unreachable_growth_bytes": away.growth["away"],
    }
    if arguments.json:
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
