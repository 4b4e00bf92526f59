"""
What the agent costs a request: gunicorn gthread 1x4 bare, with the agent, and with OpenTelemetry's own Django
instrumentation, in turns, median of the rounds.

Needs wrk, which gets a core of its own where there is taskset. Order matters on a warm machine, so they take turns,
many times and shortly; only the ratios mean something. The memory is the worker's resident memory with the agent less
that of the bare one, after the load.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.serving import Running, gunicorn, running
from tests.sink import Sink, serve

SECONDS = 2
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = ["taskset", "-c", str(CORES[-1])] if len(CORES) > 1 and shutil.which("taskset") else []
COMMAND = gunicorn("--worker-class", "gthread", "--threads", "4")
OTEL_COMMAND = [*COMMAND[:-1], "bench.otel_wsgi:application"]


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


def cpu_seconds(server: Running) -> float:
    """Processor time of a server with its workers so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    own = server.process.pid
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(") ")[2].split()
            if int(stat.parent.name) == own or int(fields[1]) == own:
                total += int(fields[11]) + int(fields[12])
    return total / ticks


def database() -> str:
    """A library of 20 books, so that ``/five/`` has something to ask for."""
    from tests.conftest import make_library

    return make_library(str(Path(tempfile.mkdtemp(), "library.sqlite3")))


def resident_bytes(server: Running) -> int:
    """Resident memory of the workers of a server."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(") ")[2].split()[1]) == server.process.pid:
                pages += int(stat.with_name("statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(target: Sink, path: str, rounds: int, names: list[str]) -> tuple[dict[str, float], dict[str, float], int]:
    """Median ratios to bare of the rate and of the processor time per request, and the agent's memory in bytes."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    costs: dict[str, list[float]] = {name: [] for name in names}
    library = database()
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                running(
                    OTEL_COMMAND if name == "otel" else COMMAND,
                    target,
                    TEST_SQLITE=library,
                    TIDEMARK_EXPORT_INTERVAL="10",
                    TIDEMARK_DISABLED="0" if name == "agent" else "1",
                )
            )
            for name in names
        }
        for number in range(rounds + 1):
            for name in names[:: 1 if number % 2 else -1]:
                rate, cost = run(servers[name], path)
                if number:
                    rates[name].append(rate)
                    costs[name].append(cost)
            print(f"{path} round {number} of {rounds}", file=sys.stderr)
        grown = resident_bytes(servers["agent"]) - resident_bytes(servers["bare"])
    for name in names:
        micro = statistics.median(costs[name]) * 1e6
        print(f"{path:8} {name:6} {statistics.median(rates[name]):7.0f} requests/s {micro:7.0f} us CPU/request")

    def ratios(values: dict[str, list[float]]) -> dict[str, float]:
        pairs = {name: zip(values[name], values["bare"], strict=True) for name in names if name != "bare"}
        return {name: round(statistics.median(a / b for a, b in pair), 3) for name, pair in pairs.items()}

    rate_ratios, cost_ratios = ratios(rates), ratios(costs)
    for name, ratio in rate_ratios.items():
        print(f"{path:8} {name:6} {ratio:7.3f} of the bare rate {cost_ratios[name]:7.3f} of the bare CPU")
    return rate_ratios, cost_ratios, grown


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
    sink = serve()
    target = next(sink)
    noop, noop_cpu, grown = measure(target, "/", arguments.rounds, names)
    five, five_cpu, _ = measure(target, "/five/", arguments.rounds, names[:2])
    next(sink, None)
    summary: dict[str, float | None] = {
        "rounds": arguments.rounds,
        "noop_rps_ratio": noop["agent"],
        "noop_cpu_ratio": noop_cpu["agent"],
        "five_queries_rps_ratio": five["agent"],
        "five_queries_cpu_ratio": five_cpu["agent"],
        "otel_noop_rps_ratio": noop.get("otel"),
        "rss_bytes": grown,
    }
    if arguments.json:
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
