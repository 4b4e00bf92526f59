import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import wraps
from typing import Any, Final

from tidemark_django import boot, http, loop, net, runtime
from tidemark_django.agent import Agent
from tidemark_django.request import SOCKET_SOURCE, RequestState, current_request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEADERS: Final = frozenset(
    {b"traceparent", b"x-request-start", b"x-queue-start", b"content-length", b"expect", b"transfer-encoding"}
)
SOCKET: Final = "tidemark.socket"
"""Key under which an adapter puts the client's socket into a scope."""


def install() -> None:
    """Wraps Django's ASGI entry and the point where a view's response is known."""
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.base import BaseHandler

    if getattr(ASGIHandler, "_tidemark", False):
        return
    call: Callable[..., Any] = ASGIHandler.__call__
    get_response: Callable[..., Any] = BaseHandler.get_response_async

    @wraps(call)
    async def serve(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        agent = runtime.agent or boot.start_in_first_request("asgi", scope)
        if agent is not None and not agent.loops:
            boot.guarded("loop", loop.watch_running)
        state = _begin(agent, scope) if agent is not None and scope["type"] == "http" else None
        if agent is None or state is None:
            await call(self, scope, receive, send)
            return
        token = current_request.set(state)

        async def observed_send(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                state.status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                state.end = time.perf_counter()

        try:
            await call(self, scope, receive, observed_send)
        except BaseException as error:
            http.finish(agent, state, error)
            raise
        finally:
            http.finish(agent, state)
            current_request.reset(token)

    @wraps(get_response)
    async def respond(self: Any, request: Any) -> Any:
        state = current_request.get()
        if state is not None:
            state.request = request
            state.task = id(asyncio.current_task())
        response = await get_response(self, request)
        agent = runtime.agent
        if state is not None and agent is not None and state.asynchronous:
            try:
                state.responded = time.perf_counter()
                state.status = response.status_code
                match = request.resolver_match
                if match is not None:
                    state.pattern = match.route
            except Exception as error:
                agent.failed("asgi", error)
        return response

    ASGIHandler.__call__ = serve  # type: ignore[method-assign,assignment]
    BaseHandler.get_response_async = respond  # type: ignore[method-assign]
    ASGIHandler._tidemark = True  # type: ignore[attr-defined]


def _begin(agent: Agent, scope: Scope) -> RequestState | None:
    try:
        state = RequestState(agent, scope["method"], scope.get("scheme", "http"))
        state.asynchronous = True
        headers = {bytes(name): value for name, value in scope["headers"] if name in HEADERS}
        _measure_queue(agent, state, scope, headers)
        traceparent = headers.get(b"traceparent")
        if traceparent:
            state.join(traceparent.decode("latin-1"))
        state.key = id(state)
        agent.requests[state.key] = state
        return state
    except Exception as error:
        agent.failed("asgi", error)
        return None


def _measure_queue(agent: Agent, state: RequestState, scope: Scope, headers: dict[bytes, bytes]) -> None:
    header = headers.get(b"x-request-start") or headers.get(b"x-queue-start")
    since_proxy = net.since_header(header.decode("latin-1"), time.time()) if header else None
    if _is_at_once(scope, headers):
        connection = scope.get(SOCKET)
        waited = None
        if connection is not None:
            waited = net.since_last_data(connection)
            if waited is None and hasattr(connection, "fileno"):
                waited = net.since_last_data_fd(connection.fileno())
        elif agent.socket_wait is not None:
            waited = agent.socket_wait(scope)
        else:
            waited = net.since_last_data_between(scope.get("server"), scope.get("client"))
        if waited is not None:
            state.queue, state.queue_source = waited, SOCKET_SOURCE
            agent.proxied(since_proxy)
            return
    if agent.unix_waits is not None and scope.get(SOCKET) is not None:
        state.queue, state.queue_source = agent.unix_waits.before_application(scope[SOCKET])
        if state.queue is not None:
            agent.proxied(since_proxy)
            return
    state.queue, state.queue_source = since_proxy, "header"


def _is_at_once(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """
    Whether the last bytes in the socket are this request's, and came with its beginning.

    Not so for a large body, one in chunks or with ``Expect``, and for HTTP/2, where requests share a socket.
    """
    small = net.is_small(headers.get(b"content-length"))
    in_parts = b"expect" in headers or b"transfer-encoding" in headers
    return small and not in_parts and str(scope.get("http_version", "1.1")).startswith("1")
