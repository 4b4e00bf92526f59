"""WebSockets: the one thread that Channels' synchronous consumers share, and what a connection costs in memory."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import linear_regression, median
from time import perf_counter
from typing import Final

import pytest

from tests.serving import Running, running, uvicorn
from tests.sink import Sink, mean, quantile, until
from tests.test_servers import SERVERS

LOOP: Final = ("event_loop", "asyncio")
SHARED_THREAD: Final = ("executor", "asgiref.global")
SOCKETS: Final = 20
WORK_S: Final = 0.1
MANY: Final = 1000
STEPS: Final = 8
WEBSOCKET: Final = {"tidemark__connection__kind": "websocket"}


@contextmanager
def open_websocket(port: int, path: str) -> Iterator[socket.socket]:
    """An accepted WebSocket as a bare socket: a thousand clients of a library would compete with the server."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.recv(1024)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield client


def ask(client: socket.socket) -> float:
    """Seconds until the server has answered a message of one letter."""
    start = perf_counter()
    send(client)
    assert client.recv(16) == b"\x81\x01a"
    return perf_counter() - start


def send(client: socket.socket) -> None:
    client.sendall(b"\x81\x81\0\0\0\0a")


@pytest.mark.measured
def test_the_shared_thread_of_synchronous_consumers_fills_while_the_loop_looks_idle(sink: Sink) -> None:
    with running(SERVERS["daphne"], sink) as server, ExitStack() as stack:
        clients = [stack.enter_context(open_websocket(server.port, "/slow/")) for _ in range(SOCKETS)]
        until(lambda: sink.resource("wait", *LOOP))
        sink.metrics.clear()
        with ThreadPoolExecutor(SOCKETS) as pool:
            rounds = pool.map(lambda client: [ask(client), ask(client)], clients)
            latencies = [wait for waits in rounds for wait in waits]
        until(lambda: sum(point.count for point in sink.resource("wait", *SHARED_THREAD)) >= len(latencies))
        loop = quantile(sink.resource("wait", *LOOP), 0.5)
        waits = sink.resource("wait", *SHARED_THREAD)
    assert {point.value for point in sink.resource("capacity", *SHARED_THREAD)} == {1}
    assert {point.value for point in sink.resource("busy.max", *SHARED_THREAD)} <= {0, 1}
    assert max(point.value for point in sink.resource("waiting.max", *SHARED_THREAD)) == SOCKETS - 1
    assert waits[0].high < waits[-1].high
    assert mean(waits) == pytest.approx(sum(latencies) / len(latencies) - WORK_S, rel=0.1)
    assert quantile(waits, 0.5) == pytest.approx(median(latencies) - WORK_S, rel=0.1)
    assert loop < 0.02


def test_websockets_that_leave_do_not_stay_counted_as_waiting(sink: Sink) -> None:
    with running(SERVERS["daphne"], sink) as server, ExitStack() as stack:
        for client in [stack.enter_context(open_websocket(server.port, "/slow/")) for _ in range(SOCKETS)]:
            send(client)
        until(lambda: any(point.value >= SOCKETS / 2 for point in sink.resource("waiting.max", *SHARED_THREAD)))
        stack.close()
        until(lambda: sink.points("tidemark.connections", **WEBSOCKET)[-1].value == 0)
        until(lambda: sink.resource("waiting.max", *SHARED_THREAD)[-1].value == 0)


def unique_bytes(pid: int) -> int:
    """Memory of a process that is its alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def of_server(sink: Sink, metric: str, name: str) -> list[float]:
    """Values of a metric of WebSockets, oldest first."""
    return [point.value for point in sink.points(metric, **WEBSOCKET) if point.resource["tidemark.server"] == name]


def connections(sink: Sink, name: str) -> float | None:
    values = of_server(sink, "tidemark.connections", name)
    return values[-1] if values else None


def grow(sink: Sink, name: str, server: Running, stack: ExitStack) -> list[tuple[int, int]]:
    """Opens the sockets in steps, and gives the memory that each step was seen to need."""
    pairs: list[tuple[int, int]] = []
    pause = threading.Event()
    for step in range(1, STEPS + 1):
        for _ in range(MANY // STEPS):
            stack.enter_context(open_websocket(server.port, "/echo/"))
        until(lambda: connections(sink, name) == step * MANY // STEPS)  # noqa: B023
        pause.wait(1.1)  # the agent reads its memory each second
        pairs.append((step * MANY // STEPS, unique_bytes(server.process.pid)))
    return pairs


def test_a_websocket_costs_what_an_offline_fit_says_and_nothing_is_said_after_they_close(sink: Sink) -> None:
    commands = {"daphne": SERVERS["daphne"], "uvicorn": uvicorn()}
    with ExitStack() as servers, ExitStack() as stack, ThreadPoolExecutor(len(commands)) as pool:
        started = {
            name: servers.enter_context(running(command, sink, TIDEMARK_EXPORT_INTERVAL="0.2"))
            for name, command in commands.items()
        }
        until(lambda: all(connections(sink, name) == 0 for name in started))
        growing = {name: pool.submit(grow, sink, name, server, stack) for name, server in started.items()}
        pairs = {name: future.result() for name, future in growing.items()}
        told = {name: of_server(sink, "tidemark.memory.per_connection", name) for name in started}
        stack.close()
        until(lambda: all(connections(sink, name) == 0 for name in started))
        sink.metrics.clear()
        until(lambda: len({point.time_ns for point in sink.points("tidemark.process.memory.uss")}) >= 6)
    for name, found in told.items():
        offline = linear_regression(*zip(*pairs[name], strict=True)).slope
        assert 20_000 < offline < 80_000
        assert found[-1] == pytest.approx(offline, rel=0.15), name
    assert not sink.points("tidemark.memory.per_connection", **WEBSOCKET)
