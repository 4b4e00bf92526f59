import threading
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from tidemark_django import runtime, semconv


class _Rendering(threading.local):
    """Whether the innermost ``{% cache %}`` that this thread is in had to render what it holds."""

    missed = False


_rendering = _Rendering()


def install() -> None:
    """Wraps Django's ``{% cache %}``: fragments found, fragments rendered, and what rendering them took."""
    from django.templatetags.cache import CacheNode

    if getattr(CacheNode, "_tidemark", False):
        return
    create: Callable[..., None] = CacheNode.__init__
    render: Callable[..., Any] = CacheNode.render

    @wraps(create)
    def create_timed(self: Any, nodelist: Any, *args: Any, **kwargs: Any) -> None:
        create(self, nodelist, *args, **kwargs)
        nodelist.render = _timed(nodelist.render, str(self.fragment_name))

    @wraps(render)
    def counted_render(self: Any, context: Any) -> Any:
        outer, _rendering.missed = _rendering.missed, False
        try:
            result = render(self, context)
            agent = runtime.agent
            if agent is not None:
                missed = _rendering.missed
                metric = "tidemark.template.fragment.misses" if missed else "tidemark.template.fragment.hits"
                agent.count(metric, (semconv.TIDEMARK_TEMPLATE_FRAGMENT, str(self.fragment_name)))
            return result
        finally:
            _rendering.missed = outer

    CacheNode.__init__ = create_timed  # type: ignore[method-assign]
    CacheNode.render = counted_render  # type: ignore[method-assign]
    CacheNode._tidemark = True  # type: ignore[attr-defined]


def _timed(render: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    @wraps(render)
    def timed(context: Any) -> Any:
        start = perf_counter()
        try:
            return render(context)
        finally:
            _rendering.missed = True
            agent = runtime.agent
            if agent is not None:
                agent.histogram(
                    "tidemark.template.fragment.render.duration", (semconv.TIDEMARK_TEMPLATE_FRAGMENT, name)
                ).record(perf_counter() - start)

    return timed
