import os
import socket
import sys
from typing import Any, Final

from tidemark_django import boot, net
from tidemark_django.agent import Agent
from tidemark_django.identity import Server
from tidemark_django.servers import listeners, slots
from tidemark_django.servers.uwsgi_stats import StatsSocket

NAME: Final = "uwsgi"
STATS_OPTIONS: Final = ("stats", "stats-server", "stat")
HARAKIRI_OPTIONS: Final = ("harakiri", "t")


def install() -> None:
    """
    Starts in a worker that loads Django itself (``lazy-apps``).

    Otherwise Django is loaded in the master, and the first request of each worker starts the agent.
    """
    uwsgi: Any = sys.modules.get(NAME)
    if uwsgi is not None and hasattr(uwsgi, "worker_id") and uwsgi.worker_id() > 0:
        start()


def start() -> Agent | None:
    """Starts in a uWSGI worker."""
    uwsgi: Any = sys.modules[NAME]
    server = Server(
        NAME,
        version=_text(getattr(uwsgi, "version", "")),
        index=uwsgi.worker_id(),
        master_pid=uwsgi.masterpid(),
        workers=getattr(uwsgi, "numproc", None),
        threads=getattr(uwsgi, "cores", None),
    )
    return boot.start(server, lambda agent: _watch(agent, uwsgi))


def _watch(agent: Agent, uwsgi: Any) -> None:
    agent.request_limit = _harakiri(uwsgi)
    if not getattr(uwsgi, "has_threads", True):
        agent.log_once(NAME, "tidemark: without enable-threads, uWSGI runs the agent's threads during requests only")
    connection_fd = getattr(uwsgi, "connection_fd", None)
    if connection_fd is None:
        agent.not_as_expected(NAME, "connection_fd")
    else:
        agent.socket_wait = lambda _: net.since_last_data_fd(connection_fd())
        agent.client_socket = lambda _: connection_fd()
    queues = listeners.watch(agent, [socket.socket(fileno=os.dup(number)) for number in getattr(uwsgi, "sockets", [])])
    cores = getattr(uwsgi, "cores", None)
    if cores is None:
        agent.not_as_expected(NAME, "cores")
        return
    stats = _stats_socket(agent, getattr(uwsgi, "opt", {}))

    def busy() -> int:
        told = stats.cores_in_request() if stats is not None else None
        return told if told is not None else len(agent.requests)

    slots.watch(agent, "thread_pool" if cores > 1 else "worker", NAME, cores, busy, queues)


def _stats_socket(agent: Agent, options: dict[Any, Any]) -> StatsSocket | None:
    """The stats server of this deployment, when it has one: it knows the requests that never reach Django."""
    configured = _option(options, STATS_OPTIONS)
    return StatsSocket(agent, configured) if configured else None


def _harakiri(uwsgi: Any) -> float | None:
    """
    Seconds of a request after which the master kills its worker (``--harakiri``).

    The worker gets SIGKILL, within two seconds after that: it must have said before what it was doing.
    """
    options = getattr(uwsgi, "opt", {})
    limit = _option(options, HARAKIRI_OPTIONS)
    known = limit.isdigit() and int(limit) > 0 and uwsgi.masterpid() > 0
    return float(limit) if known and not _option(options, ("harakiri-queue-threshold",)) else None


def _option(options: dict[Any, Any], names: tuple[str, ...]) -> str:
    """The first of an option's values; empty when it is not given."""
    by_name = {_text(key): value for key, value in options.items()}
    value = next((by_name[name] for name in names if name in by_name), "")
    return _text(value[0] if isinstance(value, list) else value)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
