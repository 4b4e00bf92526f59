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
    if not getattr(uwsgi, "has_threads", True):
        agent.log_once(NAME, "tidemark: without enable-threads, uWSGI runs the agent's threads during requests only")
    connection_fd = getattr(uwsgi, "connection_fd", None)
    if connection_fd is None:
        agent.not_as_expected(NAME, "connection_fd")
    else:
        agent.socket_wait = lambda _: net.since_last_data_fd(connection_fd())
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
    by_name = {_text(key): value for key, value in options.items()}
    configured = next((by_name[name] for name in STATS_OPTIONS if name in by_name), None)
    if isinstance(configured, list):
        configured = configured[0]
    return StatsSocket(agent, _text(configured)) if configured else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
