"""The process and its threads as ``/proc`` shows them. None where there is no such file (macOS, hardened kernels)."""

import os
import threading
from typing import Final

NS_PER_S: Final = 1e9
KIB: Final = 1024


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
            ran, waited = file.read(96).split()[:2]
    except (OSError, ValueError):
        return None
    return int(ran) / NS_PER_S, int(waited) / NS_PER_S


def resident_bytes() -> int | None:
    """Resident memory, from ``statm``; 11 microseconds."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read(128).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def proportional_bytes() -> tuple[int, int] | None:
    """Proportional and unique set size (pages shared with a preloading master divided, or left out); milliseconds."""
    pss = uss = 0
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    pss = int(line.split()[1]) * KIB
                elif line.startswith((b"Private_Clean:", b"Private_Dirty:")):
                    uss += int(line.split()[1]) * KIB
    except (OSError, ValueError, IndexError):
        return None
    return (pss, uss) if pss else None


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


def usable_cores() -> float:
    """Cores this process may use: affinity, and the cgroup's quota where there is one."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()[:2]
        if quota != "max":
            cores = min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        pass
    return cores
