"""The test project with OpenTelemetry's own Django instrumentation: metrics and every span, sent to the same sink."""

import os

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
ENDPOINT = os.environ["TIDEMARK_ENDPOINT"]
reader = PeriodicExportingMetricReader(
    OTLPMetricExporter(f"{ENDPOINT}/v1/metrics"),
    export_interval_millis=float(os.environ["TIDEMARK_EXPORT_INTERVAL"]) * 1000,
)
metrics.set_meter_provider(MeterProvider([reader]))
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{ENDPOINT}/v1/traces")))
trace.set_tracer_provider(provider)
DjangoInstrumentor().instrument()

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
