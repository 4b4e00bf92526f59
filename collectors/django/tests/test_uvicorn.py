import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from tests.serving import gunicorn, line_of, running, uvicorn
from tests.sink import Sink, mean, quantile, until

LOOP = ("event_loop", "asyncio")


@pytest.mark.measured
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_blocked_loop_is_visible_while_it_lasts(sink: Sink, loop: str) -> None:
    with running(uvicorn("--loop", loop), sink) as server:
        until(lambda: sink.resource("busy", *LOOP))
        blocker = threading.Thread(target=server.get, args=("/block/2500/",))
        blocker.start()
        until(lambda: any(point.value > 1 for point in sink.resource("stall_age", *LOOP)))
        assert blocker.is_alive()
        event = until(lambda: [found for found in sink.events("tidemark.stall") if "code.function.name" in found])[0]
        blocker.join()
        until(lambda: any(point.high > 2 for point in sink.resource("wait", *LOOP)))
        server.stop()
    assert event["code.function.name"] == "block"
    assert event["code.file.path"] == "project/views.py"
    assert event["code.line.number"] == line_of("block", "time.sleep")
    assert event["tidemark.resource.kind"] == "event_loop"
    assert event["tidemark.stall.reason"] == "sleep"
    assert event["event.name"] == "tidemark.stall"
    if loop == "asyncio":
        assert max(point.value for point in sink.resource("busy.max", *LOOP)) > 0.95
        assert max(point.value for point in sink.points("tidemark.asyncio.eventloop.utilization")) > 0.7


@pytest.mark.measured
def test_a_quiet_loop_waits_for_nothing(sink: Sink) -> None:
    with running(uvicorn(), sink):
        until(lambda: sum(point.count for point in sink.resource("wait", *LOOP)) > 80)
    assert quantile(sink.resource("wait", *LOOP), 0.5) < 0.005
    assert mean(sink.resource("wait", *LOOP)) < 0.02


@pytest.mark.measured
def test_repeated_blocks_are_measured_as_random_arrivals_would_meet_them(sink: Sink) -> None:
    # 300 ms blocked each second: of random arrivals 30 % wait, evenly from 0 to 300 ms, so their p90 is 200 ms.
    with running(uvicorn(), sink) as server:
        until(lambda: sink.resource("wait", *LOOP))
        sink.metrics.clear()
        pause = threading.Event()
        for _ in range(10):
            start = server.get("/block/300/")[2]
            pause.wait(1 - start)
        until(lambda: sink.resource("wait", *LOOP))
    assert quantile(sink.resource("wait", *LOOP), 0.9) == pytest.approx(0.2, rel=0.2)


@pytest.mark.measured
def test_sync_views_under_asgi_grow_threads_instead_of_queueing(sink: Sink) -> None:
    with running(uvicorn(), sink) as server:
        server.hammer("/sleep/500/", clients=40, rounds=2)
        server.stop()
    executor = ("executor", "asgiref.context")
    assert max(point.value for point in sink.resource("busy.max", *executor)) >= 35
    assert not sink.resource("capacity", *executor)
    assert quantile(sink.resource("wait", *executor), 0.5) < 0.05
    assert max(point.value for point in sink.points("process.thread.count")) > 40
    assert mean(sink.points("tidemark.asgiref.hops", http__route="/sleep/<int:milliseconds>/")) >= 1


def test_a_storm_of_clients_that_leave_does_not_stay_counted_as_waiting(sink: Sink) -> None:
    executor = ("executor", "asgiref.context")

    def leave(_: int) -> None:
        with suppress(OSError):
            server.get("/sleep/600/", timeout=0.3)

    with running(uvicorn(), sink) as server:
        with ThreadPoolExecutor(40) as storm:
            list(storm.map(leave, range(40)))
        until(lambda: any(point.value > 5 for point in sink.resource("busy.max", *executor)))
        until(lambda: sink.resource("busy.max", *executor)[-1].value == 0)
        sink.metrics.clear()
        until(lambda: len(sink.resource("waiting.max", *executor)) >= 2)
        until(lambda: sink.points("http.server.active_requests", http__request__method="GET"))
    assert {point.value for point in sink.resource("waiting.max", *executor)} == {0}
    assert sink.points("http.server.active_requests", http__request__method="GET")[-1].value == 0


@pytest.mark.measured
def test_requests_carry_route_status_and_queue(sink: Sink) -> None:
    with running(uvicorn(), sink) as server:
        server.get("/async-sleep/50/")
        server.get("/fail/")
        server.get("/no-such-page/")
        server.stop()
    duration = "http.server.request.duration"
    fast = sink.points(duration, http__route="/async-sleep/<int:milliseconds>/", http__response__status_code=200)
    assert 0.05 <= mean(fast) < 0.3
    failed = sink.points(duration, http__route="/fail/", http__response__status_code=500, error__type="500")
    assert sum(point.count for point in failed) == 1
    missing = sink.points(duration, http__response__status_code=404)
    assert len(missing) == 1
    assert "http.route" not in missing[0].attributes
    queued = sink.points("tidemark.http.server.queue.duration", tidemark__queue__source="tcp_info")
    assert sum(point.count for point in queued) >= 3


def test_websockets_are_connections_with_their_memory(sink: Sink) -> None:
    from websockets.sync.client import connect

    with running(uvicorn(), sink) as server:
        kind = {"tidemark__connection__kind": "websocket"}
        with ExitStack() as stack:
            for number in range(10):
                client = stack.enter_context(connect(f"ws://127.0.0.1:{server.port}/echo/"))
                client.send(str(number))
                assert client.recv() == str(number)
            until(lambda: any(point.value == 10 for point in sink.points("tidemark.connections", **kind)))
            until(lambda: sink.points("tidemark.connections.memory", tidemark__memory__type="uss", **kind))
        until(lambda: sink.points("tidemark.connections", **kind)[-1].value == 0)
    assert sum(point.value for point in sink.points("tidemark.connections.opened", **kind)) == 10
    assert sum(point.value for point in sink.points("tidemark.websocket.messages")) == 20


def test_requests_beyond_the_concurrency_limit_are_rejected_work(sink: Sink) -> None:
    limit = ("worker", "uvicorn")
    with running(uvicorn("--limit-concurrency", "3"), sink) as server, ExitStack() as idle:
        for _ in range(2):
            idle.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        until(lambda: any(point.value == 2 for point in sink.resource("busy.max", *limit)))
        statuses = [server.get("/")[0] for _ in range(5)]
        until(lambda: sum(point.value for point in sink.resource("rejected", *limit)) >= 5)
        idle.close()
        until(lambda: server.get("/")[0] == 200)
    assert statuses == [503] * 5
    rejected = sink.resource("rejected", *limit)
    assert {point.attributes["tidemark.rejected.reason"] for point in rejected} == {"concurrency_limit"}
    assert {point.value for point in sink.resource("capacity", *limit)} == {2}


def test_messages_nobody_takes_wait_in_the_channel_layer(sink: Sink) -> None:
    from websockets.sync.client import connect

    layer = ("channel_layer", "default")
    with running(uvicorn(), sink) as server:
        with connect(f"ws://127.0.0.1:{server.port}/crowd/") as client:
            client.send("")
            assert client.recv() == "full"
            until(lambda: sink.resource("waiting.max", *layer))
            until(lambda: sum(point.value for point in sink.resource("rejected", *layer)) >= 1)
        server.stop()
    assert {point.value for point in sink.resource("waiting.max", *layer)} == {3}
    rejected = sink.resource("rejected", *layer)
    assert {point.attributes["tidemark.rejected.reason"] for point in rejected} == {"channel_full"}
    assert sum(point.value for point in rejected) == 1
    sends = sink.points("tidemark.channels.layer.duration", tidemark__cache__operation="send")
    assert sum(point.count for point in sends) == 4
    assert not sink.resource("capacity", *layer)


def test_gunicorn_with_the_uvicorn_worker(sink: Sink) -> None:
    command = gunicorn("--worker-class", "uvicorn_worker.UvicornWorker")
    command[-1] = "tests.project.asgi:application"
    with running(command, sink) as server:
        server.get("/async-sleep/10/")
        until(lambda: sink.resource("wait", *LOOP))
        until(lambda: sink.points("http.server.request.duration", http__route="/async-sleep/<int:milliseconds>/"))
    assert {point.resource["tidemark.server"] for point in sink.metrics} == {"gunicorn-uvicorn"}
    assert sink.resource("capacity", "listen_queue", f"tcp:127.0.0.1:{server.port}")
