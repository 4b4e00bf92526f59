"""Databases and caches of the tests' own: child processes on this machine, gone with the test."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.sink import until

STARTS_WITHIN_S = 60
ENDS_WITHIN_S = 30


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def installed(program: str) -> str:
    """Path of a program; without it the test is left out by name, which fails ``npm test`` in CI."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}")
    return found


@contextmanager
def new_folder(user: int | None = None) -> Iterator[Path]:
    """A folder for what a server keeps, owned by *user*, removed at the end."""
    folder = tempfile.mkdtemp(prefix="tidemark-test-")
    if user is not None:
        os.chown(folder, user, -1)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def daemon(
    command: list[str], folder: Path, connect: Callable[[], Any], refused: type[Exception], user: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """
    A server that runs in *folder* and takes connections, ended at the end.

    Args:
        connect: Opens a connection, which is closed at once. It raises *refused* while the server does not answer.

        user: Whom it runs as, if not as us.
    """
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, user=user)

    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        try:
            connect().close()
        except refused:
            return False
        return True

    try:
        until(answers, STARTS_WITHIN_S)
        yield server
    finally:
        server.terminate()
        server.wait(ENDS_WITHIN_S)


@contextmanager
def daemon_on_a_port(command: list[str]) -> Iterator[int]:
    """The port of a server that listens there; ``{port}`` and ``{folder}`` stand in its command."""
    port = free_port()
    with new_folder() as folder:
        words = [word.format(port=port, folder=folder) for word in command]
        with daemon(words, folder, lambda: socket.create_connection(("127.0.0.1", port), 1), OSError):
            yield port
