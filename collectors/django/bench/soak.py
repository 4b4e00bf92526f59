"""
Many requests for many URLs on workers that are replaced all the time, with the ingest away half of the time: memory
must stay flat, routes capped, and every request either received by the ingest or told as lost in a worker's last words.
"""

import argparse
import http.client
import json
import re
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


from tests.daemons import free_port
from tests.serving import Running, gunicorn, running
from tests.sink import Sink, listen

DURATION = "http.server.request.duration"
LOST = re.compile(rb"ends with the measurements of (\d+) requests unsent and of (\d+) unanswered")
ACCESS = "one request served"
CLIENTS = 8
KEPT_FOR = 25
"""Requests of one connection."""
PATIENCE_S = 60
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

    def add(self, message: Sink) -> None:
        """Adds up a message, and forgets it."""
        self.problems += message.problems
        if not message.metrics:
            return
        first = message.metrics[0]
        instance = first.resource["service.instance.id"]
        if (instance, first.time_ns) in self.messages:
            return
        self.messages.add((instance, first.time_ns))
        self.pids.add(first.resource["process.pid"])
        for point in message.metrics:
            if point.name == DURATION:
                self.requests += point.count
                self.routes.setdefault(instance, set()).add(str(point.attributes.get("http.route")))
            elif point.name == "tidemark.agent.dropped":
                self.dropped[point.attributes["tidemark.dropped.reason"]] += int(point.value)
            elif point.name == "tidemark.agent.errors":
                self.agent_errors += point.value


@contextmanager
def coming_and_going(totals: Totals, period: float) -> Iterator[None]:
    """The ingest, up for one period and away for the next: away means that its port refuses connections."""
    ended = threading.Event()

    def live() -> None:
        while True:
            with listen(totals, totals.port):
                if ended.wait(period):
                    return
            if ended.wait(period):
                with listen(totals, totals.port):
                    return

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Client:
    """
    A connection that is kept for some requests, so that the client is not what the soak waits for, and renewed then,
    so that each worker gets its share. A request that an ending worker did not answer is asked again.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._left = 0

    def get(self, path: str) -> bool:
        """Whether it was answered with 200."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                return self._ask(path)
            except (OSError, http.client.HTTPException):
                self._connection.close()
        return False

    def _ask(self, path: str) -> bool:
        if self._connection.sock is None or self._left == 0:
            self._connection.close()  # it opens another one by itself
            self._left = KEPT_FOR
        self._left -= 1
        self._connection.request("GET", path)
        with self._connection.getresponse() as response:
            response.read()
            return response.status == http.HTTPStatus.OK


def ask(client: Client, numbers: range, urls: int) -> int:
    """Asks for one page after the other; how many were answered with 200."""
    items = (number % urls for number in numbers)
    return sum(client.get(f"/many/{item % ROUTES}/{item}/") for item in items)


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


def soak(
    requests: int, urls: int, recycle: int, period: float, *options: str, at_most: float = float("inf")
) -> dict[str, Any]:
    """Runs it, with more *options* of gunicorn, and ends after *at_most* seconds; the figures."""
    totals = Totals(port=free_port())
    command = gunicorn(
        *("--worker-class", "gthread", "--threads", "4", "--workers", str(WORKERS)),
        *("--max-requests", str(recycle), "--max-requests-jitter", str(recycle // 10)),
        *("--access-logfile", "-", "--access-logformat", ACCESS),
        *options,
    )
    memory: list[int] = []
    asked = answered = 0
    started = time.monotonic()
    with (
        coming_and_going(totals, period),
        running(command, totals, TEST_URLCONF="tests.project.many_urls", TIDEMARK_EXPORT_INTERVAL="1") as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        clients = [Client(server.port) for _ in range(CLIENTS)]
        step = max(CLIENTS, requests // 60)
        while asked < requests and time.monotonic() - started < at_most:
            first, asked = asked, min(asked + step, requests)
            shares = [range(first + number, asked, CLIENTS) for number in range(CLIENTS)]
            answered += sum(pool.map(ask, clients, shares, [urls] * CLIENTS))
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
        "requests": asked,
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
        "requests_per_second": round(asked / elapsed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests to serve (1000000)")
    parser.add_argument("--urls", type=int, default=20_000, help="distinct URLs (20000)")
    parser.add_argument(
        "--recycle", type=int, default=1000, help="requests after which a worker is replaced (1000), 0: never"
    )
    parser.add_argument("--period", type=float, default=10.0, help="seconds the ingest is up, then away (10)")
    parser.add_argument("--at-most", type=float, default=float("inf"), help="seconds after which it ends (no limit)")
    parser.add_argument("--preload", action="store_true", help="load Django once, before the workers fork")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    options = ["--preload"] if arguments.preload else []
    figures = soak(
        arguments.requests,
        arguments.urls,
        arguments.recycle,
        arguments.period,
        *options,
        at_most=arguments.at_most,
    )
    for name, value in figures.items():
        print(f"{name:15} {value}")
    if arguments.json:
        print(json.dumps(figures))
    sys.exit(0 if figures["unaccounted"] == 0 else 1)


if __name__ == "__main__":
    main()
