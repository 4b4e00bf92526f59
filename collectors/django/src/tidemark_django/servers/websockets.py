import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from tidemark_django import runtime, semconv
from tidemark_django.asgi import Message, Receive, Scope, Send

COUNTED: Final = "tidemark.counted"


def install() -> None:
    """Counts WebSockets at Channels' consumers, for servers whose application cannot be wrapped from outside."""
    if "channels" not in sys.modules:
        return
    from channels.consumer import AsyncConsumer

    if getattr(AsyncConsumer, "_tidemark", False):
        return
    call: Callable[..., Any] = AsyncConsumer.__call__

    @wraps(call)
    async def counted_call(self: Any, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope.get("type") != "websocket" or COUNTED in scope or runtime.agent is None:
            return await call(self, scope, receive, send)
        return await _count(lambda inner, r, s: call(self, inner, r, s), scope, receive, send)

    AsyncConsumer.__call__ = counted_call
    AsyncConsumer._tidemark = True


def counted(application: Any) -> Any:
    """An ASGI application that counts its WebSockets and passes everything through."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "websocket" or runtime.agent is None:
            return await application(scope, receive, send)
        scope[COUNTED] = True
        return await _count(application, scope, receive, send)

    return counting


async def _count(application: Any, scope: Scope, receive: Receive, send: Send) -> Any:
    """Counts from the accepted handshake to the end of the application."""
    agent = runtime.agent
    accepted = False

    async def observed_send(message: Message) -> None:
        nonlocal accepted
        await send(message)
        if agent is None:
            return
        if message["type"] == "websocket.accept" and not accepted:
            accepted = True
            agent.connections.opened()
        elif message["type"] == "websocket.send":
            agent.count("tidemark.websocket.messages", (semconv.TIDEMARK_CONNECTION_DIRECTION, "outbound"))

    async def observed_receive() -> Message:
        message = await receive()
        if agent is not None and message["type"] == "websocket.receive":
            agent.count("tidemark.websocket.messages", (semconv.TIDEMARK_CONNECTION_DIRECTION, "inbound"))
        return message

    try:
        return await application(scope, observed_receive, observed_send)
    finally:
        if accepted and agent is not None:
            agent.connections.closed()
