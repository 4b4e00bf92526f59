from collections.abc import Callable
from functools import wraps
from importlib import import_module
from time import perf_counter
from typing import Any

from tidemark_django import config, runtime, semconv
from tidemark_django.agent import Agent
from tidemark_django.request import RequestState, current_request


def install() -> None:
    """
    Times each middleware of Django's chain, if the user asked for it: one histogram record per middleware and request.

    Django makes each layer of the chain by ``convert_exception_to_response``, the view's first.
    """
    base: Any = import_module("django.core.handlers.base")
    if not config.load().middleware or getattr(base, "_tidemark_middleware", False):
        return
    convert: Callable[..., Any] = base.convert_exception_to_response

    @wraps(convert)
    def timed_convert(get_response: Any) -> Any:
        layer = convert(get_response)
        innermost = isinstance(getattr(get_response, "__self__", None), base.BaseHandler)
        return _timed(layer, None if innermost else name_of(get_response))

    base.convert_exception_to_response = timed_convert
    base._tidemark_middleware = True


def name_of(middleware: Any) -> str:
    """``module.Class``; for middleware made by a function, ``module.function``."""
    named = middleware if hasattr(middleware, "__qualname__") else type(middleware)
    return f"{named.__module__}.{named.__qualname__.split('.<locals>')[0]}"


def _timed(layer: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    from asgiref.sync import iscoroutinefunction

    if iscoroutinefunction(layer):

        @wraps(layer)
        async def timed_async(request: Any) -> Any:
            span = _Span.begin()
            try:
                return await layer(request)
            finally:
                if span is not None:
                    span.end(name)

        return timed_async

    @wraps(layer)
    def timed(request: Any) -> Any:
        span = _Span.begin()
        try:
            return layer(request)
        finally:
            if span is not None:
                span.end(name)

    return timed


class _Span:
    """
    One layer of one request, from its call to its return.

    Its own time is all less that of the layers it called; hops between sync and async layers count to the outer one.
    The phase ``middleware`` is that less the queries and cache operations of the middleware itself.
    """

    __slots__ = ("_agent", "_below", "_inner", "_inner_below", "_start", "_state")

    def __init__(self, agent: Agent, state: RequestState) -> None:
        self._agent = agent
        self._state = state
        self._below, self._inner_below = state.below
        state.below = (0.0, 0.0)
        self._inner = state.inner
        self._start = perf_counter()

    @classmethod
    def begin(cls) -> "_Span | None":
        agent, state = runtime.agent, current_request.get()
        return cls(agent, state) if agent is not None and state is not None else None

    def end(self, name: str | None) -> None:
        try:
            self._record(name)
        except Exception as failure:
            self._agent.failed("middleware", failure)

    def _record(self, name: str | None) -> None:
        state = self._state
        total = perf_counter() - self._start
        below, inner_below = state.below
        if name is not None:
            own = max(0.0, total - below)
            self._agent.histogram(
                "tidemark.http.server.middleware.duration", (semconv.TIDEMARK_MIDDLEWARE_NAME, name)
            ).record(own)
            net = own - (state.inner - self._inner - inner_below)
            if net > 0 and not state.finished:
                state.add("middleware", net)
        state.below = (self._below + total, self._inner_below + state.inner - self._inner)
