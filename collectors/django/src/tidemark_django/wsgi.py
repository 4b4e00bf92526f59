from collections.abc import Callable
from functools import partial, wraps
from threading import get_ident
from time import perf_counter, thread_time, time
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
        try:
            return call(self, environ, start_response)
        except BaseException as error:
            http.finish(agent, state, error)
            raise

    @wraps(get_response)
    def respond(self: Any, request: Any) -> Any:
        state = current_request.get()
        if state is None or state.asynchronous:
            return get_response(self, request)
        state.request = request
        response = get_response(self, request)
        agent: Agent = state.agent
        try:
            state.responded = perf_counter()
            state.status = response.status_code
            match = request.resolver_match
            if match is not None and match.route is not None:
                state.route = agent.route(match.route)
            response._resource_closers.append(partial(http.finish, agent, state))
        except Exception as error:
            agent.failed("wsgi", error)
            http.finish(agent, state)
        return response

    WSGIHandler.__call__ = serve  # type: ignore[method-assign]
    BaseHandler.get_response = respond  # type: ignore[method-assign]
    WSGIHandler._tidemark = True  # type: ignore[attr-defined]


def _begin(agent: Agent, environ: dict[str, Any]) -> RequestState | None:
    try:
        state = RequestState(environ.get("REQUEST_METHOD", ""), environ.get("wsgi.url_scheme", "http"))
        state.agent = agent
        connection = environ.get("gunicorn.socket")
        if connection is None or not _socket_tells(agent, state, environ, connection):
            header = environ.get("HTTP_X_REQUEST_START") or environ.get("HTTP_X_QUEUE_START")
            if header:
                state.queue = net.since_header(header, time())
                state.queue_source = "header"
        if "HTTP_TRACEPARENT" in environ:
            state.join(environ["HTTP_TRACEPARENT"])
        state.thread_id = get_ident()
        agent.requests[id(state)] = state
        current_request.set(state)
        state.cpu_start = thread_time()
        return state
    except Exception as error:
        agent.failed("wsgi", error)
        return None


def _socket_tells(agent: Agent, state: RequestState, environ: dict[str, Any], connection: Any) -> bool:
    """
    Takes the wait before the application from the socket, if that is possible.

    A large body or ``Expect: 100-continue`` arrives while the request is read, and then the last bytes say nothing
    about when the request began to wait.
    """
    length = environ.get("CONTENT_LENGTH")
    if length and (not length.isdigit() or int(length) >= LARGE_BODY_BYTES):
        return False
    if "HTTP_EXPECT" in environ:
        return False
    waited = net.since_last_data(connection)
    if waited is None:
        return False
    state.queue = waited
    state.queue_source = "tcp_info"
    if agent.sync_worker is not None:
        agent.sync_worker.wait.record(waited)
    return True
