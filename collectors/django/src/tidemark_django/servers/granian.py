import inspect
import os
import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any, Final

from tidemark_django import boot, loop, net
from tidemark_django.agent import Agent
from tidemark_django.identity import Server
from tidemark_django.saturation import Reading, Resource
from tidemark_django.servers import listeners
from tidemark_django.servers.granian_metrics import MetricsEndpoint

NAME: Final = "granian"
MASTER_ATTRIBUTES: Final = ("workers", "metrics_enabled", "metrics_address", "metrics_port")
FIRST_ARGUMENTS: Final = 5
"""Worker id, application, socket, channel to the master, loop: the arguments that granian makes in the worker."""


def install() -> None:
    """Starts in a granian worker: it loads Django itself, so what it was given is on the stack now."""
    if "granian.server.common" not in sys.modules:
        return
    frame: FrameType | None = sys._getframe()
    worker: dict[str, Any] = {}
    master: Any = None
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("granian.server."):
            found = frame.f_locals
            if not worker and "worker_id" in found and "target" in found:
                worker = dict(found)
            if hasattr(found.get("self"), "metrics_enabled"):
                master = found["self"]
        frame = frame.f_back
    if worker:
        _start(worker, master if master is not None else boot.guarded(NAME, _master_by_command_line))


def _master_by_command_line() -> Any:
    """
    What a worker may know of its master where it was spawned and not forked (the default since Python 3.14).

    A spawned process has its parent's command line; granian's own parser reads it, and its environment variables.
    """
    if "granian" not in os.path.basename(sys.argv[0]) and os.path.basename(os.path.dirname(sys.argv[0])) != NAME:
        return None
    from granian.cli import cli

    told = cli.make_context(NAME, list(sys.argv[1:])).params
    return SimpleNamespace(**{name: told[name] for name in MASTER_ATTRIBUTES})


def _start(worker: dict[str, Any], master: Any) -> None:
    from importlib.metadata import version

    given = _arguments(worker)
    wsgi = "wsgi" in worker["target"].__name__
    threads = given.get("blocking_threads") if wsgi else None
    server = Server(
        NAME,
        version(NAME),
        index=int(worker["worker_id"]),
        master_pid=os.getppid(),
        workers=getattr(master, "workers", None),
        threads=threads,
    )

    def watch(agent: Agent) -> None:
        if wsgi:
            _watch_threads(agent, threads, MetricsEndpoint.of(agent, master, int(worker["worker_id"])))
        else:
            # Runs in the loop as soon as that does.
            worker["loop"].call_soon(lambda: boot.guarded(NAME, lambda: loop.watch_running(agent)))
        _watch_own_listener(agent, worker["sock"][0], _no_socket if wsgi else _scope_socket_wait)

    boot.start(server, watch)


def _arguments(worker: dict[str, Any]) -> dict[str, Any]:
    """What the worker's entry was given, by name; empty when its parameters are not the expected ones."""
    try:
        names = inspect.signature(worker["target"])
        return dict(names.bind(*[None] * FIRST_ARGUMENTS, *worker["args"], **worker["kwargs"]).arguments)
    except (KeyError, TypeError, ValueError):
        return {}


def _watch_threads(agent: Agent, threads: int | None, metrics: MetricsEndpoint | None) -> None:
    """granian's threads are Python's to count while they run a request; their queue stands in Rust."""
    if threads is None:
        agent.not_as_expected(NAME, "blocking_threads")
        return

    def read() -> Reading:
        told = metrics.read() if metrics is not None else {}
        return Reading(threads, min(threads, len(agent.requests)), told.get("granian_blocking_queue"))

    agent.request_resource = agent.add(Resource(agent.registry, "thread_pool", NAME, read))
    if metrics is not None:
        agent.connections.http = metrics.connections


def _watch_own_listener(agent: Agent, specification: Any, socket_wait: Callable[[Any], float | None]) -> None:
    """
    A worker listens after it has loaded Django, on a socket that only granian holds: found at the first request.

    Args:
        specification: Of a TCP socket, which each worker opens for itself (``SO_REUSEPORT``). None for a Unix one that
            all have from their master: it tells its length, but no request its connection and so its wait.
    """
    port = None
    if specification is not None:
        _, port, agent.configured_backlog = specification.__getstate__()

    def first(request: Any) -> float | None:
        agent.socket_wait = socket_wait
        found = net.own_listeners(port)
        boot.guarded(NAME, lambda: listeners.watch(agent, found, shared=port is None, waits=False))
        return socket_wait(request)

    agent.socket_wait = first


def _no_socket(_environ: Any) -> None:
    """granian's WSGI side names the client's host and not its port."""


def _scope_socket_wait(scope: Any) -> float | None:
    return net.since_last_data_between(scope.get("server"), scope.get("client"))
