import contextlib
import json
import os
import socket
import time
from typing import Any, Final

from tidemark_django.agent import Agent

TIMEOUT_S: Final = 0.2
SOON_S: Final = 1.0
RETRY_S: Final = 30.0
FAILURES: Final = 3
"""In a row that make it absent: one late answer is a busy machine's."""
CPU_SHARE: Final = 0.005
MAX_BYTES: Final = 4_000_000


class StatsSocket:
    """
    uWSGI's stats server, asked by each worker about itself.

    An answer describes every core of every worker, so it is asked so seldom that reading it stays under half a
    percent of a core; in between the last answer counts.

    Args:
        address: As ``--stats`` has it: a path, ``@abstract``, ``host:port`` or ``:port``.
    """

    def __init__(self, agent: Agent, address: str) -> None:
        self._agent = agent
        self._address = address
        self._next = 0.0
        self._busy: int | None = None
        self._failures = 0

    def cores_in_request(self) -> int | None:
        """Cores of this worker that serve a request; None when the stats server does not tell."""
        now = time.monotonic()
        if now < self._next:
            return self._busy
        before = time.thread_time()
        told: int | None = None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = busy_cores(json.loads(self._answer()), os.getpid())
        if told is not None:
            self._busy, self._failures = told, 0
            self._next = now + (time.thread_time() - before) / CPU_SHARE
        else:
            self._note_failure(now)
        return self._busy

    def _note_failure(self, now: float) -> None:
        self._failures += 1
        if self._failures < FAILURES:
            self._next = now + SOON_S
            return
        self._busy = None
        self._next = now + RETRY_S
        self._agent.not_as_expected("uwsgi", f"the stats server at {self._address}")

    def _answer(self) -> bytes:
        deadline = time.monotonic() + TIMEOUT_S
        parts: list[bytes] = []
        with contextlib.closing(_connect(self._address)) as connection:
            while part := connection.recv(65536):
                parts.append(part)
                if time.monotonic() > deadline or sum(map(len, parts)) > MAX_BYTES:
                    raise TimeoutError
        answer = b"".join(parts)
        # With stats-http an HTTP header comes first.
        return answer[answer.index(b"{") :]


def _connect(address: str) -> socket.socket:
    host, separator, port = address.rpartition(":")
    if separator and port.isdigit() and not address.startswith(("/", "@")):
        return socket.create_connection((host if host not in {"", "0.0.0.0"} else "127.0.0.1", int(port)), TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT_S)
    connection.connect("\0" + address[1:] if address.startswith("@") else address)
    return connection


def busy_cores(stats: Any, pid: int) -> int | None:
    """
    Cores of the worker *pid* that serve a request, from a stats server's answer; None when it is not in it.

    >>> busy_cores({"workers": [{"pid": 7, "cores": [{"in_request": 1}, {"in_request": 0}]}]}, 7)
    1
    """
    worker = next((worker for worker in stats["workers"] if worker["pid"] == pid), None)
    return sum(1 for core in worker["cores"] if core["in_request"]) if worker is not None else None
