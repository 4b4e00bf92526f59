import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.daemons import daemon_on_a_port, installed


@dataclass(frozen=True)
class Memcached:
    """A running memcached."""

    address: str

    def counts(self) -> dict[str, int]:
        """The server's own count of commands: ``get_hits``, ``get_misses``, ``cmd_set`` and many more."""
        host, port = self.address.split(":")
        answer = b""
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(b"stats\r\n")
            while not answer.endswith(b"END\r\n"):
                answer += connection.recv(65536)
        told = [line.split()[1:] for line in answer.decode().splitlines() if line.startswith("STAT ")]
        return {name: int(value) for name, value in told if value.isdigit()}


@contextmanager
def serve() -> Iterator[Memcached]:
    """A new memcached, ended with the context."""
    # As root it insists on a user.
    user = ["-u", "root"] if os.geteuid() == 0 else []
    with daemon_on_a_port([installed("memcached"), "-p", "{port}", "-l", "127.0.0.1", "-m", "16", *user]) as port:
        yield Memcached(f"127.0.0.1:{port}")
