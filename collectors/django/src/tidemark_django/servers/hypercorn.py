import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

from tidemark_django import boot, loop, net
from tidemark_django.agent import Agent
from tidemark_django.asgi import SOCKET, Receive, Scope, Send
from tidemark_django.identity import Server, spawned_worker
from tidemark_django.servers import listeners, websockets

NAME: Final = "hypercorn"

_client: ContextVar[Any] = ContextVar("tidemark_hypercorn_client", default=None)


def install() -> None:
    """Starts where a hypercorn worker begins to serve: Django is loaded just before, by ``asyncio_worker``."""
    if "hypercorn.asyncio.run" not in sys.modules:
        return
    module: Any = sys.modules["hypercorn.asyncio.run"]
    if getattr(module, "_tidemark", False):
        return
    serve: Callable[..., Any] = module.worker_serve

    @wraps(serve)
    async def watched_serve(app: Any, config: Any, **kwargs: Any) -> Any:
        boot.guarded(NAME, lambda: _start(module, app, config, kwargs.get("sockets")))
        return await serve(app, config, **kwargs)

    module.worker_serve = watched_serve
    module._tidemark = True


def _start(module: Any, app: Any, config: Any, sockets: Any) -> None:
    from importlib.metadata import version

    index, master = spawned_worker()
    agent = boot.start(Server(NAME, version(NAME), index, master, workers=max(1, int(getattr(config, "workers", 1)))))
    if agent is None:
        return
    loop.watch_running(agent)
    if sockets is not None:
        agent.configured_backlog = getattr(config, "backlog", None)
        opened = [*sockets.secure_sockets, *sockets.insecure_sockets]
        boot.guarded(NAME, lambda: listeners.watch(agent, opened, listening=False))
    boot.guarded(NAME, lambda: _watch_application(agent, app))
    boot.guarded(NAME, lambda: _count_connections(agent, module))


def _watch_application(agent: Agent, app: Any) -> None:
    """An application by WSGI runs in the loop's threads, and must be called as it is."""
    wrapper = type(app).__name__
    if wrapper == "WSGIWrapper" and hasattr(app, "handle_http"):
        app.handle_http = _handing_on_sockets(app.handle_http)
        agent.socket_wait = _socket_wait
    elif wrapper == "ASGIWrapper" and hasattr(app, "app"):
        app.app = websockets.counted(_with_socket(app.app))
        agent.connections.expect_websockets()
    else:
        agent.not_as_expected(NAME, "the wrapped application")


def _handing_on_sockets(handle: Callable[..., Any]) -> Callable[..., Any]:
    """The thread that runs the application has none of its task's context: the socket goes with the environment."""

    @wraps(handle)
    async def handle_with_socket(scope: Any, receive: Any, send: Any, spawn: Callable[..., Any], soon: Any) -> Any:
        client = _client.get()

        def spawn_with_socket(run: Any, environ: dict[str, Any], *rest: Any) -> Any:
            environ[SOCKET] = client
            return spawn(run, environ, *rest)

        return await handle(scope, receive, send, spawn_with_socket, soon)

    return handle_with_socket


def _socket_wait(environ: Any) -> float | None:
    """Requests of HTTP/2 share a socket: its last bytes may be another's."""
    if not str(environ.get("SERVER_PROTOCOL", "")).upper().startswith("HTTP/1"):
        return None
    return net.since_last_data(environ.get(SOCKET))


def _with_socket(application: Any) -> Any:
    async def with_socket(scope: Scope, receive: Receive, send: Send) -> Any:
        scope[SOCKET] = _client.get()
        return await application(scope, receive, send)

    return with_socket


def _count_connections(agent: Agent, module: Any) -> None:
    """Counts connections, and leaves each one's socket where the tasks of its requests find it."""
    server = getattr(module, "TCPServer", None)
    if server is None or not hasattr(server, "run"):
        agent.not_as_expected(NAME, "TCPServer")
        return
    run: Callable[..., Any] = server.run
    connections: set[int] = set()

    @wraps(run)
    async def counted_run(self: Any) -> Any:
        _client.set(self.writer.get_extra_info("socket"))
        connections.add(id(self))
        try:
            return await run(self)
        finally:
            connections.discard(id(self))

    server.run = counted_run
    agent.connections.http = lambda: len(connections) - agent.connections.now_websockets()
