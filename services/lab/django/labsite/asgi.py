"""ASGI entry, served by uvicorn: the same views, and the WebSocket."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "labsite.settings")

http_application = get_asgi_application()

# Consumers may import models, so they come after Django is set up.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from shop.consumers import EchoConsumer, RefuseConsumer  # noqa: E402

websocket_application = URLRouter(
    [
        path("ws/echo", EchoConsumer.as_asgi()),
        path("<path:unknown>", RefuseConsumer.as_asgi()),
    ]
)

application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application})
