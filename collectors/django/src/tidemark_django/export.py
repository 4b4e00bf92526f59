import gzip
import os
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import urllib3

from tidemark_django import __version__, encode, native, semconv
from tidemark_django.agent import Agent, logger
from tidemark_django.agg import HistogramState, Point

MAX_QUEUED_BYTES: Final = 4 * 1024 * 1024
MAX_QUEUED: Final = 64
REQUEST_TIMEOUT_S: Final = 5.0
FLUSH_TIMEOUT_S: Final = 2.0
MAX_BACK_OFF_S: Final = 30.0
RETRYABLE: Final = frozenset({429, 502, 503, 504})
FIRST_BAD_STATUS: Final = 300


@dataclass
class Batch:
    """One request that waits to be sent, compressed."""

    signal: str
    body: bytes
    records: int
    requests: int = 0
    doubtful: bool = False
    """Sent, but no answer came: the ingest may have it."""


class Exporter:
    """
    Sends what was measured, from one thread of its own.

    While the ingest is away batches wait, compressed, in a queue of 64 and 4 MiB; then the oldest go, counted.

    Args:
        collect: Gives every point of the interval.
    """

    def __init__(self, agent: Agent, collect: Callable[[], list[Point]]) -> None:
        self._agent = agent
        self._collect = collect
        self._queue: deque[Batch] = deque()
        self._queued_bytes = 0
        self._lost_requests = 0
        self._told = False
        self._interval_start = time.time_ns()
        self._back_off = 0.0
        self._not_before = 0.0
        self._wake = native.Event()
        self._closing = False
        self._done = native.Event()
        config = agent.config
        self._http = urllib3.PoolManager(retries=False, maxsize=1, ca_certs=config.certificate or None)
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": f"tidemark-django/{__version__}",
            **config.headers,
        }
        if config.token:
            self._headers["Authorization"] = f"Bearer {config.token}"

    def run(self) -> None:
        """The export thread. The first export comes within one interval, at a moment of the process's own."""
        interval = self._agent.config.export_interval
        due = time.monotonic() + interval * random.uniform(0.5, 1.0)
        closing = False
        while not closing:
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            # Read before the export: an end that comes during one wants another.
            closing = self._closing
            due = max(due + interval, time.monotonic() + interval / 2)
            self.once(REQUEST_TIMEOUT_S)
            self._agent.agent_cpu["export"] = time.thread_time()
        self._last_words()
        self._done.set()

    def _last_words(self) -> None:
        """What this process could not deliver goes to the log: nobody is left to send a count of it."""
        if self._told:
            return
        self._told = True
        waiting = native.items_of(self._queue)
        unanswered = sum(batch.requests for batch in waiting if batch.doubtful)
        unsent = self._lost_requests + sum(batch.requests for batch in waiting) - unanswered
        if unsent or unanswered:
            logger.warning(
                "tidemark: process %s ends with the measurements of %s requests unsent and of %s unanswered",
                os.getpid(),
                unsent,
                unanswered,
            )

    def soon(self) -> None:
        """Exports now rather than at the end of the interval: this process may not live so long."""
        self._wake.set()

    def close(self, timeout: float = FLUSH_TIMEOUT_S) -> None:
        """Sends the last interval; waits for it at most *timeout* seconds."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        if not self._done.wait(timeout):
            self._last_words()

    def once(self, timeout: float) -> None:
        """Collects, queues, and sends as much as the ingest takes. Never raises."""
        try:
            self._enqueue()
        except Exception as error:
            self._agent.failed("export", error)
        try:
            self._drain(timeout)
        except Exception as error:
            self._agent.failed("export", error)

    def _enqueue(self) -> None:
        now = time.time_ns()
        points = self._collect()
        identity = self._agent.identity
        body = encode.metrics_request(identity, points, self._interval_start, now)
        self._push("metrics", body, len(points), _requests_in(points))
        self._interval_start = now
        spans = [self._agent.spans.popleft() for _ in range(len(self._agent.spans))]
        if spans:
            self._push("traces", encode.traces_request(identity, spans), len(spans))
        events = [self._agent.events.popleft() for _ in range(len(self._agent.events))]
        if events:
            self._push("logs", encode.logs_request(identity, events), len(events))

    def _push(self, signal: str, body: bytes, records: int, requests: int = 0) -> None:
        batch = Batch(signal, gzip.compress(body, 1), records, requests)
        self._queue.append(batch)
        self._queued_bytes += len(batch.body)
        while len(self._queue) > MAX_QUEUED or self._queued_bytes > MAX_QUEUED_BYTES:
            self._drop(self._queue[0], "queue_full")

    def _drop(self, batch: Batch, reason: str) -> None:
        self._queue.remove(batch)
        self._queued_bytes -= len(batch.body)
        self._lost_requests += batch.requests
        self._agent.count("tidemark.agent.dropped", (semconv.TIDEMARK_DROPPED_REASON, reason), by=batch.records)

    def _drain(self, timeout: float) -> None:
        deadline = time.monotonic() + (FLUSH_TIMEOUT_S if self._closing else timeout)
        if not self._closing and time.monotonic() < self._not_before:
            return
        while self._queue and time.monotonic() < deadline:
            batch = self._queue[0]
            outcome = self._post(batch, max(0.1, deadline - time.monotonic()))
            if outcome == "retry":
                self._back_off = min(MAX_BACK_OFF_S, max(1.0, self._back_off * 2))
                self._not_before = max(self._not_before, time.monotonic() + self._back_off * random.uniform(0.5, 1.0))
                return
            self._back_off = 0.0
            if outcome == "sent":
                self._queue.remove(batch)
                self._queued_bytes -= len(batch.body)
            else:
                self._drop(batch, "refused")

    def _post(self, batch: Batch, timeout: float) -> str:
        start = time.perf_counter()
        try:
            answer = self._http.request(
                "POST",
                f"{self._agent.config.endpoint}/v1/{batch.signal}",
                body=batch.body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=timeout),
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            refused = isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
            batch.doubtful = batch.doubtful or not refused
            self._agent.log_once(
                "export", "tidemark: %s cannot be reached, will keep trying: %s", self._agent.config.endpoint, error
            )
            return "retry"
        self._agent.histogram("tidemark.agent.export.duration").record(time.perf_counter() - start)
        if answer.status < FIRST_BAD_STATUS:
            return "sent"
        if answer.status in RETRYABLE:
            after = answer.headers.get("Retry-After", "")
            if after.isdigit():
                self._not_before = time.monotonic() + min(MAX_BACK_OFF_S, int(after))
            return "retry"
        logger.warning("tidemark: the ingest refused %s with %s: %.200r", batch.signal, answer.status, answer.data)
        return "refused"


def _requests_in(points: list[Point]) -> int:
    """Finished requests that an export tells."""
    return sum(
        point.value.count
        for point in points
        if point.metric == "http.server.request.duration" and isinstance(point.value, HistogramState)
    )
