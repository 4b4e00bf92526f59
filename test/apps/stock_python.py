"""A Python program with the stock OpenTelemetry SDK alone: one counter, one histogram, one span, one log, then it ends."""

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

meters = MeterProvider(metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
metrics.set_meter_provider(meters)
tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracers)

meter = metrics.get_meter("stock")
meter.create_counter("stock.orders", unit="{order}").add(3, {"shop": "books"})
meter.create_histogram("http.server.request.duration", unit="s").record(
    0.25,
    {"http.request.method": "GET", "http.route": "stock/", "http.response.status_code": 200},
)
with trace.get_tracer("stock").start_as_current_span("GET stock/"):
    pass
meters.shutdown()
tracers.shutdown()
