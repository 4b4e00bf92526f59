import multiprocessing
import os
import platform
import re
import socket
import uuid
from dataclasses import dataclass

from tidemark_django import __version__, semconv
from tidemark_django.agg import AttributeValue
from tidemark_django.config import Config
from tidemark_django.native import gil_enabled


@dataclass(frozen=True)
class Server:
    """
    What serves this process's requests, as its adapter found it.

    Args:
        name: For example ``gunicorn-gthread``.

        index: Number of the worker within its deployment unit, from 1; None where the server does not number them.

        master_pid: Process that started the workers; the own pid when there is none.
    """

    name: str
    version: str = ""
    index: int | None = 1
    master_pid: int = 0
    workers: int | None = None
    threads: int | None = None


def spawned_worker() -> tuple[int, int]:
    """Index and master pid of a process started by ``multiprocessing`` (uvicorn ``--workers``), else (1, own pid)."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return 1, os.getpid()
    number = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    return (int(number.group(1)) if number else 1), parent.pid


def resource_attributes(config: Config, server: Server) -> dict[str, AttributeValue]:
    """
    Identity of this serving process, to be made in it and not before its fork.

    Resources built in a preloading master keep the master's pid and, on older SDKs, one instance id for all workers.
    """
    host = socket.gethostname()
    attributes: dict[str, AttributeValue] = dict(config.resource_attributes)
    attributes.update(
        {
            semconv.SERVICE_NAME: config.service_name
            or str(attributes.get(semconv.SERVICE_NAME, ""))
            or _settings_package(),
            semconv.SERVICE_INSTANCE_ID: str(uuid.uuid4()),
            semconv.PROCESS_PID: os.getpid(),
            semconv.PROCESS_RUNTIME_NAME: platform.python_implementation().lower(),
            semconv.PROCESS_RUNTIME_VERSION: platform.python_version(),
            semconv.HOST_NAME: host,
            "telemetry.sdk.language": "python",
            semconv.TELEMETRY_DISTRO_NAME: "tidemark-django",
            semconv.TELEMETRY_DISTRO_VERSION: __version__,
            semconv.TIDEMARK_SERVER: server.name,
            semconv.TIDEMARK_GROUP_ID: f"{host}:{server.master_pid or os.getpid()}",
            semconv.TIDEMARK_GIL: "on" if gil_enabled() else "off",
        }
    )
    if server.index is not None:
        attributes[semconv.TIDEMARK_WORKER_INDEX] = server.index
    if server.version:
        attributes[semconv.TIDEMARK_SERVER_VERSION] = server.version
    if server.workers is not None:
        attributes[semconv.TIDEMARK_WORKERS_CONFIGURED] = server.workers
    if server.threads is not None:
        attributes[semconv.TIDEMARK_THREADS_CONFIGURED] = server.threads
    return attributes


def _settings_package() -> str:
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return module.partition(".")[0] or "django"
