from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Final

from tidemark_django import runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.saturation import Reading, Resource

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
        self._full = 0
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
                self._full += 1
                raise
            finally:
                agent.histogram(
                    "tidemark.channels.layer.duration",
                    (semconv.TIDEMARK_RESOURCE_NAME, self._alias),
                    (semconv.TIDEMARK_CACHE_OPERATION, operation),
                ).record(perf_counter() - start)

        return timed

    def _read(self) -> Reading | None:
        for name in QUEUES:
            queues = getattr(self._layer, name, None)
            if isinstance(queues, dict):
                sizes = [queue.qsize() for queue in list(queues.values()) if hasattr(queue, "qsize")]
                return Reading(waiting=sum(sizes))
        return Reading()

    def _rejected(self) -> dict[str, float]:
        full, self._full = self._full, 0
        return {"channel_full": full}
