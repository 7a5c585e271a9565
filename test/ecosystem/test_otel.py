"""Spans recorded by the OpenTelemetry SDK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakefs_client import otel
from lakefs_client.transfer import Transfer, TransferConfig

from .conftest import Branch


@pytest.fixture
def exporter() -> Iterator[Any]:
    """Provide an exporter that collects all spans."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    stop = otel.instrument(provider)
    yield exporter
    stop()


def test_request_span_follows_semantic_conventions(branch: Branch, exporter: Any) -> None:
    branch.fs.exists(f"{branch.root}/missing")
    span = exporter.get_finished_spans()[0]
    assert span.name == "GET"
    assert span.kind.name == "CLIENT"
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["http.response.status_code"] == 404
    assert span.attributes["error.type"] == "404"
    assert span.attributes["url.full"].startswith(branch.options["host"])
    assert span.attributes["server.port"] > 0
    assert span.attributes["lakefs.operation"] == "stat_object"
    assert span.status.status_code.name == "ERROR"


def test_transfer_span_is_parent_of_request_spans(
    branch: Branch, exporter: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(12 << 20))
    transfer = Transfer(branch.fs.client, TransferConfig(part_size=5 << 20))
    transfer.upload_file(tmp_path / "file", branch.repository, "main", "a")
    *requests, whole = exporter.get_finished_spans()
    assert whole.name == "lakefs upload"
    parts = [span for span in requests if span.attributes["lakefs.operation"] == "store"]
    assert len(parts) == 3
    assert {span.parent.span_id for span in requests} == {whole.context.span_id}
    assert not [span for span in requests if "Signature" in span.attributes["url.full"]]
