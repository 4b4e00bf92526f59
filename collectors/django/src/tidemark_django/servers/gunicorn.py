import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures.thread import _worker as _idle
from functools import wraps
from time import perf_counter
from types import FrameType
from typing import Any

from tidemark_django import boot, frames, runtime, stalls
from tidemark_django.agent import Agent
from tidemark_django.frames import Stack
from tidemark_django.identity import Server
from tidemark_django.native import gil_enabled, items_of
from tidemark_django.request import RequestState, current_request
from tidemark_django.saturation import Reading, Resource
from tidemark_django.servers import listeners, slots
from tidemark_django.unix_waits import own_queue_wait

KINDS = {
    "ThreadWorker": "gunicorn-gthread",
    "SyncWorker": "gunicorn-sync",
    "GeventWorker": "gunicorn-gevent",
    "UvicornWorker": "gunicorn-uvicorn",
}


def install() -> None:
    """
    Starts in gunicorn's workers, never in its arbiter.

    Without ``--preload`` Django is loaded inside ``Worker.load_wsgi``, so the worker is on the stack now. With it
    Django is loaded in the arbiter, and each forked worker passes the wrapped ``load_wsgi`` later.
    """
    if "gunicorn.workers.base" not in sys.modules:
        return
    from gunicorn.workers.base import Worker

    if not getattr(Worker, "_tidemark", False):
        load: Callable[..., Any] = Worker.load_wsgi

        @wraps(load)
        def load_then_start(self: Any) -> Any:
            result = load(self)
            boot.guarded("gunicorn", lambda: _start(self))
            return result

        Worker.load_wsgi = load_then_start
        Worker._tidemark = True
    worker = _worker_on_stack(Worker)
    if worker is not None:
        _start(worker)


def _worker_on_stack(base: type) -> Any:
    frame = sys._getframe()
    while frame is not None:
        candidate = frame.f_locals.get("self") if frame.f_code.co_name == "load_wsgi" else None
        if isinstance(candidate, base):
            return candidate
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _start(worker: Any) -> None:
    import gunicorn

    kind = next((KINDS[base.__name__] for base in type(worker).__mro__ if base.__name__ in KINDS), None)
    name = kind or f"gunicorn-{type(worker).__name__.removesuffix('Worker').lower()}"
    threads = worker.cfg.threads if kind == "gunicorn-gthread" else None
    already = runtime.agent
    agent = boot.start(
        Server(
            name,
            version=gunicorn.__version__,
            index=worker.age,
            master_pid=worker.ppid,
            workers=worker.cfg.workers,
            threads=threads,
        )
    )
    if agent is None or agent is already:
        return
    boot.guarded("gunicorn", lambda: _watch_timeouts(agent))
    agent.configured_backlog = worker.cfg.backlog
    queues = boot.guarded("listeners", lambda: listeners.watch(agent, worker.sockets)) or []
    if kind == "gunicorn-gthread":
        boot.guarded("gunicorn-gthread", lambda: _watch_threads(agent, worker))
    elif kind == "gunicorn-sync":
        boot.guarded(kind, lambda: _watch_handlers(agent, worker, kind, 1, queues))
    elif kind == "gunicorn-gevent":
        from tidemark_django.servers import gevent

        boot.guarded(kind, lambda: gevent.watch_hub(agent))
        greenlets = worker.worker_connections * len(worker.sockets)
        boot.guarded(kind, lambda: _watch_handlers(agent, worker, kind, greenlets, queues))
    elif hasattr(worker, "nr_conns"):
        agent.connections.http = lambda: int(worker.nr_conns) - agent.connections.now_websockets()


def _watch_timeouts(agent: Agent) -> None:
    """
    A worker its master gives up gets SIGABRT, then a second later SIGKILL: time enough to say what it was doing.

    gunicorn's own workers then leave in good order. Those of uvicorn keep the signal's default, so they end here as
    they would; those with a loop hand the signal to it, and do not come to it while it is blocked.
    """
    before = signal.getsignal(signal.SIGABRT)
    if before is None or before == signal.SIG_IGN:
        return

    def told_abort(number: int, frame: FrameType | None) -> Any:
        boot.guarded("gunicorn", lambda: _report_abort(agent, frame, ends=not callable(before)))
        if callable(before):
            return before(number, frame)
        signal.signal(number, before)
        return os.kill(os.getpid(), number)

    signal.signal(signal.SIGABRT, told_abort)


def _report_abort(agent: Agent, frame: FrameType | None, *, ends: bool) -> None:
    state = current_request.get()
    found = _waited_for(agent) if state is None else None
    stack, state = found or (frames.walk(frame), state)
    stalls.report_timeout(agent, stack, state)
    if agent.threads is not None:
        (agent.threads.close if ends else agent.threads.export_soon)()


def _waited_for(agent: Agent) -> tuple[Stack, RequestState] | None:
    """
    What keeps a worker of threads from ending: its oldest request.

    gthread's main thread shows life whatever the others do, until it leaves (``--max-requests``, a reload) and waits
    for them longer than ``--graceful-timeout`` and ``--timeout``.
    """
    in_threads = [state for state in list(agent.requests.values()) if not state.asynchronous and state.thread_id]
    oldest = min(in_threads, key=lambda state: state.start, default=None)
    stack = frames.of_thread(oldest.thread_id) if oldest is not None and oldest.thread_id is not None else None
    return (stack, oldest) if stack and oldest is not None else None


class ThreadPoolWatch:
    """
    gthread: the worker accepts at once and queues in a Python executor that no kernel counter shows.

    Args:
        worker: A ``ThreadWorker`` whose pool exists.
    """

    def __init__(self, agent: Agent, worker: Any) -> None:
        self._worker = worker
        self._queue = worker.tpool._work_queue
        self._stamps: deque[float] = deque()
        self._threads = worker.tpool._threads
        self._handled: set[int] | None = None if gil_enabled() else set()
        """Connections in a thread, where threads may not look at each other's frames."""
        self.resource = Resource(agent.registry, "thread_pool", "gunicorn-gthread", self._read)
        self.resource.waiting_since = lambda: items_of(self._stamps)
        self._wait = self.resource.wait
        self._wrap(worker, tells_wait=agent.unix_waits is not None)
        if self._handled is not None:
            worker.handle = _noted(worker.handle, self._handled)

    def _wrap(self, worker: Any, *, tells_wait: bool) -> None:
        """*tells_wait*: each connection's wait is handed on, for requests whose socket does not tell it."""
        enqueue, handle = worker.enqueue_req, worker.handle
        stamps, record = self._stamps, self._wait.record
        stamp, oldest = stamps.append, stamps.popleft

        def record_and_tell(waited: float) -> None:
            record(waited)
            own_queue_wait.set(waited)

        note = record_and_tell if tells_wait else record

        @wraps(handle)
        def timed_handle(conn: Any) -> Any:
            if stamps:
                note(perf_counter() - oldest())
            return handle(conn)

        @wraps(enqueue)
        def stamped_enqueue(conn: Any) -> None:
            stamp(perf_counter())
            enqueue(conn)

        worker.handle = timed_handle
        worker.enqueue_req = stamped_enqueue

    def _busy(self) -> int:
        """
        Threads of the pool that are in a connection now.

        One that waits for work stands in the pool's own function, so a look at the threads tells, and a request pays
        nothing for being counted.
        """
        if self._handled is not None:
            return len(self._handled)
        frames = sys._current_frames()
        found = [frames.get(thread.ident or 0) for thread in list(self._threads)]
        return sum(frame is not None and frame.f_code is not _idle.__code__ for frame in found)

    def _read(self) -> Reading:
        waiting = self._queue.qsize()
        try:
            oldest = perf_counter() - self._stamps[0] if waiting else 0.0
        except IndexError:
            oldest = 0.0
        return Reading(self._worker.cfg.threads, self._busy(), waiting, oldest)


def _watch_threads(agent: Agent, worker: Any) -> None:
    pool = getattr(worker, "tpool", None)
    if pool is None or not all(
        (
            hasattr(pool, "_work_queue"),
            hasattr(pool, "_threads"),
            hasattr(worker, "handle"),
            hasattr(worker, "enqueue_req"),
        )
    ):
        agent.not_as_expected("gunicorn-gthread", "the worker's thread pool")
        return
    agent.request_resource = agent.add(ThreadPoolWatch(agent, worker).resource)
    if hasattr(worker, "nr_conns"):
        agent.connections.http = lambda: int(worker.nr_conns)


def _noted(handle: Callable[..., Any], busy: set[int]) -> Callable[..., Any]:
    """A server's handler of a connection that is in *busy* while it runs."""

    @wraps(handle)
    def noted(*args: Any, **kwargs: Any) -> Any:
        ticket = object()
        busy.add(id(ticket))
        try:
            return handle(*args, **kwargs)
        finally:
            busy.discard(id(ticket))

    return noted


def _watch_handlers(agent: Agent, worker: Any, name: str, capacity: int, queues: list[listeners.ListenerWatch]) -> None:
    """A sync worker handles one connection, a gevent worker a greenlet's worth each: counted around their handler."""
    handle = getattr(worker, "handle", None)
    if handle is None:
        agent.not_as_expected(name, "the worker's handle")
        return
    busy: set[int] = set()
    worker.handle = _noted(handle, busy)
    slots.watch(agent, "worker", name, capacity, lambda: len(busy), queues)
