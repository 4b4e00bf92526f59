import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from tidemark_django import boot, net
from tidemark_django.asgi import SOCKET
from tidemark_django.identity import Server
from tidemark_django.servers import listeners, slots

NAME: Final = "runserver"


def install() -> None:
    """Starts where Django's development server begins to serve, never in the autoreloader's parent."""
    if not {"runserver", "testserver"}.intersection(sys.argv):
        return
    from django.core.servers import basehttp

    server, handler = basehttp.WSGIServer, basehttp.WSGIRequestHandler
    if getattr(server, "_tidemark", False):
        return
    serve: Callable[..., Any] = server.serve_forever
    get_environ: Callable[..., Any] = handler.get_environ

    @wraps(serve)
    def watched_serve(self: Any, *args: Any, **kwargs: Any) -> Any:
        boot.guarded(NAME, lambda: _start(self))
        return serve(self, *args, **kwargs)

    @wraps(get_environ)
    def environ_with_socket(self: Any) -> Any:
        environ = get_environ(self)
        environ[SOCKET] = self.connection
        return environ

    server.serve_forever = watched_serve  # type: ignore[method-assign]
    handler.get_environ = environ_with_socket  # type: ignore[method-assign]
    server._tidemark = True  # type: ignore[attr-defined]


def _start(server: Any) -> None:
    """Each connection gets a thread of its own, without a limit; with ``--nothreading`` there is one for all."""
    from socketserver import ThreadingMixIn

    import django

    threads = None if isinstance(server, ThreadingMixIn) else 1
    agent = boot.start(Server(NAME, django.get_version(), threads=threads))
    if agent is None:
        return
    queues = listeners.watch(agent, [server.socket])
    slots.watch(agent, "thread_pool", NAME, threads, lambda: len(agent.requests), queues)
    agent.socket_wait = lambda environ: net.since_last_data(environ.get(SOCKET))
