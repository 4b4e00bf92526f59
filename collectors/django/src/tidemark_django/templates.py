import threading
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any, Final

from tidemark_django import native, runtime, semconv
from tidemark_django.request import current_request

UNNAMED: Final = "_string"
MAX_TEMPLATES: Final = 300
_names: set[str] = set()
_lock = native.lock()


class _Inside(threading.local):
    depth = 0


_inside = _Inside()


def install() -> None:
    """
    Wraps the rendering of Django's templates, and of Jinja2's where the settings name them.

    Outermost only: what is included or extended is part of it. Django's own signal ``template_rendered`` exists in
    tests only.
    """
    from django.conf import settings
    from django.template.base import Template

    _wrap(Template, lambda template: template.name)
    if any("jinja2" in str(engine.get("BACKEND", "")).lower() for engine in settings.TEMPLATES):
        from django.template.backends import jinja2

        _wrap(jinja2.Template, lambda template: template.template.name)


def _wrap(kind: Any, name_of: Callable[[Any], Any]) -> None:
    if getattr(kind, "_tidemark", False):
        return
    render: Callable[..., Any] = kind.render

    @wraps(render)
    def timed_render(self: Any, *args: Any, **kwargs: Any) -> Any:
        agent = runtime.agent
        if agent is None or _inside.depth:
            return render(self, *args, **kwargs)
        state = current_request.get()
        inner = state.inner if state is not None else 0.0
        _inside.depth += 1
        start = perf_counter()
        try:
            return render(self, *args, **kwargs)
        finally:
            elapsed = perf_counter() - start
            _inside.depth -= 1
            try:
                agent.histogram(
                    "tidemark.template.render.duration", (semconv.TIDEMARK_TEMPLATE_NAME, _name(name_of(self)))
                ).record(elapsed)
                if state is not None:
                    state.spend("template", elapsed, inner)
            except Exception as error:
                agent.failed("templates", error)

    kind.render = timed_render
    kind._tidemark = True


def _name(name: Any) -> str:
    if not name:
        return UNNAMED
    text = str(name)
    if text not in _names:
        with _lock:
            if len(_names) >= MAX_TEMPLATES:
                return "_other"
            _names.add(text)
    return text
