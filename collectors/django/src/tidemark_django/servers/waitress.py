import sys
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Final

from tidemark_django import boot, net, runtime
from tidemark_django.agent import Agent
from tidemark_django.identity import Server
from tidemark_django.saturation import Reading, Resource
from tidemark_django.servers import listeners
from tidemark_django.unix_waits import own_queue_wait

NAME: Final = "waitress"
STAMP: Final = "_tidemark_queued"


def install() -> None:
    """
    Starts where waitress begins to serve, and stamps what it queues for its threads.

    A script may load Django before waitress: then the first request starts the agent, see :func:`watch_from_request`.
    """
    if "waitress.server" not in sys.modules:
        return
    from waitress.server import BaseWSGIServer, MultiSocketServer

    for kind in (BaseWSGIServer, MultiSocketServer):
        if not getattr(kind, "_tidemark", False):
            kind.run = _watched(kind.run)
            kind._tidemark = True
    _stamp_tasks()


def _watched(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def watched_run(self: Any) -> Any:
        boot.guarded(NAME, lambda: _start(self))
        return run(self)

    return watched_run


def watch_from_request(agent: Agent, environ: Any) -> None:
    """Finds the serving threads through a request: its environment leads to its channel, that to the server."""
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    server = getattr(channel, "server", None)
    if server is not None:
        _stamp_tasks()
        _watch(agent, server)


def _client_socket(environ: Any) -> Any:
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    return getattr(channel, "socket", None)


def _socket_wait(environ: Any) -> float | None:
    connection = _client_socket(environ)
    return net.since_last_data(connection) if connection is not None else None


def _start(server: Any) -> None:
    agent = boot.start(Server(NAME, _version(), threads=getattr(server.adj, "threads", None)))
    if agent is not None:
        _watch(agent, server)


def _version() -> str:
    from importlib.metadata import version

    return version("waitress")


def _stamp_tasks() -> None:
    from waitress.channel import HTTPChannel
    from waitress.task import ThreadedTaskDispatcher

    if getattr(ThreadedTaskDispatcher, "_tidemark", False):
        return
    add_task: Callable[..., Any] = ThreadedTaskDispatcher.add_task
    service: Callable[..., Any] = HTTPChannel.service

    @wraps(add_task)
    def stamped_add(self: Any, task: Any) -> Any:
        setattr(task, STAMP, perf_counter())
        return add_task(self, task)

    @wraps(service)
    def timed_service(self: Any) -> Any:
        agent = runtime.agent
        if agent is not None and agent.request_resource is not None:
            waited = perf_counter() - getattr(self, STAMP, perf_counter())
            agent.request_resource.wait.record(waited)
            if agent.unix_waits is not None:
                own_queue_wait.set(waited)
        return service(self)

    ThreadedTaskDispatcher.add_task = stamped_add
    HTTPChannel.service = timed_service
    ThreadedTaskDispatcher._tidemark = True


def _watch(agent: Agent, server: Any) -> None:
    dispatcher = server.task_dispatcher
    if not all(hasattr(dispatcher, name) for name in ("threads", "active_count", "queue")):
        agent.not_as_expected(NAME, "the task dispatcher")
        return

    def read() -> Reading:
        queue = dispatcher.queue
        try:
            oldest = perf_counter() - getattr(queue[0], STAMP, perf_counter())
        except IndexError:
            oldest = 0.0
        return Reading(len(dispatcher.threads), max(0, dispatcher.active_count), len(queue), oldest)

    agent.request_resource = agent.add(Resource(agent.registry, "thread_pool", NAME, read))
    agent.socket_wait, agent.client_socket = _socket_wait, _client_socket
    several = getattr(server, "map", None)
    servers = [item for item in several.values() if hasattr(item, "active_channels")] if several else [server]
    agent.connections.http = lambda: sum(len(item.active_channels) for item in servers)
    listeners.watch(agent, [item.socket for item in servers if getattr(item, "socket", None) is not None])
