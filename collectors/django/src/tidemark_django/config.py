import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger("tidemark")
_told: set[str] = set()


@dataclass(frozen=True)
class Config:
    """
    What a user may set: environment ``TIDEMARK_<NAME>``, or the Django setting ``TIDEMARK = {"<NAME>": ...}``.

    The environment wins. A value that cannot be read is reported once in the log and its default is used: a
    wrong setting of an agent must not stop the application it watches.
    """

    disabled: bool = False
    """Do nothing at all. Also ``OTEL_SDK_DISABLED``."""
    endpoint: str = "http://127.0.0.1:4318"
    """Base URL of the ingest. Also ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
    certificate: str = ""
    """File with the certificates that the ingest's is checked against, from ``OTEL_EXPORTER_OTLP_CERTIFICATE``."""
    token: str = ""
    """Sent as ``Authorization: Bearer <token>``."""
    export_interval: float = 10.0
    """Seconds between two exports, at least 0.2."""
    service_name: str = ""
    """Default: the settings module's package. ``OTEL_SERVICE_NAME`` wins."""
    traces: bool = True
    """Send spans."""
    trace_ratio: float = 0.01
    """Share of requests whose spans are sent; slow and failed ones are sent in any case."""
    slow_request: float = 1.0
    """Seconds from which a request counts as slow: its spans are kept and its stack is sampled."""
    n_plus_one: int = 5
    """Repeats of one SELECT from one line of code within one request that make an N+1 event."""
    middleware: bool = False
    """Time each middleware: one more record per middleware and request."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """More HTTP headers for the ingest, from ``OTEL_EXPORTER_OTLP_HEADERS``."""
    resource_attributes: Mapping[str, str] = field(default_factory=dict)
    """From ``OTEL_RESOURCE_ATTRIBUTES``."""


def load(environ: Mapping[str, str] | None = None, setting: Mapping[str, Any] | None = None) -> Config:
    """
    The configuration of now.

    Args:
        environ: Environment variables. Default: the process's.

        setting: The ``TIDEMARK`` setting. Default: read from Django.
    """
    env = os.environ if environ is None else environ
    given = _django_setting() if setting is None else setting

    def pick(name: str, parse: Callable[[Any], T], default: T, *aliases: str) -> T:
        for source, value in [
            *((key, env.get(key)) for key in (f"TIDEMARK_{name}", *aliases)),
            (f"TIDEMARK['{name}']", given.get(name)),
        ]:
            if value is None or value == "":
                continue
            try:
                return parse(value)
            except (TypeError, ValueError) as error:
                _warn_once(f"tidemark: {source}={value!r} is ignored: {error}")
        return default

    defaults = Config()
    return Config(
        disabled=pick("DISABLED", boolean, False, "OTEL_SDK_DISABLED"),
        endpoint=pick("ENDPOINT", _url, defaults.endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        certificate=pick("CERTIFICATE", _file, "", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        token=pick("TOKEN", str, ""),
        export_interval=pick("EXPORT_INTERVAL", _number(0.2, 3600), defaults.export_interval),
        service_name=env.get("OTEL_SERVICE_NAME") or pick("SERVICE_NAME", str, ""),
        traces=pick("TRACES", boolean, True),
        trace_ratio=pick("TRACE_RATIO", _number(0, 1), defaults.trace_ratio),
        slow_request=pick("SLOW_REQUEST", _number(0.001, 3600), defaults.slow_request),
        n_plus_one=int(pick("N_PLUS_ONE", _number(2, 1_000_000), float(defaults.n_plus_one))),
        middleware=pick("MIDDLEWARE", boolean, False),
        headers=pairs(env.get("OTEL_EXPORTER_OTLP_HEADERS", "")),
        resource_attributes=pairs(env.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    )


def boolean(value: Any) -> bool:
    """
    >>> boolean("1"), boolean("false"), boolean(True)
    (True, False, True)
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ValueError("expected 1 or 0")


def pairs(text: str) -> dict[str, str]:
    """
    OpenTelemetry's list form of variables.

    >>> pairs("a=1, b=x%20y")
    {'a': '1', 'b': 'x y'}
    """
    from urllib.parse import unquote

    items = (item.partition("=") for item in text.split(",") if "=" in item)
    return {key.strip(): unquote(value.strip()) for key, _, value in items}


def _url(value: Any) -> str:
    text = str(value).rstrip("/")
    if not text.startswith(("http://", "https://")):
        raise ValueError("expected a URL that starts with http:// or https://")
    return text


def _file(value: Any) -> str:
    if not os.path.isfile(str(value)):
        raise ValueError("expected a file")
    return str(value)


def _number(low: float, high: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        number = float(value)
        if math.isnan(number) or not low <= number <= high:
            raise ValueError(f"expected a number from {low} to {high}")
        return number

    return parse


def _warn_once(message: str) -> None:
    """The settings are read at several moments of a process."""
    if message not in _told:
        _told.add(message)
        logger.warning("%s", message)


def _django_setting() -> Mapping[str, Any]:
    from django.conf import settings

    value = getattr(settings, "TIDEMARK", {})
    if not isinstance(value, Mapping):
        _warn_once("tidemark: the setting TIDEMARK is ignored: expected a dictionary")
        return {}
    return value
