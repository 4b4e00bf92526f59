"""mod_wsgi in Apache: processes of its own that Apache hands requests to, and Apache's children themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest

from tests.apache import apache
from tests.daemons import new_folder
from tests.serving import running
from tests.sink import Sink, mean, until
from tests.test_servers import counts_each_request_once
from tests.test_slots import CLIENTS, ROUTE, queue_and_service_are_the_latency

pytestmark = pytest.mark.wide
QUEUE = "tidemark.http.server.queue.duration"


@dataclass(frozen=True)
class Layout:
    """Processes of Python, threads in each, and what they take requests from."""

    processes: int
    threads: int
    listener: str
    mpm: str
    directives: tuple[str, ...]


LAYOUTS = {
    "daemon": Layout(
        *(2, 3, "unix:", "event"),
        (
            "WSGIDaemonProcess shop processes=2 threads=3 listen-backlog=64 python-path={python_path}",
            "WSGIScriptAlias / {script} process-group=shop application-group=%{{GLOBAL}}",
        ),
    ),
    "event": Layout(
        *(1, 4, "tcp:127.0.0.1:", "event"),
        (
            *("ServerLimit 1", "StartServers 1", "ThreadsPerChild 4", "MaxRequestWorkers 4"),
            *("WSGIPythonPath {python_path}", "WSGIScriptAlias / {script} application-group=%{{GLOBAL}}"),
        ),
    ),
    # In an interpreter of its own, as mod_wsgi does it where nothing else is said.
    "prefork": Layout(
        *(2, 1, "tcp:127.0.0.1:", "prefork"),
        (
            *("StartServers 2", "MinSpareServers 2", "MaxSpareServers 2", "MaxRequestWorkers 2"),
            *("WSGIPythonPath {python_path}", "WSGIScriptAlias / {script}"),
        ),
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture
def folder() -> Iterator[Path]:
    with new_folder() as made:
        yield made


@pytest.mark.measured
def test_apache_shows_its_threads_and_the_queue_before_them(sink: Sink, folder: Path, layout: Layout) -> None:
    kind = ("thread_pool" if layout.threads > 1 else "worker", "mod_wsgi")
    with running(apache(folder, layout.mpm, *layout.directives), sink) as server:
        # A child of Apache loads Python with its first request.
        until(lambda: server.hammer("/", clients=4, rounds=1) and len(pids(sink)) == layout.processes)
        sink.metrics.clear()
        latencies = server.hammer("/sleep/200/", clients=CLIENTS, rounds=3)
        until(lambda: sum(p.count for p in sink.points("http.server.request.duration", **ROUTE)) >= len(latencies))
        counts_each_request_once(sink, server, "mod_wsgi")
        master = server.process.pid
    assert {point.value for point in sink.resource("capacity", *kind)} == {layout.threads}
    assert max(point.value for point in sink.resource("busy.max", *kind)) == layout.threads
    waiting = sink.points("tidemark.resource.waiting.max", tidemark__resource__kind="listen_queue")
    assert {point.attributes["tidemark.resource.scope"] for point in waiting} == {"host"}
    assert all(point.attributes["tidemark.resource.name"].startswith(layout.listener) for point in waiting)
    slots = layout.processes * layout.threads
    assert CLIENTS - slots - 2 <= max(point.value for point in waiting) <= CLIENTS - slots + 1
    queue_and_service_are_the_latency(sink, latencies)
    waits = sink.resource("wait", *kind)
    assert sum(point.count for point in waits) >= len(latencies)
    assert sum(point.value for point in sink.resource("saturated_time", *kind)) > 0.1
    resources = {point.resource["service.instance.id"]: point.resource for point in sink.metrics}.values()
    assert {resource["tidemark.workers.configured"] for resource in resources} == {layout.processes}
    assert {resource["tidemark.threads.configured"] for resource in resources} == {layout.threads}
    assert {resource["tidemark.group.id"].rsplit(":", 1)[1] for resource in resources} == {str(master)}
    # mod_wsgi does not number its processes.
    assert not any("tidemark.worker.index" in resource for resource in resources)


def pids(sink: Sink) -> set[int]:
    return {point.resource["process.pid"] for point in sink.metrics}


@pytest.mark.measured
def test_the_wait_for_a_daemon_process_is_stamped_also_where_the_socket_cannot_tell(sink: Sink, folder: Path) -> None:
    layout = LAYOUTS["daemon"]
    with running(apache(folder, layout.mpm, *layout.directives), sink) as server:
        until(lambda: len(pids(sink)) == layout.processes)
        sink.metrics.clear()
        latencies = server.hammer("/sleep/200/", clients=CLIENTS, rounds=2, headers={"Expect": "100-continue"})
        server.stop()
    stamped = sink.points(QUEUE, tidemark__queue__source="executor", **ROUTE)
    assert sum(point.count for point in stamped) == len(latencies)
    service = mean(sink.points("http.server.request.duration", **ROUTE))
    assert mean(stamped) + service == pytest.approx(fmean(latencies), rel=0.1)
    # Apache's part is small: a request waits for the thread of a daemon process.
    assert mean(sink.resource("wait", "thread_pool", "mod_wsgi")) == pytest.approx(mean(stamped), rel=0.1)


def test_why_a_request_stands_still_is_told_also_in_a_process_that_began_as_another_user(
    sink: Sink, folder: Path, layout: Layout
) -> None:
    reasons = ("sleep", "lock", "io", "cpu")
    with running(apache(folder, layout.mpm, *layout.directives), sink, TIDEMARK_SLOW_REQUEST="0.2") as server:

        def told() -> set[str]:
            return {event["tidemark.stall.reason"] for event in sink.events("tidemark.stall")}

        for reason in reasons:
            until(lambda: server.get(f"/stuck/{reason}/none/") and reason in told())  # noqa: B023
        server.stop()
    assert told() <= {*reasons, "starved"}
