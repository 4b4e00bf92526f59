import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any

from tidemark_django import runtime
from tidemark_django.agent import Agent
from tidemark_django.request import RequestState, current_request
from tidemark_django.saturation import Reading, Resource


class ExecutorWatch:
    """
    All executors of one name: what waits in them, with its age, and what runs.

    Args:
        capacity: None when every request may bring its own thread (``asgiref.context``): there is no limit.
    """

    def __init__(self, agent: Agent, name: str, capacity: int | None) -> None:
        self.waiting: dict[int, float] = {}
        self.running: set[int] = set()
        self.capacity = capacity
        self.resource = Resource(agent.registry, "executor", name, self.read)
        self.wait = self.resource.wait

    def read(self) -> Reading:
        oldest = next(iter(list(self.waiting.values())), None)
        return Reading(
            capacity=self.capacity,
            busy=len(self.running),
            waiting=len(self.waiting),
            stall_age=perf_counter() - oldest if oldest is not None else 0.0,
        )


class WatchedExecutor(ThreadPoolExecutor):
    """A thread pool that stamps work when it is submitted and measures its wait when it starts."""

    tidemark_name = "asgiref.context"
    tidemark_bounded = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        agent = runtime.agent
        if agent is None:
            return super().submit(fn, *args, **kwargs)
        watch = _watch(agent, self.tidemark_name, self._max_workers if self.tidemark_bounded else None)
        state = current_request.get()
        if state is not None:
            state.hops += 1
        ticket = _Ticket(watch, state, fn)
        future: Future[Any] = super().submit(ticket, *args, **kwargs)
        future.add_done_callback(ticket.forget)
        return future


class GlobalExecutor(WatchedExecutor):
    """asgiref's one thread for all thread-sensitive code outside a request: Channels' sync consumers share it."""

    tidemark_name = "asgiref.global"
    tidemark_bounded = True


class LoopExecutor(WatchedExecutor):
    """A loop's default executor."""

    tidemark_name = "loop.default"
    tidemark_bounded = True


class _Ticket:
    """One piece of submitted work. Work cancelled before it ran (a client left) is forgotten, not left waiting."""

    __slots__ = ("_fn", "_state", "_submitted", "_watch")

    def __init__(self, watch: ExecutorWatch, state: RequestState | None, fn: Callable[..., Any]) -> None:
        self._watch = watch
        self._state = state
        self._fn = fn
        self._submitted = perf_counter()
        watch.waiting[id(self)] = self._submitted

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        watch, state = self._watch, self._state
        watch.waiting.pop(id(self), None)
        watch.wait.record(perf_counter() - self._submitted)
        watch.running.add(id(self))
        if state is not None:
            state.thread_id = threading.get_ident()
        try:
            return self._fn(*args, **kwargs)
        finally:
            if state is not None:
                state.thread_id = None
            watch.running.discard(id(self))

    def forget(self, _future: Future[Any]) -> None:
        self._watch.waiting.pop(id(self), None)


_lock = threading.Lock()


def _watch(agent: Agent, name: str, capacity: int | None) -> ExecutorWatch:
    found: ExecutorWatch | None = agent.executors.get(name)
    if found is not None:
        return found
    with _lock:
        if name not in agent.executors:
            watch = ExecutorWatch(agent, name, capacity)
            agent.executors[name] = watch
            agent.add(watch.resource)
        return agent.executors[name]


def install() -> None:
    """Replaces the executors asgiref makes per request, and its global one before it is first used."""
    import asgiref.sync

    module: Any = asgiref.sync
    if issubclass(module.ThreadPoolExecutor, WatchedExecutor):
        return
    module.ThreadPoolExecutor = WatchedExecutor
    module.SyncToAsync.single_thread_executor = GlobalExecutor(max_workers=1)
