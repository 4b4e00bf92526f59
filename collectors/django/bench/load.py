"""
A load generator that goes from one server to the next within milliseconds: starting wrk takes as long as a slice.

It keeps its connections to every server it has loaded. A process of its own, told by lines ``port path seconds``; each
is answered by a line of the requests that were answered and the seconds from the first request to the last answer.
"""

import os
import re
import selectors
import socket
import subprocess
import sys
from pathlib import Path
from time import perf_counter

CONNECTIONS = 8
PATIENCE_S = 10
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)\r\n")
END = b"\r\n\r\n"


class Connection:
    """One connection that asks for the next page when it has the last one whole."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._answer = b""

    def answered(self) -> bool:
        """Takes what has come; whether that ends an answer. RuntimeError: it is not what it should be."""
        piece = self.socket.recv(65536)
        self._answer += piece
        head, end, body = self._answer.partition(END)
        length = LENGTH.search(head + END)
        if not piece or (end and (length is None or not head.startswith(b"HTTP/1.1 200 "))):
            raise RuntimeError(f"answered with {self._answer!r}")
        if not end or length is None or len(body) < int(length[1]):
            return False
        self._answer = b""
        return True


def drive(connections: list[Connection], path: str, seconds: float) -> tuple[int, float]:
    """Keeps all connections busy for some seconds; requests, and seconds until the last of them was answered."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    answered, busy = 0, len(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        start = perf_counter()
        until = start + seconds
        for connection in connections:
            connection.socket.sendall(request)
        while busy:
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise RuntimeError(f"no answer within {PATIENCE_S} s")
            for key, _ in ready:
                if not key.data.answered():
                    continue
                answered += 1
                if perf_counter() < until:
                    key.data.socket.sendall(request)
                else:
                    busy -= 1
        return answered, perf_counter() - start


def main() -> None:
    known: dict[int, list[Connection]] = {}
    for line in sys.stdin:
        port, path, seconds = line.split()
        connections = known.setdefault(int(port), [])
        while len(connections) < CONNECTIONS:
            connections.append(Connection(int(port)))
        print(*drive(connections, path, float(seconds)), flush=True)


class Load:
    """The generator, on *core* alone if there is one to spare."""

    def __init__(self, core: int | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})

    def run(self, port: int, path: str, seconds: float) -> tuple[int, float]:
        """:func:`drive` of 8 connections to a server."""
        told, answers = self._process.stdin, self._process.stdout
        assert told is not None
        assert answers is not None
        print(port, path, seconds, file=told, flush=True)
        requests, elapsed = answers.readline().split()
        return int(requests), float(elapsed)

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    main()
