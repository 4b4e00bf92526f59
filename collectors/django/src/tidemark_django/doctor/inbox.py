import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Inbox:
    """An ingest that only keeps what it is sent."""

    def __init__(self) -> None:
        self.port = 0
        self.points: list[tuple[str, dict[str, Any], Any]] = []
        self.events: list[tuple[str, str]] = []

    def of(self, metric: str, **attributes: str) -> list[Any]:
        """Data points of a metric; ``__`` in a keyword stands for a dot."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return [point for name, has, point in list(self.points) if name == metric and wanted.items() <= has.items()]

    def mean(self, metric: str, **attributes: str) -> float:
        """Mean of a histogram's values; 0 when there are none."""
        points = self.of(metric, **attributes)
        total: float = sum(point.sum for point in points)
        count: int = sum(point.count for point in points)
        return total / max(1, count)

    def count(self, metric: str, **attributes: str) -> int:
        """How many values a histogram has."""
        return sum(point.count for point in self.of(metric, **attributes))

    def highest(self, metric: str, **attributes: str) -> float:
        """Largest value of a gauge or sum; 0 when there is none."""
        return max((point.as_double for point in self.of(metric, **attributes)), default=0.0)

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    for point in getattr(metric, metric.WhichOneof("data")).data_points:
                        self.points.append((metric.name, _plain(point.attributes), point))
        elif path == "/v1/logs":
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                for record in (record for scope in logs.scope_logs for record in scope.log_records):
                    self.events.append((record.event_name, record.body.string_value))


def _plain(attributes: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}


@contextmanager
def listening() -> Iterator[Inbox]:
    """An inbox on a free port of this machine."""
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.take(self.path, gzip.decompress(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    inbox.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
