"""
What the agent costs a request: gunicorn gthread 1x4 with and without it, in turns, median of the rounds.

Run: python bench/overhead.py [rounds]. Needs wrk. Order matters on a warm machine, so the two take turns; only the
ratio means something.
"""

import contextlib
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
from tests.sink import serve

SECONDS = 4
COMMAND = gunicorn("--worker-class", "gthread", "--threads", "4")


def run(server: Running, path: str) -> tuple[float, float]:
    """One run of wrk with 8 connections: requests per second, and processor seconds per request."""
    before = cpu_seconds(server)
    output = subprocess.run(
        ["wrk", "-t1", "-c8", f"-d{SECONDS}s", f"http://127.0.0.1:{server.port}{path}"],
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


def main(rounds: int) -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: nothing measured")
    sink = serve()
    target = next(sink)
    library = database()
    summary: dict[str, float] = {"rounds": rounds}
    for path, label in (("/", "noop"), ("/five/", "five_queries")):
        rates: dict[str, list[float]] = {"bare": [], "agent": []}
        costs: dict[str, list[float]] = {"bare": [], "agent": []}
        env = {"TEST_SQLITE": library, "TIDEMARK_EXPORT_INTERVAL": "10"}
        with running(COMMAND, target, **env, TIDEMARK_DISABLED="1") as bare, running(COMMAND, target, **env) as agent:
            for number in range(rounds + 1):
                for name, server in (("bare", bare), ("agent", agent))[:: 1 if number % 2 else -1]:
                    rate, cost = run(server, path)
                    if number:
                        rates[name].append(rate)
                        costs[name].append(cost)
        rate = statistics.median(a / b for a, b in zip(rates["agent"], rates["bare"], strict=True))
        cost = statistics.median(a / b for a, b in zip(costs["agent"], costs["bare"], strict=True))
        summary |= {f"rate_{label}": round(rate, 3), f"cpu_{label}": round(cost, 3)}
        for name in ("bare", "agent"):
            micro = statistics.median(costs[name]) * 1e6
            print(f"{path:8} {name:6} {statistics.median(rates[name]):7.0f} requests/s {micro:7.0f} us CPU/request")
        print(f"{path:8} ratio  {rate:7.3f} of the rate  {cost:7.3f} of the CPU")
    print(json.dumps(summary))
    next(sink, None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
