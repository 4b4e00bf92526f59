import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from tidemark_django import boot, net
from tidemark_django.agent import Agent
from tidemark_django.identity import Server
from tidemark_django.saturation import Resource
from tidemark_django.servers import listeners, slots

NAME: Final = "mod_wsgi"
US_PER_S: Final = 1e6


def install() -> None:
    """
    Starts where Apache's module has loaded Django: it does so in the process that serves, after its fork.

    The module is built into Apache, and its Python part is there before any script of ours. The package of that name,
    outside of Apache, has no process group.
    """
    module: Any = sys.modules.get(NAME)
    if hasattr(module, "process_group"):
        server = Server(
            NAME,
            version=".".join(map(str, getattr(module, "version", ()))),
            index=None,
            master_pid=os.getppid(),
            workers=getattr(module, "maximum_processes", None),
            threads=getattr(module, "threads_per_process", None),
        )
        boot.start(server, lambda agent: _watch(agent, module))


def _watch(agent: Agent, module: Any) -> None:
    """
    A daemon process (``WSGIDaemonProcess``) takes requests from a Unix socket that Apache's children write to; an
    embedded one is such a child, and takes connections from Apache's own sockets.
    """
    threads = getattr(module, "threads_per_process", None)
    if threads is None:
        agent.not_as_expected(NAME, "threads_per_process")
        return
    agent.socket_wait = client_wait
    queues = listeners.watch(agent, net.own_listeners(), waits=False)
    metrics: Callable[[], dict[str, int]] = getattr(module, "process_metrics", dict)

    def busy() -> int:
        """Its own count has the requests that never reach Django, too."""
        told: int = min(threads, metrics().get("active_requests", len(agent.requests)))
        return told

    resource = slots.watch(agent, "thread_pool" if threads > 1 else "worker", NAME, threads, busy, queues)
    if module.process_group:
        agent.socket_resource = None
        agent.stamped_wait = StampedWait(resource)


def client_wait(environ: Any) -> float | None:
    """Seconds since the client's last bytes reached Apache, which names the connection by its two addresses."""
    if not str(environ.get("SERVER_PROTOCOL", "")).startswith("HTTP/1."):
        return None
    server = (environ.get("SERVER_ADDR"), environ.get("mod_wsgi.listener_port"))
    return net.since_last_data_between(server, (environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")))


class StampedWait:
    """
    What a request of a daemon process waited, by Apache's stamps in microseconds of this host's clock: it has read the
    request's head; it wants a thread of a daemon process; that thread has the request.

    Args:
        resource: Of the threads that are waited for.
    """

    def __init__(self, resource: Resource) -> None:
        self._wait = resource.wait

    def __call__(self, environ: Any) -> float | None:
        began, queued, taken = (_stamp(environ, f"{moment}_start") for moment in ("request", "queue", "daemon"))
        if queued is not None and taken is not None:
            self._wait.record(max(0.0, taken - queued))
        return max(0.0, time.time() - began) if began is not None else None


def _stamp(environ: Any, name: str) -> float | None:
    text = environ.get(f"{NAME}.{name}", "")
    return int(text) / US_PER_S if text.isdigit() and int(text) > 0 else None
