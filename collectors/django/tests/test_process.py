import time
from statistics import fmean, median

import pytest

from bench.overhead import interval
from bench.servers import cpu_seconds, resident_bytes
from tests.serving import Running, gunicorn, running, uvicorn
from tests.sink import Sink, quantile, until

GTHREAD = gunicorn("--worker-class", "gthread", "--threads", "2")
BLOCKS = 12
MOST_BLOCKS = 48
LEAST_RATIO = 0.97
GIL = ("gil", "process")


@pytest.mark.measured
def test_the_lock_is_told_from_a_quiet_interpreter(sink: Sink) -> None:
    with running(GTHREAD, sink) as server:
        until(lambda: sum(point.count for point in sink.resource("wait", *GIL)) > 20)
        quiet = quantile(sink.resource("wait", *GIL), 0.5)
        quiet_busy = fmean(point.value for point in sink.resource("busy", *GIL))
        server.get("/burners/1/")
        start, spent = time.perf_counter(), cpu_seconds(server)
        sink.metrics.clear()
        until(lambda: sum(point.count for point in sink.resource("wait", *GIL)) > 40)
        computing = (cpu_seconds(server) - spent) / (time.perf_counter() - start)
        burning = quantile(sink.resource("wait", *GIL)[1:], 0.5)
        burning_busy = fmean(point.value for point in sink.resource("busy", *GIL)[1:])
        until(lambda: sink.resource("busy", "cpu", "process"))
        server.process.kill()
    assert quiet < 0.001
    # One computing thread gives the lock away after each switch interval, 5 ms, or when it has a core again.
    assert 0.003 < burning < 0.025
    assert quiet_busy < 0.4
    # Who computes holds the lock: at least while the kernel gives it a core.
    assert burning_busy > 0.85 * computing
    assert {point.value for point in sink.points("tidemark.cpython.gil.switch_interval")} == {0.005}


@pytest.mark.measured
def test_memory_threads_and_processor_of_the_process(sink: Sink) -> None:
    with running(GTHREAD, sink):
        until(lambda: len(sink.points("tidemark.process.memory.uss")) >= 2)
    rss, pss, uss = (
        sink.points(name)[-1].value
        for name in ("process.memory.usage", "tidemark.process.memory.pss", "tidemark.process.memory.uss")
    )
    assert 20e6 < uss <= pss <= rss * 1.02 < 300e6
    assert max(point.value for point in sink.points("process.thread.count")) >= 4
    assert sink.points("process.open_file_descriptor.count")[-1].value > 3
    assert {point.attributes["cpu.mode"] for point in sink.points("process.cpu.time")} == {"user", "system"}
    roles = {point.attributes["tidemark.thread.role"] for point in sink.points("tidemark.thread.cpu.time")}
    assert roles == {"main", "agent"}
    assert {point.attributes["cpython.gc.generation"] for point in sink.points("cpython.gc.collections")} == {0, 1, 2}


@pytest.mark.measured
def test_the_agent_measures_its_own_cost_and_it_is_small(sink: Sink) -> None:
    with running(GTHREAD, sink):
        until(lambda: len({point.time_ns for point in sink.metrics}) >= 7, 20)
    times = sorted({point.time_ns for point in sink.metrics})
    spent = sum(point.value for point in sink.points("tidemark.agent.cpu.time") if point.time_ns > times[0])
    assert 0 < spent / ((times[-1] - times[0]) / 1e9) < 0.06
    assert sink.points("tidemark.agent.export.duration")
    assert not sink.points("tidemark.agent.errors")
    assert not sink.points("tidemark.agent.adapter_errors")


@pytest.mark.measured
def test_an_unreachable_ingest_costs_nothing_visible(sink: Sink) -> None:
    """
    The requests/s of a busy worker are what its processor time allows; the bench compares the rates themselves.

    What the machine's other work adds to one of two blocks, with caches gone cold, the median block does not have;
    there are more blocks until the interval of that median lies on one side of the limit.
    """
    with (
        running(GTHREAD, sink, TIDEMARK_EXPORT_INTERVAL="0.2") as up,
        running(GTHREAD, None, TIDEMARK_EXPORT_INTERVAL="0.2") as away,
    ):
        servers = (up, away)
        ask_in_turns(servers, 100)
        resident, ratios = resident_bytes(away), list[float]()
        while len(ratios) < BLOCKS or (len(ratios) < MOST_BLOCKS and undecided(ratios)):
            before = [cpu_seconds(server) for server in servers]
            ask_in_turns(servers, 100)
            of_up, of_away = (cpu_seconds(server) - at for server, at in zip(servers, before, strict=True))
            ratios.append(of_up / of_away)
        grown = resident_bytes(away) - resident
        assert away.stop() == 0
        log = away.output.read_text()
    assert median(ratios) >= LEAST_RATIO
    assert grown < 5 * 1024 * 1024
    assert log.count("cannot be reached") == 1
    assert "Traceback" not in log


def undecided(ratios: list[float]) -> bool:
    low, high = interval(sorted(ratios))
    return low < LEAST_RATIO <= high


def ask_in_turns(servers: tuple[Running, ...], rounds: int) -> None:
    """Each server is as often before the other as after it."""
    for number in range(rounds):
        for server in servers[:: 1 if number % 2 else -1]:
            assert server.get("/")[0] == 200


def test_disabled_means_no_thread_and_no_word(sink: Sink) -> None:
    with running(GTHREAD, sink, TIDEMARK_DISABLED="1") as server:
        server.get("/")
        server.stop()
        assert "tidemark" not in server.output.read_text()
    assert sink.metrics == []


@pytest.mark.parametrize("command", [GTHREAD, uvicorn()], ids=["wsgi", "asgi"])
def test_a_project_without_a_database_works(sink: Sink, command: list[str]) -> None:
    with running(command, sink) as server:
        assert server.get("/")[:2] == (200, b"ok")
        assert server.get("/books/")[0] == 500
        until(lambda: sink.points("http.server.request.duration", http__route="/"))
    assert not sink.points("db.client.operation.duration")
    assert not sink.points("tidemark.agent.errors")


def test_runserver_reports_from_the_serving_process_only(sink: Sink) -> None:
    with running(["-m", "django", "runserver", "127.0.0.1:{port}"], sink) as server:
        child = int(server.get("/pid/")[1])
        until(lambda: sink.points("http.server.request.duration", http__route="/pid/"))
    assert {point.resource["process.pid"] for point in sink.metrics} == {child}
    assert {point.resource["tidemark.server"] for point in sink.metrics} == {"runserver"}


def test_the_token_is_sent_as_bearer(sink: Sink) -> None:
    with running(GTHREAD, sink, TIDEMARK_TOKEN="a secret"):
        until(lambda: sink.headers)
    assert sink.headers[0]["Authorization"] == "Bearer a secret"
