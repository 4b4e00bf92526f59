import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import urllib3

from tidemark_django import config
from tidemark_django.doctor import project
from tidemark_django.doctor.inbox import Inbox, listening

THREADS: Final = 4
CLIENTS: Final = 24
ROUNDS: Final = 2
BACKLOG: Final = 96
TOLERANCE: Final = 0.1
START_TIMEOUT_S: Final = 20.0
ENDPOINT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Check:
    """One comparison of what was injected with what the agent measured."""

    name: str
    injected: str
    measured: str
    good: bool


def main(*, endpoint: bool) -> int:
    """Runs every check and prints them; the exit code."""
    if importlib.util.find_spec("gunicorn") is None:
        print("gunicorn is not installed: pip install gunicorn", file=sys.stderr)
        return 2
    checks = known_load()
    if endpoint:
        checks.append(reach_endpoint())
    width = max(len(check.name) for check in checks)
    for check in checks:
        verdict = "ok  " if check.good else "FAIL"
        print(f"{verdict}  {check.name:{width}}  injected {check.injected:12}  measured {check.measured}")
    return 0 if all(check.good for check in checks) else 1


def known_load() -> list[Check]:
    """Serves 24 clients with 4 threads, then a page that repeats a query, and compares."""
    with listening() as inbox, serving(inbox) as port:
        barrier = threading.Barrier(CLIENTS)

        def client() -> list[tuple[float, float]]:
            barrier.wait(START_TIMEOUT_S)
            return [ask_to_sleep(port) for _ in range(ROUNDS)]

        with ThreadPoolExecutor(CLIENTS) as pool:
            asked = [times for future in [pool.submit(client) for _ in range(CLIENTS)] for times in future.result()]
        ask(port, "/repeat/")
    queued, slept = (sum(times) / len(times) for times in zip(*asked, strict=True))
    return compare(inbox, queued, slept)


def compare(inbox: Inbox, queued: float, slept: float) -> list[Check]:
    """The checks of a finished load: of its requests, until the view began and in the view, means in seconds."""
    pool = {"tidemark__resource__kind": "thread_pool", "tidemark__resource__name": "gunicorn-gthread"}
    sleep, repeat = {"http__route": "/sleep/"}, {"http__route": "/repeat/"}
    served = inbox.mean("http.server.request.duration", **sleep)
    repeats = [body for name, body in inbox.events if name == "tidemark.db.n_plus_one"]
    told = repeats[0] if len(repeats) == 1 else f"{len(repeats)} events"
    return [
        _number("requests", CLIENTS * ROUNDS, inbox.count("http.server.request.duration", **sleep), 0),
        _seconds("time in the view", slept, served),
        _seconds("queue time, by the socket", queued, inbox.mean("tidemark.http.server.queue.duration", **sleep)),
        _seconds("queue time, by the thread pool", queued, inbox.mean("tidemark.resource.wait", **pool)),
        _number("threads", THREADS, inbox.highest("tidemark.resource.capacity", **pool), 0),
        _number("busy threads", THREADS, inbox.highest("tidemark.resource.busy.max", **pool), 0),
        _number("waiting requests", CLIENTS - THREADS, inbox.highest("tidemark.resource.waiting.max", **pool), 1),
        _number("queries of a request", project.REPEATS, inbox.mean("tidemark.db.queries_per_request", **repeat), 0),
        Check(
            "N+1",
            f"{project.REPEATS} times",
            told,
            f" ran {project.REPEATS} times " in told and "doctor_project.py" in told,
        ),
    ]


def _seconds(name: str, injected: float, measured: float) -> Check:
    good = abs(measured - injected) <= TOLERANCE * injected
    return Check(name, f"{injected:.3f} s", f"{measured:.3f} s", good)


def _number(name: str, injected: float, measured: float, tolerance: float) -> Check:
    return Check(name, f"{injected:g}", f"{measured:g}", abs(measured - injected) <= tolerance)


def reach_endpoint() -> Check:
    """Sends an export without content to the configured ingest."""
    found = config.load(setting=None if os.environ.get("DJANGO_SETTINGS_MODULE") else {})
    headers = {"Content-Type": "application/x-protobuf", **found.headers}
    if found.token:
        headers["Authorization"] = f"Bearer {found.token}"
    url = f"{found.endpoint}/v1/metrics"
    try:
        with urllib3.PoolManager(retries=False, ca_certs=found.certificate or None) as pool:
            answer = pool.request("POST", url, body=b"", headers=headers, timeout=ENDPOINT_TIMEOUT_S, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        return Check("ingest", url, str(error), False)
    return Check("ingest", url, f"status {answer.status}", answer.status == 200)


def ask_to_sleep(port: int) -> tuple[float, float]:
    """Seconds until the view began, and in it, by its own clock: not what the client waits for a core afterwards."""
    start = time.perf_counter()
    begun, ended = map(float, ask(port, "/sleep/").split())
    return begun - start, ended - begun


def ask(port: int, path: str) -> bytes:
    """The answer to one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}")
    finally:
        connection.close()
    return body


@contextmanager
def serving(inbox: Inbox) -> Iterator[int]:
    """A gunicorn of this Python that serves the project and reports to *inbox*; ended with its last export."""
    with tempfile.TemporaryDirectory(prefix="tidemark-doctor-") as folder, socket.socket() as listener:
        shutil.copy(project.__file__, Path(folder, "doctor_project.py"))
        listener.bind(("127.0.0.1", 0))
        listener.listen(BACKLOG)
        log = Path(folder, "gunicorn.log")
        hidden = ("TIDEMARK_", "OTEL_", "DJANGO_SETTINGS_MODULE", "GUNICORN_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        environment |= {
            "HOME": folder,
            "TIDEMARK_ENDPOINT": f"http://127.0.0.1:{inbox.port}",
            "TIDEMARK_EXPORT_INTERVAL": "0.5",
        }
        command = [
            *(sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--chdir", folder),
            *("--worker-class", "gthread", "--threads", str(THREADS), "--graceful-timeout", "5"),
            *("--backlog", str(BACKLOG), "--log-file", str(log), "doctor_project:make_application()"),
        ]
        process = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()], cwd=folder)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            # The first export shows that the worker serves; requests before it would wait for its start.
            while not inbox.points:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"gunicorn did not start:\n{log.read_text()}")
                time.sleep(0.05)
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
