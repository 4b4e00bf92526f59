"""Every server: its name, each request counted once, no failure of the agent. The others are in test_slots."""

import sys
from typing import Final

import pytest

from tests.serving import Running, gunicorn, running, uvicorn
from tests.sink import Sink, quantile, until
from tidemark_django.native import gil_enabled

ASGI: Final = "tests.project.asgi:application"
WSGI: Final = "tests.project.wsgi:application"
SERVERS: Final = {
    "gunicorn-sync": gunicorn(),
    "gunicorn-gthread": gunicorn("--worker-class", "gthread"),
    "gunicorn-gevent": gunicorn("--worker-class", "gevent"),
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", ASGI],
    "hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:{port}", ASGI],
    "granian": ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", WSGI],
    "uwsgi": [
        *("-c", "import os, sys; os.execvp(os.path.join(os.path.dirname(sys.executable), 'uwsgi'), sys.argv)"),
        *("--http-socket", "127.0.0.1:{port}", "--master", "--enable-threads", "--die-on-term", "--module", WSGI),
        *("--home", sys.prefix),
    ],
    "runserver": ["-m", "django", "runserver", "--noreload", "127.0.0.1:{port}"],
}


def counts_each_request_once(sink: Sink, server: Running, name: str) -> None:
    """Asks a server for 20 pages: it has its name, counts each once, and no part of the agent failed."""
    route = {"http__route": "/pid/"}
    for _ in range(20):
        assert server.get("/pid/")[0] == 200
    until(lambda: sum(point.count for point in sink.points("http.server.request.duration", **route)) >= 20)
    server.stop()
    assert sum(point.count for point in sink.points("http.server.request.duration", **route)) == 20
    assert {point.resource["tidemark.server"] for point in sink.metrics} == {name}
    assert not sink.points("tidemark.agent.errors")
    assert not sink.points("tidemark.agent.adapter_errors")
    assert {point.resource["tidemark.gil"] for point in sink.metrics} == {"on" if gil_enabled() else "off"}
    assert bool(sink.resource("wait", "gil", "process")) == gil_enabled()
    assert bool(sink.points("tidemark.cpython.gil.switch_interval")) == gil_enabled()


@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
def test_a_server_counts_each_request_once(sink: Sink, name: str) -> None:
    with running(SERVERS[name], sink) as server:
        counts_each_request_once(sink, server, name)


def test_a_server_without_an_adapter_counts_each_request_once_and_claims_no_queue(sink: Sink) -> None:
    script = (
        "from wsgiref.simple_server import make_server; from tests.project.wsgi import application; "
        "make_server('127.0.0.1', {port}, application).serve_forever()"
    )
    with running(["-c", script], sink) as server:
        counts_each_request_once(sink, server, "wsgi")
    kinds = {point.attributes.get("tidemark.resource.kind") for point in sink.metrics}
    assert kinds == {None, "cpu", *(("gil",) if gil_enabled() else ())}
    assert not sink.points("tidemark.http.server.queue.duration")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        # A worker that gets no core for 5 s is replaced otherwise, by one of another index.
        ("uvicorn", uvicorn("--workers", "2", "--timeout-worker-healthcheck", "60")),
        ("hypercorn", [*SERVERS["hypercorn"], "--workers", "2"]),
        ("granian", [*SERVERS["granian"], "--workers", "2"]),
        ("uwsgi", [*SERVERS["uwsgi"], "--processes", "2"]),
    ],
    ids=["uvicorn", "hypercorn", "granian", "uwsgi"],
)
def test_workers_of_one_server_are_a_group_of_instances(sink: Sink, name: str, command: list[str]) -> None:
    with running(command, sink) as server:
        pids: set[int] = set()
        until(lambda: pids.add(int(server.get("/pid/")[1])) or len(pids) == 2)  # type: ignore[func-returns-value]
        backlog = "tidemark.resource.capacity"
        kind = {"tidemark__resource__kind": "listen_queue"}
        until(lambda: {point.resource["process.pid"] for point in sink.points(backlog, **kind)} == pids)
        master = server.process.pid
    resources = {point.resource["service.instance.id"]: point.resource for point in sink.metrics}.values()
    assert {resource["process.pid"] for resource in resources} == pids
    assert len(resources) == 2
    assert {resource["tidemark.worker.index"] for resource in resources} == {1, 2}
    assert {resource["tidemark.workers.configured"] for resource in resources} == {2}
    assert {resource["tidemark.group.id"].rsplit(":", 1)[1] for resource in resources} == {str(master)}
    assert {resource["tidemark.server"] for resource in resources} == {name}
    # granian opens a socket per worker, each with a queue of its own; the others share one.
    scopes = {point.attributes["tidemark.resource.scope"] for point in sink.points(backlog, **kind)}
    assert scopes == ({"process"} if name == "granian" else {"host"})


@pytest.mark.measured
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["no preload", "preload"])
def test_a_view_that_computes_blocks_every_greenlet_and_not_the_agent(sink: Sink, preload: tuple[str, ...]) -> None:
    hub = ("event_loop", "gevent")
    with running(gunicorn("--worker-class", "gevent", *preload), sink) as server:
        until(lambda: sum(point.count for point in sink.resource("wait", *hub)) > 20)
        quiet = quantile(sink.resource("wait", *hub), 0.5)
        server.hammer("/sleep/300/", clients=20, rounds=1)
        assert max(point.value for point in sink.resource("stall_age", *hub)) < 0.25
        server.get("/burn/1500/")
        event = until(lambda: sink.events("tidemark.stall"))[0]
        until(lambda: max(point.high for point in sink.resource("wait", *hub)) > 1)
    assert quiet < 0.01
    assert (event["tidemark.resource.kind"], event["code.function.name"]) == ("event_loop", "spin")
    assert max(point.value for point in sink.resource("stall_age", *hub)) > 0.4
    # A switch interval at a time: the computing greenlet gives the lock to the agent's real threads.
    assert quantile(sink.resource("wait", "gil", "process"), 0.9) < 0.05
    assert not sink.points("tidemark.http.server.cpu.duration")
