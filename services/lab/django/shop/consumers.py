"""WebSocket consumers."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

LAYER_PREFIX = "layer:"
POLICY_VIOLATION = 1008


class EchoConsumer(AsyncWebsocketConsumer):
    """
    Send back what arrives.

    Text that starts with ``layer:`` takes the way through the channel layer, as a message to
    another consumer would, so that the layer's share of a round trip can be measured.
    """

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is not None and text_data.startswith(LAYER_PREFIX):
            await self.channel_layer.send(
                self.channel_name, {"type": "echo.message", "text": text_data}
            )
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)

    async def echo_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


class RefuseConsumer(AsyncWebsocketConsumer):
    """Refuse a WebSocket on any other path, instead of an exception in the log."""

    async def connect(self) -> None:
        await self.close(code=POLICY_VIOLATION)
