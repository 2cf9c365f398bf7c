"""OpenTelemetry's spans and metrics of requests, where FASTAPI_OTEL_AUTO_CONFIGURE asks for them.

FastAPI makes them. Here is what they may not hold: what a client wrote.
"""

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from starlette.types import Scope

CONFIGURATION: TelemetryConfig = {"logs": False}
"""Its records would have what exceptions say, which may quote a cell. Ours are in `app.logs`."""

REDACTED = "REDACTED"
"""OpenTelemetry's own word for what is left out of a value."""


def redact(scope: Scope) -> None:
    """Take the client's words off the span of this request: people put keys into paths and queries."""
    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("url.path", REDACTED)
    span.set_attribute("server.address", REDACTED)
    if scope["query_string"]:
        span.set_attribute("url.query", REDACTED)
