"""The wait on Unix sockets, of which the kernel keeps no time, beside what the clients waited."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Final

import pytest

from tests.serving import running
from tests.sink import Sink, mean, until
from tests.test_gunicorn import waiting_by_ss
from tests.test_servers import ASGI, SERVERS, WSGI
from tidemark_django import sock_diag
from tidemark_django.unix_waits import UnixWaits

CLIENTS: Final = 12
ROUTE: Final = {"http__route": "/sleep/<int:milliseconds>/"}
QUEUE: Final = "tidemark.http.server.queue.duration"
GUNICORN: Final = ["-m", "gunicorn", "--no-control-socket", "--bind", "unix:{socket}", WSGI]
UWSGI: Final = [
    part.replace("127.0.0.1:{port}", "{socket}") for part in [*SERVERS["uwsgi"], "--listen", "64", "--processes", "2"]
]


WIDE: Final = pytest.mark.wide


@pytest.mark.measured
@pytest.mark.parametrize(
    ("command", "source"),
    [
        pytest.param([*GUNICORN, "--workers", "2"], "unix_diag", id="sync"),
        pytest.param([*GUNICORN, "-k", "gthread", "--threads", "2"], "executor", id="gthread"),
        pytest.param(UWSGI, "unix_diag", id="uwsgi"),
        pytest.param([*GUNICORN, "-k", "gevent", "--worker-connections", "2"], "unix_diag", id="gevent", marks=WIDE),
        pytest.param(
            ["-m", "waitress", "--unix-socket={socket}", "--threads=2", WSGI], "executor", id="waitress", marks=WIDE
        ),
    ],
)
def test_queue_and_service_are_what_the_clients_of_a_unix_socket_waited(
    sink: Sink, command: list[str], source: str
) -> None:
    with running(command, sink) as server:
        server.hammer("/pid/", clients=CLIENTS, rounds=2)
        latencies = server.hammer("/sleep/200/", clients=CLIENTS, rounds=3)
        until(lambda: sum(p.count for p in sink.points("http.server.request.duration", **ROUTE)) >= len(latencies))
        server.stop()
    queued = sink.points(QUEUE, tidemark__queue__source=source, **ROUTE)
    assert sum(point.count for point in queued) == len(latencies)
    service = mean(sink.points("http.server.request.duration", **ROUTE))
    assert mean(queued) > 3 * service
    assert mean(queued) + service == pytest.approx(fmean(latencies), rel=0.1)


@pytest.mark.measured
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["-m", "uvicorn", "--uds", "{socket}", ASGI], id="uvicorn"),
        pytest.param(["-m", "uvicorn", "--uds", "{socket}", "--loop", "asyncio", ASGI], id="asyncio", marks=WIDE),
        pytest.param(["-m", "hypercorn", "--bind", "unix:{socket}", ASGI], id="hypercorn", marks=WIDE),
        pytest.param(["-m", "daphne", "-u", "{socket}", ASGI], id="daphne", marks=WIDE),
    ],
)
def test_who_stood_before_a_blocked_loop_in_a_unix_socket_is_told(sink: Sink, command: list[str]) -> None:
    waits: list[float] = []
    with running(command, sink) as server:
        until(lambda: sink.resource("busy", "event_loop", "asyncio"))
        sink.metrics.clear()

        def ask_while_blocked() -> bool:
            waits.append(server.get_behind_a_block())
            return waits[-1] > 0.3

        until(ask_while_blocked)
        until(lambda: sum(point.count for point in sink.points(QUEUE, http__route="/")) >= len(waits))
        server.stop()
    told = sink.points(QUEUE, tidemark__queue__source="unix_diag", http__route="/")
    assert sum(point.count for point in told) >= len(waits)
    assert max(point.high for point in told) == pytest.approx(max(waits), rel=0.25)


def test_granian_shows_the_queue_of_its_unix_socket(sink: Sink) -> None:
    command = [*("-m", "granian", "--interface", "wsgi", "--uds", "{socket}", "--backlog", "128"), WSGI]
    with running([*command[:-1], "--backpressure", "1", WSGI], sink) as server, ExitStack() as stack:
        name = ("listen_queue", f"unix:{server.path}")
        until(lambda: sink.resource("capacity", *name))
        for _ in range(6):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(server.path))
            client.sendall(b"GET /sleep/30000/ HTTP/1.1\r\nHost: unix\r\nConnection: close\r\n\r\n")
        # One is in granian.
        until(lambda: waiting_by_ss(str(server.path)) == (5, 128))
        until(lambda: sink.resource("waiting", *name)[-1].value == 5)
        assert sink.resource("capacity", *name)[-1].value == 128
        server.process.kill()


def test_the_kernel_names_who_waits_in_a_unix_socket_oldest_first(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(tmp_path / "web.sock"))
        listener.listen(8)
        inode = os.fstat(listener.fileno()).st_ino
        assert sock_diag.unix_waiting(inode) == []
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for client in clients:
            client.connect(str(tmp_path / "web.sock"))
        peers = [os.fstat(client.fileno()).st_ino for client in clients]
        assert sock_diag.unix_waiting(inode) == peers
        accepted = stack.enter_context(listener.accept()[0])
        assert sock_diag.unix_waiting(inode) == peers[1:]
        assert sock_diag.unix_peer(os.fstat(accepted.fileno()).st_ino) == peers[0]
        assert sock_diag.unix_waiting(os.fstat(accepted.fileno()).st_ino) is None
        clients[0].close()
        assert sock_diag.unix_peer(os.fstat(accepted.fileno()).st_ino) is None


def test_a_connection_waited_as_long_as_the_looks_that_saw_it_stand_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([0.0, 0.1, 0.3, 0.4, 0.5])
    monkeypatch.setattr("tidemark_django.unix_waits.perf_counter", lambda: next(moments))
    waits = UnixWaits()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(tmp_path / "web.sock"))
        listener.listen(8)
        waits.add(listener)

        def connect() -> None:
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(tmp_path / "web.sock"))

        connect()
        for _ in range(2):
            waits.look()
        connect()
        waits.look()
        seen = [stack.enter_context(listener.accept()[0]) for _ in range(2)]
        # By then another look may have passed.
        waits.look()
        assert [waits.take(connection) for connection in seen] == pytest.approx([0.4, 0.1])
        connect()
        unseen = stack.enter_context(listener.accept()[0])
        assert waits.take(unseen.fileno()) == 0
        # A later request of the same connection did not stand in this queue.
        assert [waits.take(connection) for connection in (*seen, unseen)] == [None] * 3
    assert waits.take(SimpleNamespace(fileno=lambda: -1)) is None
    assert waits.take(None) is None
