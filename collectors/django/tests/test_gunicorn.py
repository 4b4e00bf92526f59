import contextlib
import http.client
import socket
from pathlib import Path

import pytest

from tests.serving import gunicorn, running
from tests.sink import Sink, mean, until

MARGIN = 0.10


def test_gthread_shows_the_queue_that_the_application_cannot_see(sink: Sink) -> None:
    with running(gunicorn("--worker-class", "gthread", "--threads", "4"), sink) as server:
        until(lambda: sink.resource("capacity", "thread_pool", "gunicorn-gthread"))
        sink.metrics.clear()
        latencies = server.hammer("/sleep/500/", clients=40, rounds=2)
        server.stop()
    route = {"http__route": "/sleep/<int:milliseconds>/"}
    pool = ("thread_pool", "gunicorn-gthread")
    assert {point.value for point in sink.resource("capacity", *pool)} == {4}
    assert max(point.value for point in sink.resource("busy.max", *pool)) == 4
    assert 34 <= max(point.value for point in sink.resource("waiting.max", *pool)) <= 36
    service = mean(sink.points("http.server.request.duration", **route))
    waits = sink.resource("wait", *pool)
    assert sum(point.count for point in waits) == len(latencies)
    measured = sum(latencies) / len(latencies)
    assert mean(waits) + service == pytest.approx(measured, rel=MARGIN)
    assert mean(sink.points("tidemark.http.server.queue.duration", **route)) + service == pytest.approx(
        measured, rel=MARGIN
    )
    assert sum(point.value for point in sink.resource("saturated_time", *pool)) == pytest.approx(9.5, abs=1.5)
    assert max(point.value for point in sink.resource("stall_age", *pool)) > 3
    assert max(point.value for point in sink.points("tidemark.connections")) == 40


def test_sync_workers_share_one_backlog_that_both_report(sink: Sink) -> None:
    with running(gunicorn("--workers", "2"), sink) as server:
        until(lambda: len({point.resource["process.pid"] for point in sink.metrics}) == 2)
        sink.metrics.clear()
        latencies = server.hammer("/sleep/200/", clients=20, rounds=3)
        server.stop()
    route = {"http__route": "/sleep/<int:milliseconds>/"}
    backlog = [point for point in sink.points("tidemark.resource.waiting.max") if point.value > 0]
    assert {point.attributes["tidemark.resource.kind"] for point in backlog} == {"listen_queue"}
    assert {point.attributes["tidemark.listener.id"] for point in backlog} == {f"tcp:127.0.0.1:{server.port}"}
    assert {point.attributes["tidemark.resource.scope"] for point in backlog} == {"host"}
    assert len({point.resource["process.pid"] for point in backlog}) == 2
    assert 16 <= max(point.value for point in backlog) <= 20
    worker = ("worker", "gunicorn-sync")
    assert max(point.value for point in sink.resource("busy.max", *worker)) == 1
    assert {point.value for point in sink.resource("capacity", *worker)} == {1}
    queued, service = (
        mean(sink.points(name, **route))
        for name in ("tidemark.http.server.queue.duration", "http.server.request.duration")
    )
    measured = sum(latencies) / len(latencies)
    assert queued + service == pytest.approx(measured, rel=MARGIN)
    assert mean(sink.resource("wait", *worker)) == pytest.approx(queued, rel=MARGIN)


def test_a_unix_socket_shows_its_queue(sink: Sink, tmp_path: Path) -> None:
    path = str(tmp_path / "web.sock")
    command = [*gunicorn("--backlog", "32"), "--bind", f"unix:{path}"]
    command[-3:] = [*command[-2:], command[-3]]
    name = f"unix:{path}"
    with running(command, sink) as server, contextlib.ExitStack() as stack:
        until(lambda: sink.resource("capacity", "listen_queue", name))
        for _ in range(12):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(path)
            client.sendall(b"GET /sleep/150/ HTTP/1.1\r\nHost: unix\r\nConnection: close\r\n\r\n")
        until(lambda: any(point.value > 0 for point in sink.resource("waiting.max", "listen_queue", name)))
        server.stop()
    assert {point.value for point in sink.resource("capacity", "listen_queue", name)} == {32}
    assert 8 <= max(point.value for point in sink.resource("waiting.max", "listen_queue", name)) <= 12
    assert not [point for point in sink.points("tidemark.resource.rejected") if "unix" in str(point.attributes)]


def test_connections_beyond_the_backlog_are_rejected_work(sink: Sink) -> None:
    with running(gunicorn("--backlog", "8"), sink) as server:
        until(lambda: sink.points("tidemark.resource.rejected"))
        flood = [socket.socket() for _ in range(60)]
        try:
            for client in flood:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", server.port))
            until(lambda: sum(point.value for point in sink.points("tidemark.resource.rejected")) > 0)
        finally:
            for client in flood:
                client.close()
    rejected = sink.points("tidemark.resource.rejected")
    assert {point.attributes["tidemark.rejected.reason"] for point in rejected} == {"overflow"}


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["no preload", "preload"])
def test_each_worker_has_an_identity_of_its_own_and_the_master_has_none(sink: Sink, preload: tuple[str, ...]) -> None:
    command = gunicorn("--workers", "2", "--worker-class", "gthread", "--threads", "2", *preload)
    with running(command, sink) as server:
        until(lambda: len({point.resource["process.pid"] for point in sink.metrics}) == 2)
        pids: set[int] = set()
        until(lambda: pids.add(int(server.get("/pid/")[1])) or len(pids) == 2)  # type: ignore[func-returns-value]
        master = server.process.pid
    resources = {point.resource["service.instance.id"]: point.resource for point in sink.metrics}
    assert len(resources) == 2
    assert {resource["process.pid"] for resource in resources.values()} == pids
    assert master not in pids
    assert len({resource["tidemark.worker.index"] for resource in resources.values()}) == 2
    assert {resource["tidemark.group.id"].rsplit(":", 1)[1] for resource in resources.values()} == {str(master)}
    for resource in resources.values():
        assert resource["tidemark.server"] == "gunicorn-gthread"
        assert resource["service.name"] == "shop"
        assert resource["process.runtime.name"] == "cpython"
        assert resource["telemetry.distro.name"] == "tidemark-django"


def test_the_last_interval_is_sent_when_a_worker_ends(sink: Sink) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "2")
    with running(command, sink, TIDEMARK_EXPORT_INTERVAL="3600") as server:
        for _ in range(7):
            server.get("/pid/")
        server.stop()
    finished = sink.points("http.server.request.duration", http__route="/pid/")
    assert sum(point.count for point in finished) == 7


def test_a_worker_that_is_given_up_says_what_it_was_doing(sink: Sink) -> None:
    with running(gunicorn("--timeout", "1"), sink, TIDEMARK_SLOW_REQUEST="60") as server:
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.get("/sleep/20000/")
        event = until(lambda: sink.events("tidemark.stall"))[0]
        until(lambda: sink.points("tidemark.worker.timeouts"))
    assert event["http.route"] == "/sleep/<int:milliseconds>/"
    assert event["code.function.name"] == "sleep"
    assert event["tidemark.resource.name"] == "gunicorn-sync"
    assert event["tidemark.stall.duration"] > 1


def test_all_points_of_an_export_have_one_time(sink: Sink) -> None:
    with running(gunicorn("--worker-class", "gthread"), sink) as server:
        server.get("/sleep/100/")
        until(lambda: sink.points("http.server.request.duration"))
    by_time: dict[int, set[str]] = {}
    for point in sink.metrics:
        by_time.setdefault(point.time_ns, set()).add(point.name)
    assert all("process.uptime" in names for names in by_time.values())
