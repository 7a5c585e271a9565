"""Contents of requests to the store, of logs and of errors."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from support.bench import PART, PATH, Bench, content

from lakefs_client.api.auth_api import AuthApi
from lakefs_client.exceptions import TransferError
from lakefs_client.models import LoginInformation

SIZE = PART + 9
SECRETS = ("SECRET-TOKEN", "SECRET-COOKIE", "SECRET-DEFAULT", "SECRET-SESSION")


def assert_no_signature(bench: Bench, text: str) -> None:
    """Check that a text has neither the signature nor the credential of a presigned URL."""
    for request in store_requests(bench):
        signed = dict(parse_qsl(request.query))
        assert signed["X-Amz-Signature"] not in text
        assert signed["X-Amz-Credential"] not in unquote(text)


def store_requests(bench: Bench) -> list[Any]:
    found = [r for r in bench.sandbox.requests if r.operation.startswith("store_")]
    assert found
    return found


@pytest.fixture
def bench_with_secrets(bench: Bench) -> Bench:
    """Provide a bench whose client sends secrets to lakeFS in cookies and headers."""
    configuration = bench.client.configuration
    configuration.api_key["cookie_auth"] = "SECRET-SESSION"
    configuration.api_key["oidc_auth"] = "SECRET-SESSION"
    bench.client.cookie = "session=SECRET-COOKIE"
    bench.client.set_default_header("X-Default", "SECRET-DEFAULT")
    bench.client.set_default_header("x-amz-something", "SECRET-DEFAULT")
    bench.client.set_default_header("Content-MD5", "SECRET-DEFAULT")
    bench.client.set_default_header("Expect", "SECRET-DEFAULT")
    return bench


@pytest.mark.parametrize("size", [0, 9, SIZE])
def test_store_requests_have_no_lakefs_headers(bench_with_secrets: Bench, size: int) -> None:
    bench_with_secrets.upload(size, content_type="text/x", user_metadata={"run": "SECRET-TOKEN"})
    bench_with_secrets.assert_whole(content(size))
    for request in store_requests(bench_with_secrets):
        expected = {"host", "user-agent", "accept-encoding", "content-length"}
        if request.operation == "store_put_object":
            expected.add("content-type")
        assert set(request.headers) == expected
        text = f"{request.path}{request.query}{request.headers}"
        assert not any(secret in text for secret in SECRETS)
        assert bench_with_secrets.sandbox.secret_access_key not in text
        assert request.headers["user-agent"] == bench_with_secrets.client.user_agent


def test_token_is_not_sent_to_store(bench: Bench) -> None:
    information = LoginInformation(
        access_key_id=bench.sandbox.access_key_id,
        secret_access_key=bench.sandbox.secret_access_key,
    )
    token = AuthApi(bench.client).login(login_information=information).token
    bench.client.configuration.username = bench.client.configuration.password = None
    bench.client.configuration.access_token = token
    bench.upload(SIZE)
    bench.assert_whole(content(SIZE))
    for request in store_requests(bench):
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(0, ["0"]), (9, ["9"]), (SIZE, ["9", f"{PART}"])],
)
@pytest.mark.parametrize("threshold", [0, None])
def test_every_body_has_content_length(
    bench: Bench, size: int, lengths: list[str], threshold: int | None
) -> None:
    bench.upload(size, multipart_threshold=threshold)
    requests = store_requests(bench)
    assert sorted((r.headers["content-length"] for r in requests), key=int) == lengths
    assert not any("transfer-encoding" in r.headers for r in requests)
    assert not any("expect" in r.headers for r in requests)


def test_retries_have_no_lakefs_headers(bench_with_secrets: Bench) -> None:
    add = bench_with_secrets.sandbox.faults.add
    add("store_put_part", "status", status=503, part_number=1)
    add("store_put_part", "expired", part_number=2)
    add("store_put_part", "reset_after", part_number=2)
    bench_with_secrets.upload(SIZE)
    assert bench_with_secrets.sandbox.faults.pending == []
    requests = store_requests(bench_with_secrets)
    assert len(requests) == 5
    assert {frozenset(r.headers) for r in requests} == {
        frozenset({"host", "user-agent", "accept-encoding", "content-length"})
    }


def test_logs_describe_upload_without_secrets(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    source = bench.file(SIZE)
    bench.sandbox.faults.add("store_put_part", "status", status=503, part_number=1)
    bench.sandbox.faults.add("store_put_part", "expired", part_number=2)
    with caplog.at_level(logging.DEBUG):
        bench.upload(source)
        bench.upload(9)
    assert bench.sandbox.faults.pending == []
    place = f"lakefs://repo/main/{PATH}"
    infos = [
        r for r in caplog.records if r.name == "lakefs_client.transfer" and r.levelname == "INFO"
    ]
    first, last, *_ = (record.getMessage() for record in infos)
    assert first == f"upload of {source} to {place}, {SIZE} bytes"
    assert last.startswith(f"{first}: done in ")
    assert "part 1: 503" in caplog.text
    assert_no_signature(bench, caplog.text)
    assert bench.sandbox.secret_access_key not in caplog.text
    assert "Basic " not in caplog.text


def test_local_name_cannot_forge_log_lines(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    source = bench.folder / "a\nERROR forged\x1b[31m"
    source.write_bytes(b"x")
    with caplog.at_level(logging.INFO, "lakefs_client.transfer"):
        bench.transfer().upload_file(source, "repo", "main", PATH)
    assert caplog.records
    for record in caplog.records:
        assert r"a\nERROR forged\x1b[31m" in record.getMessage()


@pytest.mark.parametrize("status", [403, 503])
def test_errors_quote_answer_without_secrets(
    bench: Bench, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    # The store quotes the request in its answer.
    body = (
        "<Error><Code>X</Code><Url>http://store/k?X-Amz-Credential=SECRET%2Fs3&amp;"
        "X-Amz-Signature=SECRET&amp;partNumber=1</Url>"
        "<Url>http://store/k?partNumber=1&X-Amz-Signature=SECRET&X-Amz-Security-Token=SECRET</Url>"
        "</Error>"
    )
    bench.sandbox.faults.add(
        "store_put_part",
        "status",
        status=status,
        body=body,
        part_number=1,
        times=1 + (status > 500),
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(TransferError) as caught:
        bench.upload(SIZE)
    assert "<Code>X</Code>" in str(caught.value)
    for text in (str(caught.value), repr(caught.value), str(caught.value.__cause__), caplog.text):
        assert "SECRET" not in text


@pytest.mark.parametrize("kind", ["reset_after", "truncate"])
def test_network_errors_name_store_without_signature(bench: Bench, kind: Any) -> None:
    bench.sandbox.faults.add("store_put_part", kind, part_number=1, times=2)
    with pytest.raises(TransferError) as caught:
        bench.upload(SIZE)
    chain: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    text = "\n".join(chain)
    assert "PUT http://127.0.0.1:" in text
    assert_no_signature(bench, text)
