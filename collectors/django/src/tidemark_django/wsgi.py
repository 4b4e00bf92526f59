import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from tidemark_django import boot, http, net, runtime
from tidemark_django.agent import Agent
from tidemark_django.request import RequestState, current_request

LARGE_BODY_BYTES: Final = 65536


def install() -> None:
    """Wraps Django's WSGI entry and the point where a view's response is known."""
    from django.core.handlers.base import BaseHandler
    from django.core.handlers.wsgi import WSGIHandler

    if getattr(WSGIHandler, "_tidemark", False):
        return
    call: Callable[..., Any] = WSGIHandler.__call__
    get_response: Callable[..., Any] = BaseHandler.get_response

    @wraps(call)
    def serve(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        agent = runtime.agent or boot.start_in_first_request("wsgi", environ)
        if agent is None:
            return call(self, environ, start_response)
        state = _begin(agent, environ)
        if state is None:
            return call(self, environ, start_response)
        current_request.set(state)
        try:
            return call(self, environ, start_response)
        except BaseException as error:
            http.finish(agent, state, error)
            raise

    @wraps(get_response)
    def respond(self: Any, request: Any) -> Any:
        state = current_request.get()
        if state is not None:
            state.request = request
        response = get_response(self, request)
        agent = runtime.agent
        if state is not None and agent is not None and not state.asynchronous:
            try:
                http.note_response(agent, state, request, response)
                response._resource_closers.append(lambda: http.finish(agent, state))
            except Exception as error:
                agent.failed("wsgi", error)
                http.finish(agent, state)
        return response

    WSGIHandler.__call__ = serve  # type: ignore[method-assign]
    BaseHandler.get_response = respond  # type: ignore[method-assign]
    WSGIHandler._tidemark = True  # type: ignore[attr-defined]


def _begin(agent: Agent, environ: dict[str, Any]) -> RequestState | None:
    try:
        state = RequestState(
            http.known_method(environ.get("REQUEST_METHOD", "")),
            environ.get("wsgi.url_scheme", "http"),
            asynchronous=False,
        )
        _measure_queue(agent, state, environ)
        state.thread_id = threading.get_ident()
        http.begin(agent, state, environ.get("HTTP_TRACEPARENT"))
        state.cpu_start = time.thread_time()
        return state
    except Exception as error:
        agent.failed("wsgi", error)
        return None


def _measure_queue(agent: Agent, state: RequestState, environ: dict[str, Any]) -> None:
    """
    The wait before the application, from the socket, else from the proxy's header.

    A large body or ``Expect: 100-continue`` arrives while the request is read, and then the last bytes say nothing
    about when the request began to wait.
    """
    connection = environ.get("gunicorn.socket")
    length = environ.get("CONTENT_LENGTH") or "0"
    if (
        connection is not None
        and not environ.get("HTTP_EXPECT")
        and length.isdigit()
        and int(length) < LARGE_BODY_BYTES
    ):
        waited = net.since_last_data(connection)
        if waited is not None:
            state.queue, state.queue_source = waited, "tcp_info"
            if agent.server.name == "gunicorn-sync" and agent.request_resource is not None:
                agent.request_resource.wait.record(waited)
            return
    header = environ.get("HTTP_X_REQUEST_START") or environ.get("HTTP_X_QUEUE_START")
    if header:
        state.queue = net.since_header(header, time.time())
        state.queue_source = "header"
