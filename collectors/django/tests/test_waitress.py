from typing import Final

import pytest

from tests.serving import running
from tests.sink import Sink, mean, until

POOL: Final = ("thread_pool", "waitress")
SERVE: Final = ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=4", "tests.project.wsgi:application"]
# A script that loads Django before waitress: nothing is there to wrap when the agent is installed.
SCRIPT: Final = [
    "-c",
    "from tests.project.wsgi import application; import waitress; "
    "waitress.serve(application, listen='127.0.0.1:{port}', threads=4)",
]


@pytest.mark.measured
@pytest.mark.parametrize("command", [SERVE, SCRIPT], ids=["waitress-serve", "script"])
def test_waitress_shows_its_threads_and_the_queue_before_them(sink: Sink, command: list[str]) -> None:
    with running(command, sink) as server:
        until(lambda: sink.resource("capacity", *POOL))
        sink.metrics.clear()
        latencies = server.hammer("/sleep/200/", clients=30, rounds=2)
        until(lambda: sum(p.count for p in sink.points("http.server.request.duration")) >= len(latencies))
    route = {"http__route": "/sleep/<int:milliseconds>/"}
    assert {point.value for point in sink.resource("capacity", *POOL)} == {4}
    assert max(point.value for point in sink.resource("busy.max", *POOL)) == 4
    assert 24 <= max(point.value for point in sink.resource("waiting.max", *POOL)) <= 26
    service = mean(sink.points("http.server.request.duration", **route))
    measured = sum(latencies) / len(latencies)
    assert mean(sink.resource("wait", *POOL)) + service == pytest.approx(measured, rel=0.1)
    assert mean(sink.points("tidemark.http.server.queue.duration", **route)) + service == pytest.approx(
        measured, rel=0.1
    )
    assert max(point.value for point in sink.points("tidemark.connections")) == 30
    assert {point.resource["tidemark.server"] for point in sink.metrics} == {"waitress"}
    assert {point.value for point in sink.resource("capacity", "listen_queue", f"tcp:127.0.0.1:{server.port}")} == {
        1024
    }
