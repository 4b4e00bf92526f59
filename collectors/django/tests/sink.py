"""An OTLP ingest for tests: keeps what it decodes, answers what it is told to."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from tidemark_django import semconv

T = TypeVar("T")
DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE


@dataclass(frozen=True)
class Received:
    """One point: a number, or a histogram as (count, sum, buckets by index, zero count, max)."""

    name: str
    resource: dict[str, Any]
    attributes: dict[str, Any]
    time_ns: int
    value: float = 0.0
    count: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    zero: int = 0
    high: float = 0.0


@dataclass
class Sink:
    """Everything received so far."""

    port: int = 0
    metrics: list[Received] = field(default_factory=list)
    logs: list[tuple[dict[str, Any], Any]] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, message: "Sink") -> None:
        """Takes a decoded message. One at a time."""
        self.metrics += message.metrics
        self.logs += message.logs
        self.spans += message.spans
        self.problems += message.problems
        self.headers += message.headers

    def points(self, name: str, **attributes: Any) -> list[Received]:
        """Points of a metric whose attributes include these; ``__`` in a keyword stands for a dot."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [
            point
            for point in list(self.metrics)
            if point.name == name and all(point.attributes.get(key) == value for key, value in wanted.items())
        ]

    def resource(self, metric: str, kind: str, name: str) -> list[Received]:
        """Points of ``tidemark.resource.<metric>`` of one resource."""
        return self.points(f"tidemark.resource.{metric}", tidemark__resource__kind=kind, tidemark__resource__name=name)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Attributes of the events of that name."""
        return [attributes for attributes, record in list(self.logs) if record.event_name == name]


def until(condition: Callable[[], T], timeout: float = 30.0) -> T:
    """The first true value of *condition*, polled; fails with the last one after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"condition not met within {timeout} s, last value {value!r}"
        threading.Event().wait(0.05)


def mean(points: list[Received]) -> float:
    """Mean of all values of histogram points."""
    return sum(point.value for point in points) / sum(point.count for point in points)


def quantile(points: list[Received], q: float) -> float:
    """Quantile of merged histogram points, at the geometric middle of its bucket."""
    merged: dict[int, int] = {}
    zero = sum(point.zero for point in points)
    for point in points:
        for index, count in point.buckets.items():
            merged[index] = merged.get(index, 0) + count
    rank = q * (zero + sum(merged.values()))
    seen = float(zero)
    if seen >= rank:
        return 0.0
    for index in sorted(merged):
        seen += merged[index]
        if seen >= rank:
            return float(2 ** ((index + 0.5) / 16))
    return 0.0


def serve() -> Iterator[Sink]:
    """A running sink on a free port, stopped at the end."""
    sink = Sink()
    with listen(sink):
        yield sink


@contextmanager
def listen(sink: Sink, port: int = 0) -> Iterator[None]:
    """Takes what arrives into *sink*, on *port* or a free one."""

    closed = threading.Event()
    adding = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if closed.is_set():
                self.close_connection = True
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            message = Sink(headers=[dict(self.headers)])
            try:
                _decode(message, self.path, body)
            except Exception as error:
                message.problems.append(repr(error))
            with adding:
                sink.add(message)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        protocol_version = "HTTP/1.1"

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    sink.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield
    finally:
        closed.set()
        server.shutdown()
        server.server_close()


def _decode(sink: Sink, path: str, body: bytes) -> None:
    if path == "/v1/metrics":
        for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            resource = _plain(resource_metrics.resource.attributes)
            for scope in resource_metrics.scope_metrics:
                for metric in scope.metrics:
                    sink.metrics += _points(sink, resource, metric)
    elif path == "/v1/logs":
        for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope_logs in resource_logs.scope_logs:
                sink.logs += [(_plain(record.attributes), record) for record in scope_logs.log_records]
    elif path == "/v1/traces":
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope_spans in resource_spans.scope_spans:
                sink.spans += scope_spans.spans
    else:
        sink.problems.append(f"unexpected path {path}")


def _points(sink: Sink, resource: dict[str, Any], metric: Any) -> list[Received]:
    """Decodes a metric and compares it with the registry: name, unit, kind, temporality, attributes."""
    known = semconv.METRICS.get(metric.name)
    if known is None:
        sink.problems.append(f"{metric.name} is not in the registry")
        return []
    shape = metric.WhichOneof("data")
    data = getattr(metric, shape)
    expected = {
        "gauge": ("gauge",),
        "counter": ("sum", DELTA, True),
        "updowncounter": ("sum", CUMULATIVE, False),
        "exponential_histogram": ("exponential_histogram", DELTA),
    }[known.instrument]
    got: tuple[Any, ...] = (shape,)
    if shape != "gauge":
        got += (data.aggregation_temporality,)
    if shape == "sum":
        got += (data.is_monotonic,)
    if got != expected or metric.unit != known.unit:
        sink.problems.append(f"{metric.name}: {got} {metric.unit}, registry: {expected} {known.unit}")
    received: list[Received] = []
    for point in data.data_points:
        attributes = _plain(point.attributes)
        unknown = set(attributes) - set(known.attributes)
        if unknown:
            sink.problems.append(f"{metric.name}: attributes {sorted(unknown)} are not in the registry")
        if shape == "exponential_histogram":
            if point.scale != semconv.EXPONENTIAL_HISTOGRAM_SCALE or point.zero_threshold != semconv.ZERO_THRESHOLD:
                sink.problems.append(f"{metric.name}: scale {point.scale}, zero threshold {point.zero_threshold}")
            offset = point.positive.offset
            buckets = {offset + i: n for i, n in enumerate(point.positive.bucket_counts) if n}
            if sum(buckets.values()) + point.zero_count != point.count:
                sink.problems.append(f"{metric.name}: buckets do not add up to {point.count}")
            received.append(
                Received(
                    metric.name,
                    resource,
                    attributes,
                    point.time_unix_nano,
                    point.sum,
                    point.count,
                    buckets,
                    point.zero_count,
                    point.max,
                )
            )
        else:
            received.append(Received(metric.name, resource, attributes, point.time_unix_nano, point.as_double))
    return received


def _plain(attributes: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}
