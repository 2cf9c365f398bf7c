"""OpenTelemetry's spans of requests, where FASTAPI_OTEL_AUTO_CONFIGURE asks for them.

FastAPI makes and sends them. Here is what they may not hold, which is what a client wrote.
"""

import os

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import Scope

CONFIGURATION: TelemetryConfig = {"logs": False, "metrics": False}
"""Its records would have what exceptions say, which may quote a cell. We have our own of both."""

COLLECTOR_SECONDS = "3"
"""The exporter's own 10 s, for each of its tries at the end, would keep a server from going in time."""

REDACTED = "REDACTED"
"""OpenTelemetry's own word for what is left out of a value."""


def prepare() -> None:
    """Wait less for a collector that is away, unless the operator has said for how long."""
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", COLLECTOR_SECONDS)


def redact(scope: Scope) -> None:
    """Take the client's words off the span of this request: people put keys into paths and queries."""
    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("url.path", REDACTED)
    span.set_attribute("server.address", REDACTED)
    if scope["query_string"]:
        span.set_attribute("url.query", REDACTED)
