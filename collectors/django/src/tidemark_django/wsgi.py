from collections.abc import Callable
from functools import partial, wraps
from threading import get_ident
from time import perf_counter, thread_time, time
from typing import Any, Final

from tidemark_django import boot, runtime
from tidemark_django.agent import Agent
from tidemark_django.http import finish
from tidemark_django.net import since_header, since_last_data
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
    get_current, set_current = current_request.get, current_request.set

    @wraps(call)
    def serve(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        agent = runtime.agent or boot.start_in_first_request("wsgi", environ)
        if agent is None:
            return call(self, environ, start_response)
        try:
            state = RequestState(agent, environ.get("REQUEST_METHOD", ""), environ.get("wsgi.url_scheme", "http"))
            connection = environ.get("gunicorn.socket")
            if (
                connection is None
                or "CONTENT_LENGTH" in environ
                or "HTTP_EXPECT" in environ
                or "HTTP_X_REQUEST_START" in environ
                or "HTTP_X_QUEUE_START" in environ
                or (waited := since_last_data(connection)) is None
            ):
                _measure_queue(agent, state, environ)
            else:
                state.queue = waited
                state.queue_source = "tcp_info"
                if agent.socket_resource is not None:
                    agent.socket_resource.wait.record(waited)
            if "HTTP_TRACEPARENT" in environ:
                state.join(environ["HTTP_TRACEPARENT"])
            agent.requests[id(state)] = state
            set_current(state)
            if agent.thread_clock:
                state.thread_id = get_ident()
                state.cpu_start = thread_time()
        except Exception as error:
            agent.failed("wsgi", error)
            return call(self, environ, start_response)
        try:
            return call(self, environ, start_response)
        except BaseException as error:
            finish(agent, state, error)
            raise

    @wraps(get_response)
    def respond(self: Any, request: Any) -> Any:
        state = get_current()
        if state is None or state.asynchronous:
            return get_response(self, request)
        state.request = request
        response = get_response(self, request)
        try:
            state.responded = perf_counter()
            state.status = response.status_code
            match = request.resolver_match
            if match is not None:
                state.pattern = match.route
            response._resource_closers.append(partial(finish, state.agent, state))
        except Exception as error:
            state.agent.failed("wsgi", error)
            finish(state.agent, state)
        return response

    WSGIHandler.__call__ = serve  # type: ignore[method-assign]
    BaseHandler.get_response = respond  # type: ignore[method-assign]
    WSGIHandler._tidemark = True  # type: ignore[attr-defined]


def _measure_queue(agent: Agent, state: RequestState, environ: dict[str, Any]) -> None:
    """
    The wait before the application, for requests whose socket alone may not tell.

    A large body or ``Expect: 100-continue`` arrives while the request is read, and then the last bytes say nothing
    about when the request began to wait. A proxy's stamp is older than the bytes in the socket: kept apart from them.
    """
    header = environ.get("HTTP_X_REQUEST_START") or environ.get("HTTP_X_QUEUE_START")
    since_proxy = since_header(header, time()) if header else None
    connection = environ.get("gunicorn.socket")
    length = environ.get("CONTENT_LENGTH")
    small = not length or (length.isdigit() and int(length) < LARGE_BODY_BYTES)
    if small and "HTTP_EXPECT" not in environ:
        if connection is not None:
            state.queue = since_last_data(connection)
        elif agent.socket_wait is not None:
            state.queue = agent.socket_wait(environ)
        if state.queue is not None:
            state.queue_source = "tcp_info"
            if agent.socket_resource is not None:
                agent.socket_resource.wait.record(state.queue)
            agent.proxied(since_proxy)
            return
    state.queue, state.queue_source = since_proxy, "header"
