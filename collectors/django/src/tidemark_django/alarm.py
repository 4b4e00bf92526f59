"""A sleep that says how late the kernel ended it, apart from what the thread waits for afterwards."""

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from tidemark_django import native

NS_PER_S: Final = 1_000_000_000
STEP_NS: Final = 10_000
"""The grain of what is told as late."""
CLOCK_MONOTONIC: Final = 1
ABSOLUTE: Final = 1
CLOSE_ON_EXEC: Final = os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else 0


class Alarm:
    """
    Sleeps of the calling thread, on a timer of the kernel (``timerfd``) that goes on counting steps after its time.

    The read of such a timer tells the steps at the moment in which the thread has a core again, and before Python asks
    for the interpreter lock. So the lateness it tells is the processor's, whatever took it: other processes, a quota,
    or a hypervisor, whose theft the kernel's own count of a thread's waits does not show.
    Source: timerfd_create(2).
    """

    def __init__(self) -> None:
        self._sleep: Callable[[float], None] = native.original("time", "sleep")
        self._libc = _libc()
        self._timer: int | None = None
        self._owner = 0

    def sleep(self, seconds: float) -> tuple[float, float | None]:
        """
        Sleeps; seconds from the end of that time until Python runs again, and those of them without a core.

        The second is None where there is no such timer (macOS, old sandboxes): then it is an ordinary sleep.
        """
        until = time.perf_counter() + seconds
        steps = self._steps(until)
        if steps is None:
            self._sleep(max(0.0, until - time.perf_counter()))
        late = max(0.0, time.perf_counter() - until)
        return late, None if steps is None else min(late, (steps - 1) * STEP_NS / NS_PER_S)

    def _steps(self, until: float) -> int | None:
        """Steps of the timer after its read at *until*, the first at that moment."""
        if self._libc is None:
            return None
        try:
            if self._timer is None or self._owner != threading.get_native_id():
                # A child must not set its parent's timer.
                self.close()
                self._timer = self._libc.timerfd_create(CLOCK_MONOTONIC, CLOSE_ON_EXEC)
                self._owner = threading.get_native_id()
            whole, rest = divmod(int(until * NS_PER_S), NS_PER_S)
            setting = (ctypes.c_long * 4)(0, STEP_NS, whole, rest)
            if self._timer < 0 or self._libc.timerfd_settime(self._timer, ABSOLUTE, setting, None) != 0:
                raise OSError("no timer")
            return int.from_bytes(os.read(self._timer, 8), "little")
        except OSError:
            self._libc = None
            return None

    def close(self) -> None:
        if self._timer is not None and self._timer >= 0:
            with contextlib.suppress(OSError):
                os.close(self._timer)
        self._timer = None


def _libc() -> Any:
    """libc's functions, called with the interpreter lock held: they do not block."""
    try:
        libc = ctypes.PyDLL(None)
        return libc if hasattr(libc, "timerfd_settime") else None
    except (OSError, TypeError):
        return None
