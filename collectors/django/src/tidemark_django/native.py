"""
Real threads, locks and sleep, also where gevent has replaced them.

A sampler that is a greenlet would stand still whenever the hub does, and take the hub's waits for the interpreter
lock's. Looked up when used: gevent patches after this module may have been imported (``--preload``).
"""

import contextlib
import importlib
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

COPIES: Final = 1000
Item = TypeVar("Item")


def patched() -> bool:
    """Whether this process's threads are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def gil_enabled() -> bool:
    """Whether the interpreter lock is on now; extensions may switch it back on at run time."""
    check = getattr(sys, "_is_gil_enabled", None)
    return bool(check()) if check is not None else True


def original(module: str, name: str) -> Any:
    """A function of the standard library as it was before gevent."""
    if patched():
        return sys.modules["gevent.monkey"].get_original(module, name)
    return getattr(importlib.import_module(module), name)


def lock() -> threading.Lock:
    """A lock that blocks its thread. Never held where a greenlet may switch."""
    made: threading.Lock = original("_thread", "allocate_lock")()
    return made


def start_thread(name: str, body: Callable[[], None]) -> None:
    """Starts a daemon thread."""
    if patched():
        original("_thread", "start_new_thread")(body, ())
    else:
        threading.Thread(target=body, name=name, daemon=True).start()


def get_ident() -> int:
    """The calling thread's key in ``sys._current_frames``."""
    ident: int = original("_thread", "get_ident")()
    return ident


def running_greenlet() -> Any:
    """The calling greenlet. Only where :func:`patched`."""
    return sys.modules["greenlet"].getcurrent()


def items_of(queue: deque[Item]) -> list[Item]:
    """A queue's items. Without the interpreter lock a copy fails when another thread changes the queue meanwhile."""
    for _ in range(COPIES):
        with contextlib.suppress(RuntimeError):
            return list(queue)
    return list(queue)


class Event:
    """
    As ``threading.Event`` for one waiting thread, on one lock that is open while the event is set.

    The lock is all its state: :meth:`set` is also called from signal handlers, and from several threads at once.
    """

    def __init__(self) -> None:
        self._closed = lock()
        self._closed.acquire()

    def set(self) -> None:
        # RuntimeError: it was open already.
        with contextlib.suppress(RuntimeError):
            self._closed.release()

    def clear(self) -> None:
        self._closed.acquire(blocking=False)

    def is_set(self) -> bool:
        return not self._closed.locked()

    def wait(self, timeout: float) -> bool:
        """Whether it was set within *timeout* seconds."""
        if not self._closed.acquire(timeout=max(0.0, timeout)):
            return False
        self.set()
        return True
