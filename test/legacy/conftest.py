"""Sample answers, and a client of the scripted server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.scripted import ScriptedServer

from lakefs_client import ApiClient, Configuration
from lakefs_client.retry import RetryPolicy

# Sample answers.
REF = {"id": "main", "commit_id": "c1"}
PAGINATION = {"has_more": False, "next_offset": "", "results": 0, "max_per_page": 1000}
STATS = {
    "path": "a",
    "path_type": "object",
    "physical_address": "s3://lake/a",
    "checksum": "d41d8",
    "mtime": 1,
    "size_bytes": 3,
}
REPOSITORIES = {"pagination": PAGINATION, "results": []}


def configuration(server: ScriptedServer, **options: Any) -> Configuration:
    """Return a configuration for the server, with retries that do not wait."""
    result = Configuration(host=server.url, username="key", password="secret", **options)
    result.retries = RetryPolicy(min_wait=0, max_wait=0)
    return result


@pytest.fixture
def wire(server: ScriptedServer) -> Iterator[ApiClient]:
    """Provide a client of `server`."""
    with ApiClient(configuration(server)) as client:
        yield client
