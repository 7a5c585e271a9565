"""Spans of OpenTelemetry for requests and transfers: the extra ``[otel]``.

from lakefs_client import otel

otel.instrument()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakefs_client._version import __version__
from lakefs_client.observe import RequestEvent, TransferEvent, add_hook

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = "https://opentelemetry.io/schemas/1.23.0"
"""The first schema in which the conventions of HTTP are stable."""


def instrument(tracer_provider: Any = None) -> Callable[[], None]:
    """Make a span of each request and each transfer of this process.

    Spans of requests follow the stable conventions of HTTP clients. Those of a transfer's requests
    are its children, whatever thread they are sent from.

    Args:
        tracer_provider: The provider; by default the global one.

    Returns:
        A function that stops it.

    Raises:
        ImportError: opentelemetry-api is missing.
    """
    try:
        trace = import_module("opentelemetry.trace")
        context = import_module("opentelemetry.context")
    except ImportError as error:
        text = "spans need opentelemetry-api: pip install 'lakefs_client[otel]'"
        raise ImportError(text, name="opentelemetry") from error
    tracer = trace.get_tracer("lakefs_client", __version__, tracer_provider, SCHEMA)

    def hook(event: RequestEvent | TransferEvent) -> Callable[[Any], None]:
        is_request = isinstance(event, RequestEvent)
        span = tracer.start_span(
            event.method if isinstance(event, RequestEvent) else _verb(event),
            kind=trace.SpanKind.CLIENT if is_request else trace.SpanKind.INTERNAL,
            attributes=_attributes(event),
        )
        token = context.attach(trace.set_span_in_context(span))

        def after(event: RequestEvent | TransferEvent) -> None:
            context.detach(token)
            for name, value in _outcome(event).items():
                span.set_attribute(name, value)
            if "error.type" in _outcome(event):
                span.set_status(trace.StatusCode.ERROR)
            span.end()

        return after

    return add_hook(hook)


def _verb(event: TransferEvent) -> str:
    return f"lakefs {event.description.partition(' of ')[0]}"


def _attributes(event: RequestEvent | TransferEvent) -> dict[str, Any]:
    if isinstance(event, TransferEvent):
        return {"lakefs.transfer": event.description}
    parts = urlsplit(event.url)
    attributes: dict[str, Any] = {
        "http.request.method": event.method,
        "url.full": event.url,
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        "lakefs.operation": event.operation,
    }
    if event.attempt > 1:
        attributes["http.request.resend_count"] = event.attempt - 1
    if event.sent_bytes is not None:
        attributes["http.request.body.size"] = event.sent_bytes
    return attributes


def _outcome(event: RequestEvent | TransferEvent) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    if isinstance(event, RequestEvent):
        if event.status is not None:
            outcome["http.response.status_code"] = event.status
            if event.status >= 400:
                outcome["error.type"] = str(event.status)
        if event.received_bytes is not None:
            outcome["http.response.body.size"] = event.received_bytes
        if event.request_id is not None:
            outcome["lakefs.request_id"] = event.request_id
    if event.error is not None:
        outcome["error.type"] = type(event.error).__qualname__
    return outcome
