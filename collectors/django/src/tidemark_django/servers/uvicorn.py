import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from tidemark_django import boot, loop, runtime
from tidemark_django.agent import Agent
from tidemark_django.asgi import SOCKET
from tidemark_django.identity import Server, spawned_worker
from tidemark_django.saturation import Reading, Resource
from tidemark_django.servers import listeners, websockets


def install() -> None:
    """Starts where uvicorn begins to serve: Django is loaded just before, by ``Config.load``."""
    if "uvicorn.server" not in sys.modules and "uvicorn_worker" not in sys.modules:
        return
    from uvicorn.server import Server as UvicornServer

    if getattr(UvicornServer, "_tidemark", False):
        return
    startup: Callable[..., Any] = UvicornServer.startup
    shutdown: Callable[..., Any] = UvicornServer.shutdown

    @wraps(startup)
    async def watched_startup(self: Any, *args: Any, **kwargs: Any) -> Any:
        boot.guarded("uvicorn", lambda: _start(self))
        result = await startup(self, *args, **kwargs)
        boot.guarded("uvicorn", lambda: _watch_sockets(self, *args, **kwargs))
        return result

    @wraps(shutdown)
    async def flushed_shutdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await shutdown(self, *args, **kwargs)
        agent = runtime.agent
        if agent is not None and agent.threads is not None:
            # uvicorn ends by raising the signal it caught: exit handlers do not run.
            boot.guarded("uvicorn", agent.threads.close)
        return result

    UvicornServer.startup = watched_startup  # type: ignore[method-assign]
    UvicornServer.shutdown = flushed_shutdown  # type: ignore[method-assign]
    UvicornServer._tidemark = True  # type: ignore[attr-defined]


def _start(server: Any) -> None:
    import uvicorn

    index, master = spawned_worker()
    agent = boot.start(
        Server("uvicorn", uvicorn.__version__, index, master, workers=int(getattr(server.config, "workers", 1) or 1))
    )
    if agent is None:
        return
    loop.watch_running(agent)
    config = server.config
    config.loaded_app = websockets.counted(config.loaded_app)
    agent.connections.expect_websockets()
    state = server.server_state

    def http_connections() -> int:
        return len(state.connections) - agent.connections.now_websockets()

    agent.connections.http = http_connections
    boot.guarded("uvicorn", lambda: _expose_sockets(agent, config))
    if config.limit_concurrency is not None:
        boot.guarded("uvicorn", lambda: _watch_limit(agent, config, state))


def _watch_limit(agent: Agent, config: Any, state: Any) -> None:
    """``--limit-concurrency``: beyond it uvicorn answers 503 before the application sees the request."""
    module: Any = sys.modules.get(config.http_protocol_class.__module__)
    refuse = getattr(module, "service_unavailable", None)
    if refuse is None:
        agent.not_as_expected("uvicorn", "service_unavailable")
        return
    refused: list[int] = []

    async def counted_refusal(*args: Any, **kwargs: Any) -> None:
        refused.append(1)
        await refuse(*args, **kwargs)

    def rejected() -> dict[str, float]:
        count = len(refused)
        del refused[:count]
        return {"concurrency_limit": count}

    def read() -> Reading:
        # A request's own connection is among those compared with the limit: the limit itself is never reached.
        return Reading(config.limit_concurrency - 1, max(len(state.connections), len(state.tasks)))

    module.service_unavailable = counted_refusal
    agent.add(Resource(agent.registry, "worker", "uvicorn", read, rejected=rejected))


def _watch_sockets(server: Any, sockets: Any = None) -> None:
    agent = runtime.agent
    if agent is None:
        return
    found = sockets if sockets is not None else [s for entry in server.servers for s in entry.sockets]
    listeners.watch(agent, found)


def _expose_sockets(agent: Agent, config: Any) -> None:
    """Puts each request's socket into its scope, so that the wait in the socket can be read where Django begins."""
    module = sys.modules.get(config.http_protocol_class.__module__)
    cycle = getattr(module, "RequestResponseCycle", None)
    if cycle is None:
        agent.not_as_expected("uvicorn", "RequestResponseCycle")
        return
    if getattr(cycle, "_tidemark", False):
        return
    make: Callable[..., None] = cycle.__init__

    @wraps(make)
    def make_with_socket(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.scope[SOCKET] = self.transport.get_extra_info("socket")

    cycle.__init__ = make_with_socket
    cycle._tidemark = True
