"""
Points, spans and events as OTLP protobuf.

Written on ``opentelemetry-proto`` and not on the SDK: the SDK's data model has no ``zero_threshold``, and importing
it costs each worker about 10 MiB.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

from tidemark_django import __version__, semconv
from tidemark_django.agg import Attributes, AttributeValue, HistogramState, Point

SCOPE = "tidemark_django"
SEVERITY_WARN = 13


@dataclass
class Event:
    """One OTLP log record with a name."""

    name: str
    time_ns: int
    attributes: Mapping[str, AttributeValue]
    body: str = ""
    trace_id: int = 0
    span_id: int = 0


@dataclass
class Span:
    """One finished span."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    server: bool
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    error: bool = False


def metrics_request(
    resource: Mapping[str, AttributeValue], points: Iterable[Point], start_ns: int, now_ns: int
) -> bytes:
    """
    One export of everything, every point with the same time so that a reader can pivot one resource into one row.

    Points of metrics that the registry does not know are a programming error: KeyError.
    """
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point.metric, []).append(point)
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add(resource=_resource(resource)).scope_metrics.add(scope=_scope())
    for name, family in families.items():
        known = semconv.METRICS[name]
        metric = scope.metrics.add(name=name, unit=known.unit)
        for point in family:
            _add_point(metric, known.instrument, point, start_ns, now_ns)
    body: bytes = request.SerializeToString()
    return body


def _add_point(metric: metrics.Metric, instrument: str, point: Point, start_ns: int, now_ns: int) -> None:
    attributes = _key_values(point.attributes)
    value = point.value
    if isinstance(value, HistogramState):
        histogram = metric.exponential_histogram
        histogram.aggregation_temporality = metrics.AGGREGATION_TEMPORALITY_DELTA
        entry = histogram.data_points.add(
            attributes=attributes,
            start_time_unix_nano=start_ns,
            time_unix_nano=now_ns,
            count=value.count,
            sum=value.total,
            min=value.low,
            max=value.high,
            scale=semconv.EXPONENTIAL_HISTOGRAM_SCALE,
            zero_count=value.zero,
            zero_threshold=semconv.ZERO_THRESHOLD,
        )
        if value.buckets:
            low, high = min(value.buckets), max(value.buckets)
            entry.positive.offset = low
            entry.positive.bucket_counts.extend(value.buckets.get(index, 0) for index in range(low, high + 1))
        return
    if instrument == "gauge":
        metric.gauge.data_points.add(attributes=attributes, time_unix_nano=now_ns, as_double=value)
        return
    metric.sum.is_monotonic = instrument == "counter"
    metric.sum.aggregation_temporality = (
        metrics.AGGREGATION_TEMPORALITY_DELTA if instrument == "counter" else metrics.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    metric.sum.data_points.add(
        attributes=attributes, start_time_unix_nano=start_ns, time_unix_nano=now_ns, as_double=value
    )


def traces_request(resource: Mapping[str, AttributeValue], spans: Sequence[Span]) -> bytes:
    """Spans of finished requests."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add(resource=_resource(resource)).scope_spans.add(scope=_scope())
    for span in spans:
        scope.spans.add(
            trace_id=span.trace_id.to_bytes(16, "big"),
            span_id=span.span_id.to_bytes(8, "big"),
            parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
            name=span.name,
            kind=trace.Span.SPAN_KIND_SERVER if span.server else trace.Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
            attributes=_key_values(span.attributes.items()),
            status=trace.Status(code=trace.Status.STATUS_CODE_ERROR) if span.error else None,
        )
    body: bytes = request.SerializeToString()
    return body


def logs_request(resource: Mapping[str, AttributeValue], events: Sequence[Event]) -> bytes:
    """Events, with their name both as the record's field and as an attribute for readers that know only one."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add(resource=_resource(resource)).scope_logs.add(scope=_scope())
    for event in events:
        scope.log_records.add(
            time_unix_nano=event.time_ns,
            observed_time_unix_nano=event.time_ns,
            severity_number=SEVERITY_WARN,
            severity_text="WARN",
            body=AnyValue(string_value=event.body),
            attributes=_key_values([("event.name", event.name), *event.attributes.items()]),
            trace_id=event.trace_id.to_bytes(16, "big") if event.trace_id else b"",
            span_id=event.span_id.to_bytes(8, "big") if event.span_id else b"",
            event_name=event.name,
        )
    body: bytes = request.SerializeToString()
    return body


def _resource(attributes: Mapping[str, AttributeValue]) -> Resource:
    return Resource(attributes=_key_values(attributes.items()))


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name=SCOPE, version=__version__)


def _key_values(attributes: Attributes | Iterable[tuple[str, AttributeValue]]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes]


def _any_value(value: AttributeValue) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)
