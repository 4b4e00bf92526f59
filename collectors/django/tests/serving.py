"""Real servers as child processes, and clients that measure what they wait."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from tests.daemons import free_port
from tests.sink import Sink, until

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Running:
    """A serving child process."""

    port: int
    process: subprocess.Popen[bytes]
    output: Path
    path: str | None = None
    """The Unix socket it listens on instead of the port."""

    def get(self, path: str, timeout: float = 60, headers: dict[str, str] | None = None) -> tuple[int, bytes, float]:
        """Status, body, and the seconds a client on a fresh connection waited."""
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if self.path is not None:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.settimeout(timeout)
                connection.sock.connect(self.path)
            connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            body = response.read()
            return response.status, body, time.perf_counter() - start
        finally:
            connection.close()

    def get_behind_a_block(self) -> float:
        """The seconds a client waited who came 0.2 s after one whose view blocks the loop for 0.6 s."""
        blocker = threading.Thread(target=self.get, args=("/block/600/",))
        blocker.start()
        blocker.join(0.2)
        waited = self.get("/")[2]
        blocker.join()
        return waited

    def hammer(
        self,
        path: str,
        clients: int,
        rounds: int,
        take: Callable[[tuple[int, bytes, float]], float] = itemgetter(2),
        headers: dict[str, str] | None = None,
    ) -> list[float]:
        """What each request waited, or what *take* takes of its answer, when *clients* ask *rounds* times each."""
        barrier = threading.Barrier(clients)

        def one() -> list[float]:
            barrier.wait()
            return [take(self.get(path, headers=headers)) for _ in range(rounds)]

        with ThreadPoolExecutor(clients) as pool:
            return [wait for future in [pool.submit(one) for _ in range(clients)] for wait in future.result()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def running(command: list[str], sink: Sink | None, **environment: str) -> Iterator[Running]:
    """
    A server process that has answered once and reports to *sink* each half second.

    ``{port}`` in the command becomes a free port, ``{socket}`` the path of a Unix socket.
    """
    with tempfile.TemporaryDirectory(prefix="tidemark-test-", ignore_cleanup_errors=True) as folder:
        yield from _run(command, sink, folder, environment)


def _run(command: list[str], sink: Sink | None, folder: str, environment: dict[str, str]) -> Iterator[Running]:
    port = free_port()
    output, path = Path(folder, "output.log"), str(Path(folder, "web.sock"))
    env = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEMARK_", "OTEL_", "TEST_"))}
    env |= {
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "PYTHONPATH": str(ROOT),
        "OTEL_SERVICE_NAME": "shop",
        "TIDEMARK_EXPORT_INTERVAL": "0.5",
        "TIDEMARK_ENDPOINT": sink.url if sink is not None else "http://127.0.0.1:9",
        "HOME": folder,
    }
    env |= environment
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *(part.format(port=port, socket=path) for part in command)],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Running(port, process, output, path if any("{socket}" in part for part in command) else None)

    def answers() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            return server.get("/", timeout=2)[0] == 200
        except OSError:
            return False

    try:
        until(answers, 60)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Workers that their master left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def gunicorn(*arguments: str) -> list[str]:
    """gunicorn serving the test project by WSGI."""
    return [
        *("-m", "gunicorn", "--no-control-socket", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "3"),
        *arguments,
        "tests.project.wsgi:application",
    ]


def uvicorn(*arguments: str) -> list[str]:
    """uvicorn serving the test project by ASGI."""
    return ["-m", "uvicorn", "--port", "{port}", *arguments, "tests.project.asgi:application"]


def line_of(view: str, text: str) -> int:
    """Number of the first line with *text* in a view of the test project."""
    lines = (ROOT / "tests" / "project" / "views.py").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if f"def {view}(" in line)
    return next(number for number, line in enumerate(lines[start:], start + 1) if text in line)
