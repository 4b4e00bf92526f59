import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from tidemark_django import boot, loop, runtime
from tidemark_django.agent import Agent
from tidemark_django.asgi import SOCKET
from tidemark_django.identity import Server
from tidemark_django.servers import listeners, websockets

NAME: Final = "daphne"


def install() -> None:
    """Starts where daphne begins to serve: Django is loaded just before, by its command line or ``runserver``."""
    if "daphne.server" not in sys.modules:
        return
    from daphne.server import Server as DaphneServer

    if getattr(DaphneServer, "_tidemark", False):
        return
    run: Callable[..., Any] = DaphneServer.run

    @wraps(run)
    def watched_run(self: Any) -> Any:
        boot.guarded(NAME, lambda: _start(self))
        return run(self)

    DaphneServer.run = watched_run
    DaphneServer._tidemark = True


def _start(server: Any) -> None:
    import daphne
    from twisted.internet import reactor

    agent = boot.start(Server(NAME, daphne.__version__))
    if agent is None:
        return
    server.application = websockets.counted(server.application)
    agent.connections.expect_websockets()
    # Twisted's own "when running" comes before the asyncio loop runs.
    later: Any = reactor
    later.callLater(0, lambda: boot.guarded(NAME, lambda: loop.watch_running(agent)))
    boot.guarded(NAME, lambda: _watch_listeners(agent, server))
    boot.guarded(NAME, lambda: _expose_sockets(agent, server))


def _watch_listeners(agent: Agent, server: Any) -> None:
    listening = getattr(server, "listen_success", None)
    if listening is None:
        agent.not_as_expected(NAME, "listen_success")
        return

    @wraps(listening)
    def watched_listening(port: Any) -> Any:
        boot.guarded(NAME, lambda: listeners.watch(agent, [port.socket]))
        return listening(port)

    server.listen_success = watched_listening


def _expose_sockets(agent: Agent, server: Any) -> None:
    """Puts the client's socket into each request's scope, so that the wait in it can be read where Django begins."""
    create = getattr(server, "create_application", None)
    if create is None:
        agent.not_as_expected(NAME, "create_application")
        return

    @wraps(create)
    def create_with_socket(protocol: Any, scope: Any) -> Any:
        handle = getattr(getattr(protocol, "transport", None), "getHandle", None)
        if handle is not None and runtime.agent is agent:
            scope[SOCKET] = handle()
        return create(protocol, scope)

    server.create_application = create_with_socket
