import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.serving import Running, gunicorn, running, uvicorn
from tests.sink import Sink, until


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
def test_a_blocked_loop_names_the_request_that_blocks_it_and_those_it_holds_up(sink: Sink) -> None:
    with running(uvicorn(), sink) as server:
        until(lambda: sink.resource("busy", "event_loop", "asyncio"))
        with meanwhile(server, *["/async-sleep/4000/"] * 3):
            until(lambda: [point for point in sink.points("http.server.active_requests") if point.value == 3])
            waited = server.get("/block/1500/")[2]
        server.stop()
    told = stalls(sink, "/block/<int:milliseconds>/")
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
    assert worst["route"] == "/async-sleep/<int:milliseconds>/"
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


def test_the_reason_of_a_stall_is_what_its_thread_stands_in_and_no_value_is_sent(sink: Sink) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "2")
    with running(command, sink, TIDEMARK_SLOW_REQUEST="0.2") as server:
        for reason in ("io", "lock", "sleep", "cpu"):
            server.get(f"/stuck/{reason}/the-argument/")
        until(lambda: len(sink.events("tidemark.stall")) >= 4)
        server.stop()
    events = stalls(sink, "/stuck/<str:reason>/<str:secret>/")
    assert [event["tidemark.stall.reason"] for event in events] == ["io", "lock", "sleep", "cpu"]
    assert {event["code.file.path"] for event in events} == {"project/views.py"}
    everything = str([record for _, record in sink.logs]) + str(sink.spans) + str(sink.metrics)
    assert "/stuck/" in everything
    assert "the-argument" not in everything
    assert "the-local" not in everything
