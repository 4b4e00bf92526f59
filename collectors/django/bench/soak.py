"""
Many requests for many URLs on workers that are replaced all the time, with the ingest away half of the time: memory
must stay flat, routes capped, and every request either received by the ingest or told as lost in a worker's last words.
"""

import argparse
import json
import re
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from tests.serving import Running, gunicorn, running
from tests.sink import Sink, listen

DURATION = "http.server.request.duration"
LOST = re.compile(rb"ends with the measurements of (\d+) requests unsent and of (\d+) unanswered")
ACCESS = "one request served"
CLIENTS = 4
WORKERS = 2
MIB = 1024 * 1024
ROUTES = 400


@dataclass
class Totals(Sink):
    """What the ingest received, added up: a soak is longer than a list."""

    requests: int = 0
    routes: dict[str, set[str]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    agent_errors: float = 0
    pids: set[int] = field(default_factory=set)
    messages: set[tuple[str, int]] = field(default_factory=set)
    """Instance and time of each: one whose answer was lost comes again."""

    def add_up(self) -> None:
        """Adds up and forgets what arrived. Called after each message."""
        received, self.metrics = self.metrics, []
        self.logs, self.spans, self.headers = [], [], []
        if not received:
            return
        message = (received[0].resource["service.instance.id"], received[0].time_ns)
        if message in self.messages:
            return
        self.messages.add(message)
        for point in received:
            self.pids.add(point.resource["process.pid"])
            if point.name == DURATION:
                self.requests += point.count
                instance = point.resource["service.instance.id"]
                self.routes.setdefault(instance, set()).add(str(point.attributes.get("http.route")))
            elif point.name == "tidemark.agent.dropped":
                self.dropped[point.attributes["tidemark.dropped.reason"]] += int(point.value)
            elif point.name == "tidemark.agent.errors":
                self.agent_errors += point.value


@contextmanager
def coming_and_going(totals: Totals, period: float) -> Iterator[None]:
    """The ingest, up for one period and away for the next: away means that its port refuses connections."""
    ended = threading.Event()
    lock = threading.Lock()

    def took() -> None:
        with lock:
            totals.add_up()

    def live() -> None:
        while True:
            with listen(totals, totals.port, took):
                if ended.wait(period):
                    return
            if ended.wait(period):
                with listen(totals, totals.port, took):
                    return

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ask(port: int, number: int, urls: int) -> bool:
    """One request on a connection of its own; whether it was answered with 200."""
    item = number % urls
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /many/%d/%d/ HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n" % (item % ROUTES, item))
        answer = b""
        while part := client.recv(4096):
            answer += part
    return answer.startswith(b"HTTP/1.1 200")


def proportional_bytes(server: Running) -> int:
    """Proportional set size of a server and its workers."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            owner = int(stat.read_text().rpartition(") ")[2].split()[1])
            if server.process.pid in (owner, int(stat.parent.name)):
                found = re.search(r"Pss:\s+(\d+)", stat.with_name("smaps_rollup").read_text())
                total += int(found.group(1)) * 1024 if found else 0
        except OSError:
            continue
    return total


def soak(requests: int, urls: int, recycle: int, period: float) -> dict[str, Any]:
    """Runs it; the figures."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        totals = Totals(port=probe.getsockname()[1])
    command = gunicorn(
        *("--worker-class", "gthread", "--threads", "4", "--workers", str(WORKERS)),
        *("--max-requests", str(recycle), "--max-requests-jitter", str(recycle // 10)),
        *("--access-logfile", "-", "--access-logformat", ACCESS),
    )
    memory: list[int] = []
    answered = 0
    started = time.monotonic()
    with (
        coming_and_going(totals, period),
        running(command, totals, TEST_URLCONF="tests.project.many_urls", TIDEMARK_EXPORT_INTERVAL="0.5") as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        step = max(CLIENTS, requests // 60)
        for first in range(0, requests, step):
            numbers = range(first, min(first + step, requests))
            answered += sum(pool.map(lambda number: ask(server.port, number, urls), numbers, chunksize=16))
            memory.append(proportional_bytes(server))
            print(f"{answered} of {requests} answered, {memory[-1] / MIB:.0f} MiB", file=sys.stderr)
        elapsed = time.monotonic() - started
        server.stop()
        log = server.output.read_bytes()
    third = max(1, len(memory) // 3)
    served = log.count(ACCESS.encode())
    lost, unanswered = (sum(int(found[part]) for found in LOST.findall(log)) for part in (0, 1))
    missing = served - totals.requests - lost
    return {
        "requests": requests,
        "answered": answered,
        "served": served,
        "received": totals.requests,
        "told_lost": lost,
        "told_unanswered": unanswered,
        "unaccounted": missing - max(0, min(missing, unanswered)),
        "workers": len(totals.pids),
        "most_routes": max((len(routes) for routes in totals.routes.values()), default=0),
        "dropped": dict(totals.dropped),
        "agent_errors": totals.agent_errors,
        "problems": totals.problems[:5],
        "growth_bytes": int(statistics.median(memory[-third:]) - statistics.median(memory[third : 2 * third])),
        "pss_bytes": int(statistics.median(memory)),
        "seconds": round(elapsed, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests to serve (1000000)")
    parser.add_argument("--urls", type=int, default=20_000, help="distinct URLs (20000)")
    parser.add_argument("--recycle", type=int, default=1000, help="requests after which a worker is replaced (1000)")
    parser.add_argument("--period", type=float, default=10.0, help="seconds the ingest is up, then away (10)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    figures = soak(arguments.requests, arguments.urls, arguments.recycle, arguments.period)
    for name, value in figures.items():
        print(f"{name:15} {value}")
    if arguments.json:
        print(json.dumps(figures))
    sys.exit(0 if figures["unaccounted"] == 0 else 1)


if __name__ == "__main__":
    main()
