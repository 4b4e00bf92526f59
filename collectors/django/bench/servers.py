"""Servers of a bench that stand still unless they are loaded, and what they take of the processor and the memory."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.serving import Running


def of_workers(server: Running) -> Iterator[Path]:
    """Folders in ``/proc`` of the workers of a server."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(") ")[2].split()[1]) == server.process.pid:
                yield stat.parent


def cpu_seconds(server: Running) -> float:
    """Processor time of the threads of a server's workers so far, to the nanosecond."""
    total = 0
    for worker in of_workers(server):
        for thread in worker.glob("task/*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def resident_bytes(server: Running) -> int:
    """Resident memory of the workers of a server."""
    pages = sum(int((worker / "statm").read_text().split()[1]) for worker in of_workers(server))
    return pages * os.sysconf("SC_PAGE_SIZE")


def halt(server: Running) -> None:
    """Stops a server and its workers where they are."""
    os.killpg(server.process.pid, signal.SIGSTOP)


def resume(server: Running) -> None:
    """Lets a halted server go on."""
    os.killpg(server.process.pid, signal.SIGCONT)
