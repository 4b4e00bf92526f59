"""A server whose inside is not what its adapter knows: its numbers are absent, one warning says so, it serves on."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.serving import gunicorn, running
from tests.sink import Sink, until
from tidemark_django import sock_diag
from tidemark_django.agent import Agent
from tidemark_django.agg import Point
from tidemark_django.servers import daphne, granian, hypercorn, listeners, uvicorn, uwsgi, waitress
from tidemark_django.servers import gunicorn as gunicorn_adapter
from tidemark_django.servers.granian_metrics import MetricsEndpoint
from tidemark_django.servers.uwsgi_stats import FAILURES, StatsSocket

NOTHING: Final = SimpleNamespace()
OTHER_PROTOCOL: Final = SimpleNamespace(http_protocol_class=Path, limit_concurrency=8)

UNKNOWN_INSIDES: Final[dict[str, Callable[[Agent], object]]] = {
    "gunicorn-gthread": lambda agent: gunicorn_adapter._watch_threads(agent, SimpleNamespace(tpool=object())),
    "gunicorn-sync": lambda agent: gunicorn_adapter._watch_handlers(agent, NOTHING, "gunicorn-sync", 1, []),
    "gunicorn-gevent": lambda agent: gunicorn_adapter._watch_handlers(agent, NOTHING, "gunicorn-gevent", 9, []),
    "waitress": lambda agent: waitress._watch(agent, SimpleNamespace(task_dispatcher=object())),
    "uvicorn request": lambda agent: uvicorn._expose_sockets(agent, OTHER_PROTOCOL),
    "uvicorn limit": lambda agent: uvicorn._watch_limit(agent, OTHER_PROTOCOL, NOTHING),
    "daphne listening": lambda agent: daphne._watch_listeners(agent, NOTHING),
    "daphne application": lambda agent: daphne._expose_sockets(agent, NOTHING),
    "hypercorn": lambda agent: hypercorn._count_connections(agent, NOTHING),
    "hypercorn application": lambda agent: hypercorn._watch_application(agent, NOTHING),
    "granian": lambda agent: granian._watch_threads(agent, None, None),
    "uwsgi": lambda agent: uwsgi._watch(agent, SimpleNamespace(connection_fd=lambda: 0)),
}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def counted(agent: Agent) -> list[Point]:
    return [point for point in agent.registry.take() if point.metric == "tidemark.agent.adapter_errors"]


@pytest.mark.parametrize("inside", UNKNOWN_INSIDES)
def test_an_unknown_inside_is_one_warning_and_no_number(
    agent: Agent, caplog: pytest.LogCaptureFixture, inside: str
) -> None:
    for _ in range(2):
        UNKNOWN_INSIDES[inside](agent)
    assert agent.resources == []
    assert len(warnings(caplog)) == 1
    assert "numbers that need it are absent" in warnings(caplog)[0]
    assert [point.value for point in counted(agent)] == [2]


@pytest.mark.parametrize("address", ["{folder}/stats.sock", "127.0.0.1:9", ":9", "@tidemark-no-such-socket"])
def test_a_stats_server_that_does_not_answer_is_asked_seldom_and_named_once(
    agent: Agent, caplog: pytest.LogCaptureFixture, tmp_path: Path, address: str
) -> None:
    stats = StatsSocket(agent, address.format(folder=tmp_path))
    for _ in range(FAILURES):
        assert warnings(caplog) == []
        stats._next = 0.0
        assert stats.cores_in_request() is None
    assert [stats.cores_in_request() for _ in range(3)] == [None] * 3
    assert len(warnings(caplog)) == 1
    assert [point.value for point in counted(agent)] == [1]


def test_a_late_answer_of_a_stats_server_leaves_the_last_one_in_place(
    agent: Agent, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"workers": [{"pid": os.getpid(), "cores": [{"in_request": 1}, {"in_request": 0}]}]}
    answers: Iterator[bytes | Exception] = iter(
        [json.dumps(told).encode(), TimeoutError(), b"nothing known", json.dumps(told).encode(), OSError()]
    )

    def answer() -> bytes:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    stats = StatsSocket(agent, "127.0.0.1:9")
    monkeypatch.setattr(stats, "_answer", answer)
    for _ in range(5):
        stats._next = 0.0
        assert stats.cores_in_request() == 1
    assert warnings(caplog) == []
    assert counted(agent) == []


def test_metrics_that_do_not_answer_once_the_server_has_started_are_named_once(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    master = SimpleNamespace(metrics_enabled=True, metrics_address="127.0.0.1", metrics_port=9)
    endpoint = MetricsEndpoint.of(agent, master, 1)
    assert endpoint is not None
    assert endpoint.read() == {}
    assert warnings(caplog) == []
    endpoint._expected_by = endpoint._next = time.monotonic() - 1
    assert [endpoint.read() for _ in range(3)] == [{}] * 3
    assert endpoint.connections() is None
    assert len(warnings(caplog)) == 1
    assert MetricsEndpoint.of(agent, None, 1) is None


def test_arguments_of_a_worker_that_granian_does_not_have_today_are_no_failure() -> None:
    def target(worker_id: int, callback: Any, sock: Any, ipc: Any, loop: Any, blocking_threads: int) -> None:
        pass

    known = {"target": target, "args": (3,), "kwargs": {}}
    assert granian._arguments(known)["blocking_threads"] == 3
    assert granian._arguments(known | {"args": (3, 4)}) == {}
    assert granian._arguments({}) == {}


def test_a_spawned_granian_worker_knows_its_master_by_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["/usr/bin/granian", "--workers", "3", "--metrics", "--metrics-port", "9099", "shop.wsgi:application"]
    monkeypatch.setattr(sys, "argv", command)
    master = granian._master_by_command_line()
    assert (master.workers, master.metrics_enabled, master.metrics_port) == (3, True, 9099)
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver"])
    assert granian._master_by_command_line() is None


def test_a_queue_the_kernel_does_not_show_is_neither_contended_nor_free(agent: Agent) -> None:
    closed = SimpleNamespace(family=2, getsockname=lambda: ("127.0.0.1", 80))
    assert listeners.watch(agent, [closed]) == []
    later = listeners.watch(agent, [closed], listening=False)
    assert later[0].length() is None
    assert listeners.contended(later) is None
    assert later[0].resource.read() is None


def test_addresses_without_a_connection_between_them_have_no_wait() -> None:
    assert sock_diag.tcp_info(("127.0.0.1", 9), ("127.0.0.1", 10)) is None
    assert sock_diag.tcp_info(("not an address", 9), ("127.0.0.1", 10)) is None
    assert sock_diag.tcp_info(("127.0.0.1", 9), ("::1", 10)) is None


def test_a_server_with_an_unknown_inside_serves_on_and_the_rest_is_measured(sink: Sink) -> None:
    command = gunicorn("--worker-class", "tests.project.opaque_worker.OpaqueThreadWorker", "--threads", "2")
    with running(command, sink) as server:
        assert {server.get("/pid/")[0] for _ in range(10)} == {200}
        until(lambda: sum(p.count for p in sink.points("http.server.request.duration", http__route="/pid/")) >= 10)
        until(lambda: sink.resource("capacity", "listen_queue", f"tcp:127.0.0.1:{server.port}"))
        server.stop()
        log = server.output.read_text()
    assert not [p for p in sink.metrics if p.attributes.get("tidemark.resource.kind") == "thread_pool"]
    assert sum(point.value for point in sink.points("tidemark.agent.adapter_errors")) == 1
    assert not sink.points("tidemark.agent.errors")
    assert log.count("tidemark: gunicorn-gthread: the worker's thread pool is not available") == 1
    assert sink.points("tidemark.http.server.queue.duration", tidemark__queue__source="tcp_info")
