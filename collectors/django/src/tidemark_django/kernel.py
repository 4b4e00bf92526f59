"""The process and its threads as ``/proc`` shows them. None where there is no such file (macOS, hardened kernels)."""

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tidemark_django.quota import QUOTA_LIMIT, cpu_quota

NS_PER_S: Final = 1e9
KIB: Final = 1024
SIZES: Final = frozenset({b"Pss", b"Private_Clean", b"Private_Dirty", b"Shared_Dirty"})


def native_id(ident: int) -> int | None:
    """
    The kernel's id of a Python thread.

    The main thread's is the process id: before Python 3.13 ``Thread.native_id`` still names the parent's after a fork.
    """
    if ident == threading.main_thread().ident:
        return os.getpid()
    return next((thread.native_id for thread in threading.enumerate() if thread.ident == ident), None)


def thread_times(thread_id: int) -> tuple[float, float] | None:
    """Seconds a thread has run, and seconds it was ready without a core: ``/proc/self/task/<id>/schedstat``."""
    try:
        with open(f"/proc/self/task/{thread_id}/schedstat", "rb") as file:
            return _times(file.read(96))
    except (OSError, ValueError):
        return None


def _times(content: bytes) -> tuple[float, float]:
    ran, waited = content.split()[:2]
    return int(ran) / NS_PER_S, int(waited) / NS_PER_S


# Numbers of system calls, from the kernel's tables. Python 3.10 sleeps in a select of nothing.
SYSTEM_CALLS: Final = {
    "x86_64": {"202": "lock", "230": "sleep", "35": "sleep", "270": "select", "23": "select"},
    "aarch64": {"98": "lock", "115": "sleep", "101": "sleep", "72": "select"},
}.get(platform.machine())


FUNCTIONS: Final = {"hrtimer_nanosleep": "sleep", "do_nanosleep": "sleep", "futex_": "lock"}
"""What the kernel's functions that wait are for, by how they begin (kernel/time/hrtimer.c, kernel/futex)."""
SELECTS: Final = ("poll_schedule_timeout", "do_select")


def stands_in(thread_id: int) -> str | None:
    """
    What the kernel has a thread stand in: ``running``, ``lock`` (also the interpreter's), ``sleep``, else ``io``.

    ``/proc/self/task/<id>/syscall`` is closed to a process that began as another user (Apache's children, gunicorn's
    ``--user``): there, and on processors whose numbers are not known here, the function it stands in tells.
    """
    if SYSTEM_CALLS is None:
        return _stands_in_function(thread_id)
    try:
        with open(f"/proc/self/task/{thread_id}/syscall", "rb") as file:
            words = file.read(64).decode("ascii").split()
    except (OSError, ValueError):
        return _stands_in_function(thread_id)
    if not words or words[0] == "running":
        return "running"
    found = SYSTEM_CALLS.get(words[0], "io")
    if found != "select":
        return found
    return "sleep" if words[1:2] == ["0x0"] else "io"


def _stands_in_function(thread_id: int) -> str | None:
    """By ``/proc/self/task/<id>/wchan``. None where nothing is told, and where it may be a sleep of Python 3.10's."""
    try:
        with open(f"/proc/self/task/{thread_id}/wchan", "rb") as file:
            name = file.read(64).decode("ascii")
    except (OSError, ValueError):
        return None
    if name == "0":
        return "running"
    if not name or (name.startswith(SELECTS) and sys.version_info < (3, 11)):
        return None
    return next((what for start, what in FUNCTIONS.items() if name.startswith(start)), "io")


class OwnTimes:
    """
    :func:`thread_times` of the calling thread, for one that asks often: the file stays open.

    Python's own read gives up the interpreter lock, and each time it must be won back: beside computing threads that
    is a forced switch and up to 5 ms. libc's, called with the lock held, takes 2 microseconds.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._owner = 0
        self._buffer = ctypes.create_string_buffer(96)
        self._pread = _pread_with_lock()

    def read(self) -> tuple[float, float] | None:
        own = threading.get_native_id()
        try:
            if self._file is None or self._owner != own:
                self.close()
                self._file = os.open(f"/proc/self/task/{own}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
                self._owner = own
            if self._pread is None:
                return _times(os.pread(self._file, 96, 0))
            length = self._pread(self._file, self._buffer, 95, 0)
            return _times(self._buffer.raw[:length]) if length > 0 else None
        except (OSError, ValueError, AttributeError):
            return None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _pread_with_lock() -> Callable[..., int] | None:
    try:
        pread = ctypes.PyDLL(None).pread
    except (OSError, AttributeError, TypeError):
        return None
    pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
    pread.restype = ctypes.c_ssize_t
    return pread


def resident_bytes() -> int | None:
    """Resident memory, from ``statm``; 11 microseconds."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read(128).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


@dataclass(frozen=True)
class Sizes:
    """
    Memory of the process in bytes: proportional (pages that n processes share count one n-th), its own alone, and
    written pages that it still shares by copy-on-write with the process it was forked from, or with those it forked.
    """

    proportional: int
    unique: int
    copy_on_write: int


def memory_sizes() -> Sizes | None:
    """From ``smaps_rollup``; milliseconds. Shared memory that several processes write counts as copy-on-write too."""
    found: dict[bytes, int] = {}
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                name, _, rest = line.partition(b":")
                if name in SIZES:
                    found[name] = int(rest.split()[0]) * KIB
    except (OSError, ValueError, IndexError):
        return None
    if not found.get(b"Pss"):
        return None
    unique = found.get(b"Private_Clean", 0) + found.get(b"Private_Dirty", 0)
    return Sizes(found[b"Pss"], unique, found.get(b"Shared_Dirty", 0))


def thread_count() -> int | None:
    """Threads of the process, native ones included."""
    return _entries("/proc/self/task")


def descriptor_count() -> int | None:
    """Open file descriptors."""
    return _entries("/proc/self/fd")


def _entries(path: str) -> int | None:
    try:
        return len(os.listdir(path))
    except OSError:
        return None


def somaxconn() -> int | None:
    """The longest accept queue the kernel grants in this network namespace."""
    try:
        with open("/proc/sys/net/core/somaxconn", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def usable_cores() -> float:
    """Cores this process may use: affinity, and the cgroup's quota where there is one."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = cpu_quota()
    return cores if quota is None else min(cores, quota[QUOTA_LIMIT])
