import os
from contextlib import suppress

from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")


class Echo(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class Crowd(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Each message fills a channel that nobody reads beyond its capacity of three."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        with suppress(ChannelFull):
            for number in range(5):
                await self.channel_layer.send("nobody", {"type": "note", "number": number})
        await self.send(text_data="full")


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("echo/", Echo.as_asgi()), path("crowd/", Crowd.as_asgi())]),
    }
)
