import asyncio
import math
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Final

from tidemark_django import runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.agg import Counter
from tidemark_django.saturation import Reading, Resource

HOP_TIMEOUT_S: Final = 30.0
OPERATIONS: Final = ("send", "group_send", "group_add", "group_discard")
# Where a layer keeps the messages this process has received and no consumer has taken: in memory, channels_redis.
QUEUES: Final = ("channels", "receive_buffer")


def install() -> None:
    """Wraps what ``CHANNEL_LAYERS`` makes: time of each operation, full channels, messages that wait here."""
    from django.conf import settings

    if not getattr(settings, "CHANNEL_LAYERS", None):
        return
    from channels.layers import ChannelLayerManager

    if getattr(ChannelLayerManager, "_tidemark", False):
        return
    make: Callable[..., Any] = ChannelLayerManager.make_backend

    @wraps(make)
    def watched_make(self: Any, name: str) -> Any:
        layer = make(self, name)
        try:
            LayerWatch(name, layer)
        except Exception as error:
            if runtime.agent is not None:
                runtime.agent.failed("channel_layers", error)
        return layer

    ChannelLayerManager.make_backend = watched_make
    ChannelLayerManager._tidemark = True


class LayerWatch:
    """
    One channel layer of this process. It is reported from its first use, as the resource ``channel_layer``.

    Its capacity is a limit per channel, so the whole has none: messages that wait, and sends turned away because
    their channel was full.
    """

    def __init__(self, alias: str, layer: Any) -> None:
        self._alias = alias
        self._layer = layer
        self._known_to: Agent | None = None
        self._full = Counter()
        self._send: Callable[..., Any] | None = getattr(layer, "send", None)
        self._hop: asyncio.Future[None] | None = None
        self._own_channel = ""
        self._next_hop = 0.0
        self._stored: int | None = None
        for operation in OPERATIONS:
            method = getattr(layer, operation, None)
            if method is not None:
                setattr(layer, operation, self._timed(operation, method))

    def _timed(self, operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
        from channels.exceptions import ChannelFull

        @wraps(method)
        async def timed(*args: Any, **kwargs: Any) -> Any:
            agent = runtime.agent
            if agent is None:
                return await method(*args, **kwargs)
            if agent is not self._known_to:
                self._known_to = agent
                agent.add(Resource(agent.registry, "channel_layer", self._alias, self._read, rejected=self._rejected))
            start = perf_counter()
            try:
                return await method(*args, **kwargs)
            except ChannelFull:
                self._full.add()
                raise
            finally:
                agent.histogram(
                    "tidemark.channels.layer.duration",
                    (semconv.TIDEMARK_RESOURCE_NAME, self._alias),
                    (semconv.TIDEMARK_CACHE_OPERATION, operation),
                ).record(perf_counter() - start)

        return timed

    def _read(self) -> Reading | None:
        self._send_own_message()
        for name in QUEUES:
            queues = getattr(self._layer, name, None)
            if isinstance(queues, dict):
                sizes = [
                    queue.qsize()
                    for channel, queue in list(queues.items())
                    if hasattr(queue, "qsize") and channel != self._own_channel
                ]
                return Reading(waiting=sum(sizes) + (self._stored or 0))
        return Reading(waiting=self._stored)

    def _send_own_message(self) -> None:
        """Once per export, through the loop that serves. From the sampler thread."""
        agent, now = self._known_to, perf_counter()
        if agent is None or self._send is None or now < self._next_hop:
            return
        loop = next((watch.loop for watch in agent.loops if not watch.is_closed()), None)
        if isinstance(loop, asyncio.AbstractEventLoop) and (self._hop is None or self._hop.done()):
            self._next_hop = now + agent.config.export_interval
            self._hop = asyncio.run_coroutine_threadsafe(self._measure_hop(agent), loop)  # type: ignore[assignment]

    async def _measure_hop(self, agent: Agent) -> None:
        """
        A message of our own to a channel of our own: stamping the application's messages would change them.

        A layer that cannot do it is asked no more.
        """
        try:
            channel = self._own_channel = await self._layer.new_channel()
            self._stored = await self._count_stored(channel)
            if self._stored is not None and self._stored + 1 >= getattr(self._layer, "capacity", math.inf):
                return  # the last place is the application's
            start = perf_counter()
            await self._send(channel, {"type": "tidemark.hop"})  # type: ignore[misc]
            await asyncio.wait_for(self._layer.receive(channel), HOP_TIMEOUT_S)
            agent.histogram(
                "tidemark.channels.layer.hop.duration", (semconv.TIDEMARK_RESOURCE_NAME, self._alias)
            ).record(perf_counter() - start)
        except (AttributeError, NotImplementedError) as error:
            self._send = None
            agent.failed("channel_layers", error)
        except Exception as error:
            agent.failed("channel_layers", error)

    async def _count_stored(self, channel: str) -> int | None:
        """Messages for this process that still are in Redis; None for other layers."""
        layer = self._layer
        if not all(hasattr(layer, name) for name in ("connection", "consistent_hash", "prefix")):
            return None
        local, mark, _ = channel.partition("!")
        redis = layer.connection(layer.consistent_hash(local + mark))
        return int(await redis.zcard(layer.prefix + local + mark))

    def _rejected(self) -> dict[str, float]:
        return {"channel_full": self._full.take()}
