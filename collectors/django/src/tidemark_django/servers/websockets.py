import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

from tidemark_django import runtime, semconv
from tidemark_django.asgi import Message, Receive, Scope, Send

COUNTED: Final = "tidemark.counted"


def install() -> None:
    """
    Counts WebSockets by Channels' consumer.

    Where the application could not be wrapped from outside, also their number and messages.
    """
    if "channels" not in sys.modules:
        return
    from channels.consumer import AsyncConsumer

    if getattr(AsyncConsumer, "_tidemark", False):
        return
    call: Callable[..., Any] = AsyncConsumer.__call__

    @wraps(call)
    async def counted_call(self: Any, scope: Scope, receive: Receive, send: Send) -> Any:
        agent = runtime.agent
        if scope.get("type") != "websocket" or agent is None:
            return await call(self, scope, receive, send)
        name = f"{type(self).__module__}.{type(self).__qualname__}"

        async def consumer(scope: Scope, receive: Receive, send: Send) -> Any:
            return await call(self, scope, receive, send)

        by_consumer = partial(_count_accepted, consumer, partial(agent.connections.of_consumer, name))
        if COUNTED in scope:
            return await by_consumer(scope, receive, send)
        return await _count(by_consumer, scope, receive, send)

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


async def _count_accepted(
    application: Any, change: Callable[[int], None], scope: Scope, receive: Receive, send: Send
) -> Any:
    """Calls *change* with 1 when the handshake is accepted, and with -1 at the end of the application."""
    accepted = False

    async def observed_send(message: Message) -> None:
        nonlocal accepted
        await send(message)
        if message["type"] == "websocket.accept" and not accepted:
            accepted = True
            change(1)

    try:
        return await application(scope, receive, observed_send)
    finally:
        if accepted:
            change(-1)


async def _count(application: Any, scope: Scope, receive: Receive, send: Send) -> Any:
    """Counts a WebSocket and its messages."""
    agent = runtime.agent
    if agent is None:
        return await application(scope, receive, send)

    async def observed_send(message: Message) -> None:
        await send(message)
        if message["type"] == "websocket.send":
            agent.count("tidemark.websocket.messages", (semconv.TIDEMARK_CONNECTION_DIRECTION, "outbound"))

    async def observed_receive() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive":
            agent.count("tidemark.websocket.messages", (semconv.TIDEMARK_CONNECTION_DIRECTION, "inbound"))
        return message

    counted_application = partial(_count_accepted, application, agent.connections.changed)
    return await counted_application(scope, observed_receive, observed_send)
