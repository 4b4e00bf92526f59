"""Every server: its name, each request counted once, no failure of the agent, nothing left behind at the end."""

import sys
from typing import Final

import pytest

from tests.serving import gunicorn, running
from tests.sink import Sink, until

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
        *("--lazy-apps", "--home", sys.prefix),
    ],
    "runserver": ["-m", "django", "runserver", "--noreload", "127.0.0.1:{port}"],
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_counts_each_request_once(sink: Sink, name: str) -> None:
    with running(SERVERS[name], sink) as server:
        for _ in range(20):
            assert server.get("/pid/")[0] == 200
        finished = until(
            lambda: [
                points
                for points in [sink.points("http.server.request.duration", http__route="/pid/")]
                if sum(point.count for point in points) >= 20
            ]
        )[0]
    assert sum(point.count for point in finished) == 20
    assert {point.resource["tidemark.server"] for point in sink.metrics} == {name}
    assert not sink.points("tidemark.agent.errors")
    assert not sink.points("tidemark.agent.adapter_errors")
    assert sink.resource("wait", "gil", "process")
