import asyncio
import os
import time
from contextlib import suppress
from typing import Any

from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")


class Echo(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Crowd(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Each message fills a channel beyond its capacity of three: one nobody reads, or its own, read slowly."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with suppress(ChannelFull):
            for number in range(5):
                channel = self.channel_name if text_data == "own" else "nobody"
                await self.channel_layer.send(channel, {"type": "note", "number": number})
        await self.send(text_data="full")

    async def note(self, event: dict[str, Any]) -> None:
        await asyncio.sleep(0.7)


class Slow(WebsocketConsumer):  # type: ignore[misc]
    """Synchronous work: all consumers of this kind share one thread of the process."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        time.sleep(0.1)
        self.send(text_data=text_data)


consumers: dict[str, Any] = {"echo/": Echo, "crowd/": Crowd, "slow/": Slow}
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path(route, consumer.as_asgi()) for route, consumer in consumers.items()]),
    }
)
