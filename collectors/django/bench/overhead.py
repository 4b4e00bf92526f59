"""
What the agent costs a request: gunicorn gthread 1x4 bare, with the agent, and with OpenTelemetry's own Django
instrumentation; and what it costs the agent that its ingest is away.

In each round the servers are new, all up at once, and loaded in slices of 0.8 s, one after the other and then in the
reverse order, so that what drifts on the machine falls on all alike; the next block begins with another one. Whoever is
not loaded is halted: what an agent still has to do about its requests waits for its own next slice. A round's ratio is
that of all its slices together to those of the bare server; shown is the median of the rounds and the interval that
holds it with 95 %. ``control`` is a second bare server: its ratio is what the machine alone makes of two equal ones.

The agent's own clock (10 looks a second, an export each 10 s) is part of every figure, and somewhat more of it than
in life: it goes on while a server is halted, so each slice begins with a look that is due, nine in place of eight, and
with a reading of the memory. ``idle`` is what it takes of a core when nobody asks: told as part of a request's cost
too.

The load generator and the ingest have the last core, the servers the others. The memory is the worker's resident
memory with the agent less that of the bare one, after the load; the growth is that of the worker whose ingest is away,
from the first round to the last.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import comb
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.load import Load
from bench.servers import cpu_seconds, halt, resident_bytes, resume
from tests.books import make_library
from tests.serving import Running, gunicorn, running
from tests.sink import Sink, serve

SLICE_S = 0.8
WARM_UP_S = 0.8
IDLE_S = 20
NOOP, FIVE = "/", "/five/"
BLOCKS = {NOOP: 1, FIVE: 2}
"""Blocks of a round, each of two slices a server."""
AWAY_ROUNDS = 7
ACCEPTED_OUTSIDE = 0.05
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
OWN_CORE = CORES[-1] if len(CORES) > 1 else None
COMMAND = gunicorn("--worker-class", "gthread", "--threads", "4", "--keep-alive", "600", "--timeout", "600")
OTEL_COMMAND = [*COMMAND[:-1], "bench.otel_wsgi:application"]
BARE = {"TIDEMARK_DISABLED": "1"}
OFTEN = {"TIDEMARK_EXPORT_INTERVAL": "2"}
ENVIRONMENTS = {
    "bare": BARE,
    "control": BARE,
    "agent": {"TIDEMARK_EXPORT_INTERVAL": "20"},
    "idle": {"TIDEMARK_EXPORT_INTERVAL": "10"},
    "otel": {**BARE, "TIDEMARK_EXPORT_INTERVAL": "20"},
    "up": OFTEN,
    "away": {**OFTEN, "TIDEMARK_ENDPOINT": "http://127.0.0.1:9"},
}
"""A halted server's clock goes on: 20 s are less than 10 s of load here, 2 s are one."""


@dataclass
class Taken:
    """What the slices of one server in one round came to."""

    requests: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cost(self) -> float:
        """Processor time of a request, in seconds."""
        return self.cpu / self.requests


Round = dict[str, Taken]
"""By server."""


@contextlib.contextmanager
def fleet(target: Sink, names: list[str]) -> Iterator[dict[str, Running]]:
    """Halted servers by name, with a library of 20 books, so that ``/five/`` has something to ask for."""
    with contextlib.ExitStack() as stack:
        library = make_library(str(Path(stack.enter_context(tempfile.TemporaryDirectory()), "library.sqlite3")))
        servers: dict[str, Running] = {}
        for name in names:
            environment = {"TEST_SQLITE": library, "PYTHONHASHSEED": "0", **ENVIRONMENTS[name]}
            command = OTEL_COMMAND if name == "otel" else COMMAND
            with off_own_core():
                servers[name] = stack.enter_context(running(command, target, **environment))
            stack.callback(resume, servers[name])
            halt(servers[name])
        yield servers


@contextlib.contextmanager
def off_own_core() -> Iterator[None]:
    """What is started here runs on the servers' cores."""
    if OWN_CORE is not None:
        os.sched_setaffinity(0, CORES[:-1])
    try:
        yield
    finally:
        if OWN_CORE is not None:
            os.sched_setaffinity(0, {OWN_CORE})


def loaded(load: Load, server: Running, path: str, seconds: float) -> tuple[int, float]:
    """One slice of a halted server: requests, and the seconds they took."""
    resume(server)
    try:
        return load.run(server.port, path, seconds)
    finally:
        halt(server)


def slices(load: Load, servers: dict[str, Running], path: str, first: int, blocks: int) -> Round:
    """The servers under the same load in turns, there and back, the first block beginning with server *first*."""
    taken = {name: Taken(cpu=-cpu_seconds(server)) for name, server in servers.items()}
    names = list(servers)
    for block in range(first, first + blocks):
        turned = names[block % len(names) :] + names[: block % len(names)]
        for name in [*turned, *reversed(turned)]:
            requests, seconds = loaded(load, servers[name], path, SLICE_S)
            taken[name].requests += requests
            taken[name].seconds += seconds
    for name, server in servers.items():
        taken[name].cpu += cpu_seconds(server)
    return taken


def measure(
    target: Sink, load: Load, names: dict[str, list[str]], rounds: int
) -> tuple[dict[str, list[Round]], list[int]]:
    """The rounds of each page with the servers that *names* has for it, and bytes the agent adds in each."""
    found: dict[str, list[Round]] = {path: [] for path in names}
    added: list[int] = []
    for number in range(rounds):
        with fleet(target, list(dict.fromkeys(name for wanted in names.values() for name in wanted))) as servers:
            for path, wanted in names.items():
                for name in wanted:
                    loaded(load, servers[name], path, WARM_UP_S)
                chosen = {name: servers[name] for name in wanted}
                found[path].append(slices(load, chosen, path, number, BLOCKS[path]))
                tell(f"{path} round {number + 1} of {rounds}", found[path][-1])
            added.append(resident_bytes(servers["agent"]) - resident_bytes(servers["bare"]))
    return found, added


def measure_away(target: Sink, load: Load) -> tuple[list[Round], int]:
    """Rounds of an agent whose ingest answers and one whose ingest is away, and bytes the latter grew by."""
    with fleet(target, ["up", "away"]) as servers:
        for server in servers.values():
            loaded(load, server, NOOP, WARM_UP_S)
        before = resident_bytes(servers["away"])
        rounds = [slices(load, servers, NOOP, number, 1) for number in range(AWAY_ROUNDS)]
        return rounds, resident_bytes(servers["away"]) - before


def measure_idle(target: Sink, load: Load) -> float:
    """Share of a core that the agent of a warm worker takes when nobody asks, its exports included."""
    with fleet(target, ["bare", "idle"]) as servers:
        for server in servers.values():
            for path in (NOOP, FIVE):
                loaded(load, server, path, WARM_UP_S)
        before = {name: cpu_seconds(server) for name, server in servers.items()}
        for server in servers.values():
            resume(server)
        time.sleep(IDLE_S)
        spent = {name: cpu_seconds(server) - before[name] for name, server in servers.items()}
    return (spent["idle"] - spent["bare"]) / IDLE_S


def tell(what: str, found: Round) -> None:
    """One round for whoever waits."""
    told = ", ".join(f"{name} {taken.rate:.0f}/s {taken.cost * 1e6:.0f} us" for name, taken in found.items())
    print(f"{what}: {told}", file=sys.stderr)


def compared(rounds: list[Round], name: str, base: str, figure: Callable[[Taken], float]) -> list[float]:
    """Ratios of a figure of *name* to that of *base* in the same round, in order."""
    return sorted(figure(found[name]) / figure(found[base]) for found in rounds)


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


def ratios(prefix: str, rounds: list[Round], name: str, base: str = "bare") -> dict[str, object]:
    """Medians and intervals of rate and processor time, for the summary; told as well."""
    summary: dict[str, object] = {}
    for key, figure in (("rps", lambda taken: taken.rate), ("cpu", lambda taken: taken.cost)):
        ordered = compared(rounds, name, base, figure)
        median, (low, high) = round(statistics.median(ordered), 3), interval(ordered)
        what = "requests/s" if key == "rps" else "CPU time per request"
        print(f"{prefix:14} {name:8} {median:6.3f} of the {what} of {base}, {low:.3f} to {high:.3f}")
        summary |= {f"{prefix}_{key}_ratio": median, f"{prefix}_{key}_interval": (low, high)}
    return summary


def added(prefix: str, rounds: list[Round], idle: float) -> dict[str, object]:
    """Microseconds that the agent adds to a request, and those of them that pass whether anybody asks or not."""
    more = statistics.median(found["agent"].cost - found["bare"].cost for found in rounds) * 1e6
    fixed = idle / statistics.median(found["agent"].rate for found in rounds) * 1e6
    rate = statistics.median(found["bare"].rate for found in rounds)
    cost = statistics.median(found["bare"].cost for found in rounds) * 1e6
    print(
        f"{prefix:14} bare {rate:.0f} requests/s, {cost:.0f} us; the agent adds {more:.1f} us, {fixed:.1f} of it fixed"
    )
    return {f"{prefix}_added_us": round(more, 1), f"{prefix}_fixed_us": round(fixed, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds, each with new servers (7)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    names = {NOOP: ["bare", "agent", "control"], FIVE: ["bare", "agent", "control"]}
    otel = importlib.util.find_spec("opentelemetry.instrumentation.django") is not None
    if otel:
        names[NOOP].append("otel")
    else:
        print("opentelemetry-instrumentation-django is not installed: not measured beside", file=sys.stderr)
    if OWN_CORE is not None:
        os.sched_setaffinity(0, {OWN_CORE})
    with contextlib.contextmanager(serve)() as target, contextlib.closing(Load(OWN_CORE)) as load:
        found, resident = measure(target, load, names, arguments.rounds)
        away, growth = measure_away(target, load)
        idle = measure_idle(target, load)
    summary: dict[str, object] = {"rounds": arguments.rounds, "otel_noop_rps_ratio": None}
    for prefix, path in (("noop", NOOP), ("five_queries", FIVE)):
        summary |= ratios(prefix, found[path], "agent")
        summary |= ratios(f"{prefix}_control", found[path], "control")
        summary |= added(prefix, found[path], idle)
    if otel:
        summary |= ratios("otel_noop", found[NOOP], "otel")
    summary |= ratios("unreachable", away, "away", "up")
    summary |= {
        "rss_bytes": round(statistics.median(resident)),
        "idle_core_share": round(idle, 4),
        "unreachable_growth_bytes": growth,
    }
    print(f"idle           the agent takes {idle:.2%} of a core")
    if arguments.json:
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
