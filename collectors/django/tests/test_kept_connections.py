"""What a later request on a connection that is kept open waited, while another request held its thread or loop."""

import http.client
import socket
import threading
import time
from contextlib import closing
from typing import Final

import pytest

from tests.serving import Running, gunicorn, running, uvicorn
from tests.sink import Sink, mean, until
from tests.test_servers import ASGI, SERVERS, WSGI

WIDE: Final = pytest.mark.wide
QUEUE: Final = "tidemark.http.server.queue.duration"
DURATION: Final = "http.server.request.duration"
LATER: Final = {"http__route": "/pid/"}
GTHREAD: Final = gunicorn("--worker-class", "gthread", "--threads", "1")
OVER_UNIX: Final = ["-m", "gunicorn", "--no-control-socket", "--bind", "unix:{socket}", "-k", "gthread", WSGI]


def asks_later(server: Running, sink: Sink, held: str) -> float:
    """The seconds that the second request on a connection took, which comes 0.2 s after one that holds the server."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as kept:
        if server.path is not None:
            kept.sock = socket.socket(socket.AF_UNIX)
            kept.sock.connect(server.path)

        def ask(path: str) -> float:
            began = time.perf_counter()
            kept.request("GET", path)
            assert kept.getresponse().read()
            return time.perf_counter() - began

        ask("/")
        connection = kept.sock
        until(lambda: sink.points(DURATION))
        sink.metrics.clear()
        holder = threading.Thread(target=server.get, args=(held,))
        holder.start()
        holder.join(0.2)
        waited = ask("/pid/")
        assert kept.sock is connection
        holder.join()
        until(lambda: sink.points(DURATION, **LATER))
    return waited


@pytest.mark.measured
@pytest.mark.parametrize(
    ("command", "held"),
    [
        pytest.param(GTHREAD, "/sleep/800/", id="gunicorn-gthread"),
        pytest.param(uvicorn(), "/block/800/", id="uvicorn"),
        pytest.param(gunicorn("--worker-class", "gevent"), "/burn/800/", id="gunicorn-gevent", marks=WIDE),
        pytest.param([*gunicorn("-k", "asgi")[:-1], ASGI], "/block/800/", id="gunicorn-asgi", marks=WIDE),
        pytest.param(SERVERS["daphne"], "/block/800/", id="daphne", marks=WIDE),
        pytest.param(SERVERS["hypercorn"], "/block/800/", id="hypercorn", marks=WIDE),
        pytest.param(
            ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", "{port}", ASGI],
            "/block/800/",
            id="granian",
            marks=WIDE,
        ),
        pytest.param(
            ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=1", WSGI],
            "/sleep/800/",
            id="waitress",
            marks=WIDE,
        ),
    ],
)
def test_a_later_request_of_a_kept_connection_tells_what_it_waited(sink: Sink, command: list[str], held: str) -> None:
    with running(command, sink) as server:
        waited = asks_later(server, sink, held)
        assert waited > 0.3
    queued = sink.points(QUEUE, tidemark__queue__source="tcp_info", **LATER)
    assert sum(point.count for point in queued) == 1
    assert mean(queued) + mean(sink.points(DURATION, **LATER)) == pytest.approx(waited, rel=0.15)


@pytest.mark.measured
def test_over_a_unix_socket_a_later_request_tells_only_its_wait_in_the_servers_own_queue(sink: Sink) -> None:
    with running([*OVER_UNIX[:-1], "--threads", "1", WSGI], sink) as server:
        waited = asks_later(server, sink, "/sleep/800/")
    queued = sink.points(QUEUE, **LATER)
    assert {point.attributes["tidemark.queue.source"] for point in queued} == {"executor"}
    assert mean(queued) + mean(sink.points(DURATION, **LATER)) == pytest.approx(waited, rel=0.15)


@pytest.mark.wide
def test_over_a_unix_socket_to_a_loop_a_later_request_tells_no_wait(sink: Sink) -> None:
    with running(["-m", "uvicorn", "--uds", "{socket}", ASGI], sink) as server:
        asks_later(server, sink, "/block/800/")
    assert not sink.points(QUEUE, **LATER)
