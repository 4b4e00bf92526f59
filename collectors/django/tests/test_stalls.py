import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.serving import Running, gunicorn, line_of, running, uvicorn
from tests.sink import Sink, until
from tests.test_servers import SERVERS


def stalls(sink: Sink, route: str) -> list[dict[str, Any]]:
    return [event for event in sink.events("tidemark.stall") if event.get("http.route") == route]


@contextmanager
def meanwhile(server: Running, *paths: str) -> Iterator[None]:
    """Requests under way; waits for their ends afterwards."""
    threads = [threading.Thread(target=server.get, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


@pytest.mark.measured
@pytest.mark.parametrize(
    ("command", "loop", "waits", "blocks"),
    [
        pytest.param(uvicorn(), "asyncio", "async-sleep", "block", id="asyncio"),
        pytest.param(gunicorn("--worker-class", "gevent"), "gevent", "sleep", "burn", id="gevent"),
    ],
)
def test_a_blocked_loop_names_the_request_that_blocks_it_and_those_it_holds_up(
    sink: Sink, command: list[str], loop: str, waits: str, blocks: str
) -> None:
    with running(command, sink) as server:
        until(lambda: sink.resource("busy", "event_loop", loop))
        with meanwhile(server, *[f"/{waits}/4000/"] * 3):
            until(lambda: [point for point in sink.points("http.server.active_requests") if point.value == 3])
            waited = server.get(f"/{blocks}/1500/")[2]
        server.stop()
    told = stalls(sink, f"/{blocks}/<int:milliseconds>/")
    # While it lasted, and at its end.
    assert [event["tidemark.stall.ended"] for event in told] == [False, True]
    times = {record.time_unix_nano for attributes, record in sink.logs if attributes in told}
    assert len(times) == 1
    event = told[-1]
    lasted = event["tidemark.stall.duration"]
    assert 1.4 <= lasted <= waited * 1.05
    assert event["tidemark.stall.victims"] == 3
    assert event["tidemark.stall.victims.lost_time"] == pytest.approx(3 * lasted, rel=0.02)
    (worst,) = json.loads(event["tidemark.stall.victims.routes"])
    assert worst["route"] == f"/{waits}/<int:milliseconds>/"
    assert worst["requests"] == 3
    assert worst["lost"] == pytest.approx(3 * lasted, rel=0.02)


@pytest.mark.measured
def test_a_request_that_keeps_its_thread_says_what_those_lost_who_queue_for_one(sink: Sink) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "2")
    with running(command, sink, TIDEMARK_SLOW_REQUEST="2") as server:
        with meanwhile(server, *["/sleep/2500/"] * 2):
            until(lambda: [point for point in sink.points("http.server.active_requests") if point.value == 2])
            with meanwhile(server, *["/"] * 3):
                pass
        server.stop()
    event = stalls(sink, "/sleep/<int:milliseconds>/")[0]
    assert event["tidemark.resource.kind"] == "thread_pool"
    assert event["tidemark.stall.victims"] == 3
    assert 0 < event["tidemark.stall.victims.lost_time"] <= 3 * event["tidemark.stall.duration"]
    assert json.loads(event["tidemark.stall.victims.routes"])[0]["requests"] == 3


def told(sink: Sink) -> list[str]:
    """Each reason of the stalls so far, in the order in which they were first told."""
    return list(dict.fromkeys(event["tidemark.stall.reason"] for event in sink.events("tidemark.stall")))


def test_the_reason_of_a_stall_is_what_its_thread_stands_in_and_no_value_is_sent(sink: Sink) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "2")
    with running(command, sink, TIDEMARK_SLOW_REQUEST="0.2") as server:
        reasons = ["io", "lock", "sleep", "cpu"]
        for known, reason in enumerate(reasons):
            # Again where the agent got no core while the request stood still.
            until(lambda: server.get(f"/stuck/{reason}/the-argument/") and len(told(sink)) > known)  # noqa: B023
        server.stop()
    events = stalls(sink, "/stuck/<str:reason>/<str:secret>/")
    assert told(sink) == reasons
    assert {event["code.file.path"] for event in events} == {"project/views.py"}
    everything = str([record for _, record in sink.logs]) + str(sink.spans) + str(sink.metrics)
    assert "/stuck/" in everything
    assert "the-argument" not in everything
    assert "the-local" not in everything


def test_requests_that_keep_a_full_pool_are_named_long_before_they_are_slow(sink: Sink) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "2")
    with running(command, sink, TIDEMARK_SLOW_REQUEST="60") as server:
        server.get("/sleep/1500/")
        # Nobody waited for that one.
        until(lambda: sink.points("http.server.request.duration", http__route="/sleep/<int:milliseconds>/"))
        assert not sink.events("tidemark.stall")
        until(lambda: server.hammer("/sleep/400/", clients=8, rounds=1) and sink.events("tidemark.stall"))
        server.stop()
    for event in stalls(sink, "/sleep/<int:milliseconds>/"):
        assert event["code.line.number"] == line_of("sleep", "time.sleep")
        assert event["tidemark.resource.name"] == "gunicorn-gthread"
        assert event["tidemark.stall.victims"] >= 1


def test_a_worker_that_uwsgi_kills_has_said_what_it_was_doing(sink: Sink) -> None:
    route = "/sleep/<int:milliseconds>/"
    command = [*SERVERS["uwsgi"], "--harakiri", "1"]
    with running(command, sink, TIDEMARK_SLOW_REQUEST="60", TIDEMARK_EXPORT_INTERVAL="3600") as server:

        def counted() -> float:
            # A worker's first request loads the project, and starts the agent.
            server.get("/")
            # uWSGI counts whole seconds: of a request that begins with one, the last is a whole one too.
            until(lambda: time.time() % 1 < 0.2)
            with suppress(OSError, http.client.HTTPException):
                server.get("/sleep/20000/")
            return sum(point.value for point in sink.points("tidemark.worker.timeouts"))

        timeouts = until(counted, 120)
        event = next(event for event in sink.events("tidemark.stall") if event.get("http.route") == route)
        killed = server.output.read_bytes().count(b"HARAKIRI ON WORKER")
    assert event["code.function.name"] == "sleep"
    assert event["code.line.number"] == line_of("sleep", "time.sleep")
    assert event["tidemark.resource.name"] == "uwsgi"
    assert event["tidemark.stall.duration"] >= 0.5
    assert 1 <= timeouts <= killed
