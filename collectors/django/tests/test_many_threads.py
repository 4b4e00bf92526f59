"""Exact counts and no exception when eight threads do the same at once: what holds also without interpreter lock."""

import logging
import subprocess
import sys
import threading
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Final

import pytest

from tests.serving import ROOT
from tests.sink import until
from tidemark_django import database, frames, http, native, probes, semconv, stopped, wsgi
from tidemark_django.agent import MAX_ROUTES, Agent
from tidemark_django.agg import HistogramState, Point, Registry
from tidemark_django.saturation import Reading
from tidemark_django.statements import MAX_STATEMENTS, OTHER, StatementCache

THREADS: Final = 8
EACH: Final = 3000
ROUTES: Final = 50


def in_threads(work: Callable[[], None], beside: Callable[[], None]) -> None:
    """Runs *work* in eight threads at once, and *beside* again and again until they have ended and once after."""
    barrier = threading.Barrier(THREADS)

    def begin_together() -> None:
        barrier.wait()
        work()

    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(begin_together) for _ in range(THREADS)]
        while not all(future.done() for future in running):
            beside()
        for future in running:
            future.result()
    beside()


def count_of(points: list[Point], metric: str) -> float:
    """Values of the counters, and records in the histograms, of that name."""
    values = [point.value for point in points if point.metric == metric]
    return sum(value.count if isinstance(value, HistogramState) else value for value in values)


def test_no_record_of_many_threads_is_lost() -> None:
    registry, points = Registry(), list[Point]()

    def record() -> None:
        for number in range(EACH):
            route = ((semconv.HTTP_ROUTE, f"/{number % ROUTES}"),)
            registry.histogram("h", route).record(0.01)
            registry.counter("c", route).add()

    def take() -> None:
        registry.fold()
        points.extend(registry.take())

    in_threads(record, take)
    for metric in ("h", "c"):
        by_route = {point.attributes for point in points if point.metric == metric}
        assert len(by_route) == ROUTES
        assert count_of(points, metric) == THREADS * EACH


def test_no_request_and_no_query_of_many_threads_is_lost(agent: Agent) -> None:
    agent.registry.before = partial(http.drain, agent)
    points: list[Point] = []
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http"}

    def serve() -> None:
        for number in range(EACH):
            state = wsgi._begin(agent, SimpleNamespace(META=environ))
            assert state is not None
            now = time.perf_counter()
            state.pattern, state.status = f"page-{number % (2 * MAX_ROUTES)}/", 200
            state.queries = [(now, now, 0, f"SELECT {number % 9} FROM book", None, 1, True)] * 2
            database._hold_loose(agent, (now, now, 0, "SELECT 1 FROM loose", None, 1, False))
            http.finish(agent, state)
            agent.active_requests()

    in_threads(serve, lambda: points.extend(agent.registry.take()))
    served = THREADS * EACH
    assert agent.served == served
    assert count_of(points, "http.server.request.duration") == served
    assert count_of(points, "tidemark.db.queries_per_request") == served
    dropped = count_of(points, "tidemark.agent.dropped")
    assert count_of(points, "db.client.operation.duration") + dropped == 3 * served
    assert count_of(points, "tidemark.agent.errors") == 0
    assert agent.requests == {}
    routes = {dict(p.attributes)[semconv.HTTP_ROUTE] for p in points if p.metric == "http.server.request.duration"}
    assert len(routes) == MAX_ROUTES + 1


def test_the_items_of_a_queue_can_be_read_while_many_threads_change_it() -> None:
    queue: deque[int] = deque(range(30))

    def turn() -> None:
        for number in range(EACH):
            queue.append(number)
            queue.popleft()

    def read() -> None:
        assert 30 <= len(native.items_of(queue)) <= 30 + THREADS

    in_threads(turn, read)


def test_a_failure_is_counted_each_time_and_logged_once(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    points: list[Point] = []

    def fail() -> None:
        for number in range(EACH // 10):
            agent.failed(f"part {number % 10}", ValueError())

    with caplog.at_level(logging.WARNING):
        in_threads(fail, lambda: points.extend(agent.registry.take()))
    assert count_of(points, "tidemark.agent.errors") == THREADS * EACH // 10
    assert Tally(record.getMessage().split(" failed")[0] for record in caplog.records) == {
        f"tidemark: part {number}": 1 for number in range(10)
    }


def test_statements_of_many_threads_are_one_object_each_and_no_more_than_their_bound() -> None:
    cache, found = StatementCache(), list[set[int]]()

    def ask() -> None:
        statements = [cache.get(f"SELECT column_{number} FROM book") for number in range(2 * MAX_STATEMENTS)]
        found.append({id(statement) for statement in statements if statement.text != OTHER})

    in_threads(ask, lambda: None)
    assert len(set.union(*found)) == MAX_STATEMENTS


def test_an_event_set_by_many_threads_at_once_wakes_its_waiter_and_stays_set() -> None:
    event, woken = native.Event(), []

    def set_often() -> None:
        for _ in range(EACH):
            event.set()

    def wait() -> None:
        woken.append(event.wait(10))

    waiting = threading.Thread(target=wait)
    waiting.start()
    in_threads(set_often, lambda: None)
    waiting.join()
    assert woken == [True]
    event.set()
    assert event.is_set()
    assert event.wait(0)
    event.clear()
    assert not event.is_set()
    assert not event.wait(0)


DEEP = """
import sys, threading
from tidemark_django import frames

done = threading.Event()

def down(depth):
    return down(depth - 1) if depth else 0

begun = threading.Barrier(9)

def work():
    begun.wait()
    while not done.is_set():
        down(150)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
begun.wait()
stacks = [frames.of_thread(thread.ident) for _ in range(int(sys.argv[1])) for thread in threads]
done.set()
for thread in threads:
    thread.join()
print(all({"down", "work"} & {frames.name_of(code) for code, _ in stack} for stack in stacks))
"""


def test_stacks_of_threads_that_call_and_return_all_the_time_can_be_read() -> None:
    # A child, so that a crash of the interpreter is this test's failure and not the end of all.
    command = [sys.executable, "-c", DEEP, "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_a_stack_that_the_interpreter_wrote_down_is_the_one_that_its_frames_tell() -> None:
    entered, ended = threading.Event(), threading.Event()

    def stand_still() -> None:
        entered.set()
        ended.wait()

    thread = threading.Thread(target=stand_still)
    thread.start()
    assert entered.wait(10)
    ident = thread.ident or 0

    def told() -> list[tuple[str, int]]:
        return [(code.co_filename, line) for code, line in stopped.stack_of(ident)]

    def walked() -> list[tuple[str, int]]:
        return [(code.co_filename, line) for code, line in frames.walk(sys._current_frames().get(ident))]

    # It enters its wait after it has said so.
    until(lambda: len(walked()) > 2 and walked() == told() if stopped.HAS_SAFE_DUMP else walked())
    ended.set()
    thread.join()
    assert stopped.stack_of(ident) == []


def test_a_lock_that_an_import_brings_back_is_measured_from_then_on(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.identity[semconv.TIDEMARK_GIL] = "off"
    monkeypatch.setattr(probes, "gil_enabled", lambda: False)
    monkeypatch.setattr(probes, "PROBE_PERIOD_S", 0.001)
    probe = probes.LockProbe(agent)
    probe.once()
    assert agent.resource("gil", "process") is None
    assert count_of(agent.registry.take(), "tidemark.resource.wait") == 1  # the processor's
    monkeypatch.setattr(probes, "gil_enabled", lambda: True)
    probe.once()
    probe.once()
    found = agent.resource("gil", "process")
    assert found is not None
    assert (found.read() or Reading()).capacity == 1
    assert count_of(agent.registry.take(), "tidemark.resource.wait") == 4
    assert agent.identity[semconv.TIDEMARK_GIL] == "on"
    assert sum(resource.kind == "gil" for resource in agent.resources) == 1
