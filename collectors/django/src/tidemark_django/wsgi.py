from collections.abc import Callable
from functools import partial, wraps
from threading import get_ident, get_native_id
from time import perf_counter, thread_time, time
from typing import Any, Final

from tidemark_django import boot, native, runtime
from tidemark_django.agent import Agent
from tidemark_django.http import finish
from tidemark_django.net import is_small, since_header, since_last_data, socket_info
from tidemark_django.request import SOCKET_SOURCE, RequestState, current_request
from tidemark_django.unix_waits import EXECUTOR_SOURCE

CPU_PERIOD_S: Final = 0.02
"""
Time between two requests whose processor time is measured. The clock of a thread is a system call at which the kernel
likes to switch threads: read in every request it made threads wait for each other half as often again.
"""
QUEUE_HEADERS: Final = frozenset(
    ("CONTENT_LENGTH", "HTTP_EXPECT", "HTTP_TRANSFER_ENCODING", "HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START")
)
"""With any of these the socket alone may not tell what a request waited."""


def install() -> None:
    """
    Wraps the point where Django's WSGI handler has its request and wants its response.

    One wrapper and not one around the whole handler beside it: between requests the processor's caches are full of
    other code, and there each function of ours costs several times what it does in a loop.
    """
    from django.core.handlers.wsgi import WSGIHandler

    if "_tidemark" in vars(WSGIHandler):
        return
    get_response: Callable[..., Any] = WSGIHandler.get_response
    get_current = current_request.get

    @wraps(get_response)
    def respond(self: Any, request: Any) -> Any:
        agent = runtime.agent or boot.start_in_first_request("wsgi", request.META)
        outer = get_current()
        if agent is None or (outer is not None and outer.responded is None):
            return get_response(self, request)
        state = _begin(agent, request)
        if state is None:
            return get_response(self, request)
        try:
            response = get_response(self, request)
        except BaseException as error:
            finish(agent, state, error)
            raise
        try:
            state.responded = perf_counter()
            state.status = response.status_code
            match = request.resolver_match
            if match is not None:
                state.pattern = match.route
            response._resource_closers.append(partial(finish, agent, state))
        except Exception as error:
            agent.failed("wsgi", error)
            finish(agent, state)
        return response

    WSGIHandler.get_response = respond  # type: ignore[method-assign]
    WSGIHandler._tidemark = True  # type: ignore[attr-defined]


def _begin(agent: Agent, request: Any) -> RequestState | None:
    try:
        environ = request.META
        state = RequestState(agent, environ["REQUEST_METHOD"], environ["wsgi.url_scheme"])
        state.request = request
        connection = environ.get("gunicorn.socket")
        if connection is not None and environ.keys().isdisjoint(QUEUE_HEADERS):
            state.socket_info = socket_info(connection)
        if state.socket_info is None:
            _measure_queue(agent, state, environ)
        if "HTTP_TRACEPARENT" in environ:
            state.join(environ["HTTP_TRACEPARENT"])
        state.key = thread = get_ident()
        agent.requests[thread] = state
        current_request.set(state)
        if agent.thread_clock:
            state.thread_id = thread
            if state.start >= agent.cpu_due:
                agent.cpu_due = state.start + CPU_PERIOD_S
                state.cpu_start = thread_time()
        else:
            state.task = native.running_greenlet()
        return state
    except Exception as error:
        agent.failed("wsgi", error)
        return None


def _measure_queue(agent: Agent, state: RequestState, environ: dict[str, Any]) -> None:
    """
    The wait before the application, for requests whose socket alone may not tell.

    A body that is large, in chunks or announced by ``Expect: 100-continue`` arrives while the request is read, and
    then the last bytes say nothing about when the request began to wait. A proxy's stamp is older than the bytes in
    the socket: kept apart from them.
    """
    header = environ.get("HTTP_X_REQUEST_START") or environ.get("HTTP_X_QUEUE_START")
    since_proxy = since_header(header, time()) if header else None
    connection = environ.get("gunicorn.socket")
    stamped = agent.stamped_wait(environ) if agent.stamped_wait is not None else None
    if connection is None:
        agent.native_ids[get_ident()] = get_native_id()
    small = is_small(environ.get("CONTENT_LENGTH"))
    if small and "HTTP_EXPECT" not in environ and "HTTP_TRANSFER_ENCODING" not in environ:
        if connection is not None:
            state.queue = since_last_data(connection)
        elif agent.socket_wait is not None:
            state.queue = agent.socket_wait(environ)
        if state.queue is not None:
            state.queue_source = SOCKET_SOURCE
            agent.proxied(since_proxy)
            return
    if stamped is not None:
        state.queue, state.queue_source = stamped, EXECUTOR_SOURCE
        agent.proxied(since_proxy)
        return
    if agent.unix_waits is not None:
        client = connection if connection is not None else agent.client_socket and agent.client_socket(environ)
        state.queue, state.queue_source = agent.unix_waits.before_application(client)
        if state.queue is not None:
            agent.proxied(since_proxy)
            return
    state.queue, state.queue_source = since_proxy, "header"
