import http.client
import re
import time
from typing import Any, Final

from tidemark_django.agent import Agent

PERIOD_S: Final = 1.0
RETRY_S: Final = 30.0
STARTING_S: Final = 10.0
"""The master opens the endpoint after it has started its workers."""
TIMEOUT_S: Final = 0.2
MAX_BYTES: Final = 1_000_000
VALUE: Final = re.compile(r'^(\w+)\{worker="(\d+)"\} (\S+)$', re.MULTILINE)


class MetricsEndpoint:
    """
    granian's own metrics (``--metrics``), of one worker. granian renews them each ``--metrics-scrape-interval``.

    Asked at most once a second, from the agent's thread.
    """

    def __init__(self, agent: Agent, address: str, port: int, worker: int) -> None:
        self._agent = agent
        self._host = "127.0.0.1" if address in {"0.0.0.0", "::"} else address
        self._port = port
        self._worker = worker
        self._next = 0.0
        self._expected_by = time.monotonic() + STARTING_S
        self._values: dict[str, float] = {}

    @classmethod
    def of(cls, agent: Agent, master: Any, worker: int) -> "MetricsEndpoint | None":
        """The endpoint of a master; None without ``--metrics``, and where a spawned worker cannot see its master."""
        if not getattr(master, "metrics_enabled", False):
            return None
        return cls(agent, master.metrics_address, master.metrics_port, worker)

    def read(self) -> dict[str, float]:
        """Newest values by name; empty when the endpoint does not answer."""
        now = time.monotonic()
        if now >= self._next:
            try:
                self._values = values_of(self._fetch(), self._worker)
                self._next = now + PERIOD_S
            except (OSError, http.client.HTTPException, ValueError):
                self._values = {}
                self._next = now + PERIOD_S
                if now > self._expected_by:
                    self._next = now + RETRY_S
                    self._agent.not_as_expected("granian", f"the metrics endpoint at {self._host}:{self._port}")
        return self._values

    def connections(self) -> int | None:
        """Open connections."""
        count = self._values.get("granian_connections_active")
        return int(count) if count is not None else None

    def _fetch(self) -> str:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read(MAX_BYTES).decode()
        finally:
            connection.close()


def values_of(text: str, worker: int) -> dict[str, float]:
    """
    Values of one worker in granian's exposition.

    >>> values_of('granian_blocking_queue{worker="1"} 3\\ngranian_blocking_queue{worker="2"} 8', 2)
    {'granian_blocking_queue': 8.0}
    """
    return {name: float(value) for name, number, value in VALUE.findall(text) if int(number) == worker}
