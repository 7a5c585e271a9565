"""Answers of lakeFS that a transfer cannot use."""

from __future__ import annotations

import io

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, ApiException
from lakefs_client.transfer import Transfer, TransferError


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://[::1", "ftp://host/x"])
def test_invalid_presigned_url_is_a_transfer_error(
    api: ApiClient, server: ScriptedServer, url: str
) -> None:
    server.script(Answer(json={"physical_address": "s3://bucket/x", "presigned_url": url}))
    with pytest.raises(TransferError, match="PUT") as caught:
        Transfer(api).upload_fileobj(io.BytesIO(b"x"), "repo", "main", "p")
    assert caught.value.outcome == "aborted"


def test_staging_answer_without_address_is_an_error(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(json={"presigned_url": "http://store/x"}))
    with pytest.raises(ApiException, match="no physical_address"):
        Transfer(api).upload_fileobj(io.BytesIO(b"x"), "repo", "main", "p")
