import threading
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Final

from tidemark_django import runtime, semconv
from tidemark_django.request import current_request

OPERATIONS: Final = ("get", "get_many", "set", "set_many", "add", "delete", "delete_many", "incr", "touch", "clear")
_MISSING: Final = object()


class _Inside(threading.local):
    depth = 0


_inside = _Inside()


def install() -> None:
    """Wraps the back-end classes of ``CACHES``; the alias is noted where Django makes a back end."""
    from django.conf import settings
    from django.core.cache import CacheHandler
    from django.utils.module_loading import import_string

    if getattr(CacheHandler, "_tidemark", False):
        return
    create: Callable[..., Any] = CacheHandler.create_connection

    @wraps(create)
    def named_create(self: Any, alias: str) -> Any:
        backend = create(self, alias)
        backend._tidemark_alias = alias
        return backend

    CacheHandler.create_connection = named_create  # type: ignore[method-assign]
    CacheHandler._tidemark = True  # type: ignore[attr-defined]
    for conf in settings.CACHES.values():
        backend = import_string(conf["BACKEND"])
        if "_tidemark_wrapped" in vars(backend):
            continue
        backend._tidemark_wrapped = True
        for operation in OPERATIONS:
            setattr(backend, operation, _timed(operation, getattr(backend, operation)))


def _timed(operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        agent = runtime.agent
        if agent is None or _inside.depth:
            return method(self, *args, **kwargs)
        state = current_request.get()
        inner = state.inner if state is not None else 0.0
        default: Any = None
        if operation == "get":
            args, kwargs, default = _own_default(args, kwargs)
        start = perf_counter()
        _inside.depth += 1
        failure: tuple[tuple[str, str], ...] = ()
        result: Any = None
        try:
            result = method(self, *args, **kwargs)
        except BaseException as error:
            failure = ((semconv.ERROR_TYPE, type(error).__name__),)
            raise
        finally:
            _inside.depth -= 1
            elapsed = perf_counter() - start
            try:
                where = (
                    (semconv.TIDEMARK_CACHE_ALIAS, getattr(self, "_tidemark_alias", "default")),
                    (semconv.TIDEMARK_CACHE_BACKEND, type(self).__name__),
                )
                what = (semconv.TIDEMARK_CACHE_OPERATION, operation)
                agent.histogram("tidemark.cache.operation.duration", *where, what, *failure).record(elapsed)
                if state is not None:
                    state.spend("cache", elapsed, inner)
                if not failure and operation == "get":
                    agent.count("tidemark.cache.misses", *where, by=result is _MISSING)
                    agent.count("tidemark.cache.hits", *where, by=result is not _MISSING)
                elif not failure and operation == "get_many":
                    asked = args[0] if args else kwargs.get("keys", ())
                    if hasattr(asked, "__len__"):
                        agent.count("tidemark.cache.hits", *where, by=len(result))
                        agent.count("tidemark.cache.misses", *where, by=max(0, len(asked) - len(result)))
            except Exception as error:
                agent.failed("cache", error)
        return default if result is _MISSING else result

    return timed


def _own_default(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Replaces ``default`` by our own object, the only way to tell a miss from a stored default."""
    if len(args) >= 2:
        return (args[0], _MISSING, *args[2:]), kwargs, args[1]
    return args, {**kwargs, "default": _MISSING}, kwargs.get("default")
