"""
When to begin: hooks where Django is loaded, threads only in a process that serves.

A master that forks (``gunicorn --preload``), a management command or the autoreloader's parent never start anything.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from tidemark_django import config, runtime
from tidemark_django.agent import Agent
from tidemark_django.identity import Server, spawned_worker

logger = logging.getLogger("tidemark")

_lock = threading.Lock()
_installed = False
_refused_pid = 0


def install() -> None:
    """Installs every hook and starts if this process already is one that serves. Never raises."""
    global _installed
    if _installed or config.load().disabled:
        return
    _installed = True
    from tidemark_django import (
        asgi,
        cache,
        channel_layers,
        database,
        executors,
        fragments,
        middleware,
        pools,
        templates,
        transactions,
        wsgi,
    )
    from tidemark_django.servers import (
        daphne,
        granian,
        gunicorn,
        hypercorn,
        mod_wsgi,
        runserver,
        uvicorn,
        uwsgi,
        waitress,
        websockets,
    )

    for module in (
        wsgi,
        asgi,
        database,
        transactions,
        pools,
        cache,
        templates,
        fragments,
        middleware,
        executors,
        channel_layers,
        gunicorn,
        uvicorn,
        daphne,
        hypercorn,
        waitress,
        uwsgi,
        granian,
        mod_wsgi,
        runserver,
        websockets,
    ):
        guarded(module.__name__, module.install)


def guarded(part: str, action: Callable[[], Any]) -> Any:
    """Runs a piece of the agent; its failure is a line in the log and nothing else."""
    try:
        return action()
    except Exception as error:
        agent = runtime.agent
        if agent is not None:
            agent.failed(part, error)
        else:
            logger.warning("tidemark: %s failed: %r", part, error)
        return None


def start(server: Server, watch: Callable[[Agent], None] | None = None) -> Agent | None:
    """
    Starts measuring in this process, once. None when disabled or failed.

    Args:
        watch: Called with the agent if this call made it: two first requests may come at once.
    """
    global _refused_pid
    with _lock:
        if runtime.agent is not None:
            return runtime.agent
        if _refused_pid == os.getpid():
            return None
        try:
            settings = config.load()
            if not settings.disabled:
                from tidemark_django import http, threads

                agent = Agent(settings, server)
                agent.registry.before = partial(http.drain, agent)
                runtime.agent = agent
                threads.start(agent)
                if watch is not None:
                    guarded(server.name, partial(watch, agent))
                return agent
        except Exception as error:
            runtime.agent = None
            logger.warning("tidemark: not started: %r", error)
        _refused_pid = os.getpid()
        return None


def start_in_first_request(interface: str, environ: Any) -> Agent | None:
    """For servers without an adapter: the first request shows that this process serves."""
    if _refused_pid == os.getpid():
        return None
    index, master = spawned_worker()
    name = _server_name(interface, environ)
    if name == "uwsgi":
        from tidemark_django.servers import uwsgi

        return uwsgi.start()
    watch: Callable[[Agent], None] | None = None
    if name == "waitress":
        from tidemark_django.servers import waitress

        watch = partial(waitress.watch_from_request, environ=environ)
    return start(Server(name, index=index, master_pid=master), watch)


def _server_name(interface: str, environ: Any) -> str:
    software = str(environ.get("SERVER_SOFTWARE", "")).lower()
    for name in ("gunicorn", "waitress", "uwsgi"):
        if software.startswith(name):
            return name
    if software.startswith("wsgiserver") and {"runserver", "testserver"}.intersection(sys.argv):
        return "runserver"
    for name in ("uwsgi", "daphne", "hypercorn", "granian", "uvicorn"):
        if name in sys.modules:
            return name
    return interface
