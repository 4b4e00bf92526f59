"""Servers whose workers take requests from the listening socket: capacity, busy, the queue, and how long it is."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.daemons import free_port
from tests.serving import gunicorn, running
from tests.sink import Sink, mean, until
from tests.test_servers import ASGI, SERVERS, WSGI, counts_each_request_once

CLIENTS: Final = 10
ROUTE: Final = {"http__route": "/sleep/<int:milliseconds>/"}
THREADS: Final = 4
UWSGI: Final = [*SERVERS["uwsgi"], "--threads", str(THREADS), "--listen", "64"]
GRANIAN: Final = [*SERVERS["granian"], "--blocking-threads", str(THREADS)]


def queue_and_service_are_the_latency(sink: Sink, latencies: list[float], tolerance: float = 0.1) -> None:
    queued = mean(sink.points("tidemark.http.server.queue.duration", tidemark__queue__source="tcp_info", **ROUTE))
    service = mean(sink.points("http.server.request.duration", **ROUTE))
    assert queued + service == pytest.approx(sum(latencies) / len(latencies), rel=tolerance)


@pytest.mark.measured
@pytest.mark.parametrize(
    ("command", "kind", "capacity"),
    [
        pytest.param(
            lambda: gunicorn("--worker-class", "gevent", "--worker-connections", str(THREADS)),
            ("worker", "gunicorn-gevent"),
            THREADS,
            id="gunicorn-gevent",
        ),
        # Loads Django in its master, and forks.
        pytest.param(lambda: UWSGI, ("thread_pool", "uwsgi"), THREADS, id="uwsgi"),
        pytest.param(
            lambda: [*UWSGI, "--lazy-apps", "--stats", f"127.0.0.1:{free_port()}"],
            ("thread_pool", "uwsgi"),
            THREADS,
            id="uwsgi stats",
        ),
        pytest.param(lambda: [*SERVERS["runserver"], "--nothreading"], ("thread_pool", "runserver"), 1, id="runserver"),
    ],
)
def test_slots_queue_in_the_listening_socket(
    sink: Sink, command: Callable[[], list[str]], kind: tuple[str, str], capacity: int
) -> None:
    with running(command(), sink) as server:
        until(lambda: sink.resource("capacity", *kind))
        listener = ("listen_queue", f"tcp:127.0.0.1:{server.port}")
        until(lambda: sink.resource("capacity", *listener))
        sink.metrics.clear()
        latencies = server.hammer(f"/sleep/{50 * capacity}/", clients=CLIENTS, rounds=3)
        until(lambda: sum(p.count for p in sink.points("http.server.request.duration", **ROUTE)) >= len(latencies))
        counts_each_request_once(sink, server, kind[1])
    assert {point.value for point in sink.resource("capacity", *kind)} == {capacity}
    assert max(point.value for point in sink.resource("busy.max", *kind)) == capacity
    waiting = max(point.value for point in sink.resource("waiting.max", *listener))
    assert CLIENTS - capacity - 2 <= waiting <= CLIENTS
    queue_and_service_are_the_latency(sink, latencies)
    waits = sink.resource("wait", *kind)
    assert sum(point.count for point in waits) >= len(latencies)
    assert sum(point.value for point in sink.resource("saturated_time", *kind)) > 0.3


@pytest.mark.measured
def test_granian_shows_its_threads_and_the_queue_before_them(sink: Sink) -> None:
    pool = ("thread_pool", "granian")
    metrics = ["--metrics", "--metrics-scrape-interval", "1", "--metrics-port", str(free_port())]
    with running([*GRANIAN, *metrics], sink) as server:
        until(lambda: sink.resource("waiting", *pool))
        sink.metrics.clear()
        server.hammer("/sleep/400/", clients=CLIENTS, rounds=3)
        until(lambda: any(point.value > 0 for point in sink.resource("waiting.max", *pool)))
        counts_each_request_once(sink, server, "granian")
    assert CLIENTS - THREADS - 1 <= max(p.value for p in sink.resource("waiting.max", *pool)) <= CLIENTS - THREADS
    assert {point.value for point in sink.resource("capacity", *pool)} == {THREADS}
    assert max(point.value for point in sink.resource("busy.max", *pool)) == THREADS
    assert (
        max(point.value for point in sink.points("tidemark.connections", tidemark__connection__kind="http"))
        >= CLIENTS - 1
    )
    backlog = sink.resource("capacity", "listen_queue", f"tcp:127.0.0.1:{server.port}")
    assert {point.attributes["tidemark.resource.scope"] for point in backlog} == {"process"}
    assert not sink.resource("wait", *pool)


@pytest.mark.measured
def test_hypercorn_runs_wsgi_in_the_threads_of_its_loop(sink: Sink) -> None:
    threads, clients = ("executor", "loop.default"), 40
    with running(["-m", "hypercorn", "--bind", "127.0.0.1:{port}", WSGI], sink) as server:
        latencies = server.hammer("/sleep/200/", clients=clients, rounds=2)
        until(lambda: sum(p.count for p in sink.points("http.server.request.duration", **ROUTE)) >= len(latencies))
        counts_each_request_once(sink, server, "hypercorn")
    capacity = sink.resource("capacity", *threads)[-1].value
    assert max(point.value for point in sink.resource("busy.max", *threads)) == capacity
    assert clients - capacity - 2 <= max(point.value for point in sink.resource("waiting.max", *threads)) <= clients
    queue_and_service_are_the_latency(sink, latencies)


def test_granian_without_its_metrics_has_no_queue(sink: Sink) -> None:
    with running(GRANIAN, sink) as server:
        until(lambda: sink.resource("busy", "thread_pool", "granian"))
        server.stop()
    assert not sink.resource("waiting", "thread_pool", "granian")


@pytest.mark.measured
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("daphne", SERVERS["daphne"]),
        ("hypercorn", SERVERS["hypercorn"]),
        ("granian", ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", "{port}", ASGI]),
        ("gunicorn-asgi", [*gunicorn("--worker-class", "asgi")[:-1], ASGI]),
    ],
    ids=["daphne", "hypercorn", "granian", "gunicorn-asgi"],
)
def test_an_asgi_server_shows_its_loop_its_socket_and_who_stood_in_it_while_the_loop_was_blocked(
    sink: Sink, name: str, command: list[str]
) -> None:
    loop = ("event_loop", "asyncio")
    latencies: list[float] = []

    def queued() -> float:
        points = sink.points("tidemark.http.server.queue.duration", tidemark__queue__source="tcp_info", http__route="/")
        return max((point.high for point in points), default=0.0)

    with running(command, sink) as server:
        until(lambda: sink.resource("busy", *loop))
        until(lambda: sink.resource("capacity", "listen_queue", f"tcp:127.0.0.1:{server.port}"))

        # gunicorn listens while its worker loads: the first request waited for that.
        sink.metrics.clear()

        def ask_while_blocked() -> bool:
            latencies.append(server.get_behind_a_block())
            return latencies[-1] > 0.3

        until(ask_while_blocked)
        until(lambda: queued() > 0.3)
        until(lambda: any(point.high > 0.3 for point in sink.resource("wait", *loop)))
        counts_each_request_once(sink, server, name)
    assert queued() <= max(latencies)
    assert {point.value for point in sink.resource("capacity", *loop)} == {1}
