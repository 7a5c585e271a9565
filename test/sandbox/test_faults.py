"""Each kind of fault: the response and the resulting state."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from lakefs_client.sandbox import FaultKind, Sandbox

from .client import MIB, HttpClient

UPLOAD = "upload_object"
OBJECTS = "/repositories/repo/branches/main/objects"


def upload(client: HttpClient, data: bytes = b"hello") -> urllib3.BaseHTTPResponse:
    return client.call("POST", OBJECTS, query={"path": "x"}, raw=data)


def part_url(client: HttpClient) -> str:
    url: str = client.create_upload("x")["presigned_urls"][0]
    return url


def stored_parts(sandbox: Sandbox) -> dict[int, bytes]:
    (pending,) = sandbox.blockstore.uploads().values()
    return {number: part.read() for number, part in pending.parts.items()}


@pytest.mark.parametrize(
    ("kind", "executed"), [("status", False), ("status_late", False), ("late_error", True)]
)
def test_status_fault_sets_status_and_headers(
    sandbox: Sandbox, client: HttpClient, kind: FaultKind, executed: bool
) -> None:
    sandbox.faults.add(UPLOAD, kind, status=503, headers={"Retry-After": "7"})
    response = upload(client)
    assert (response.status, response.headers["Retry-After"]) == (503, "7")
    assert response.json() == {"message": "SlowDown injected into upload_object"}
    assert (client.paths("main") == ["x"]) is executed
    assert upload(client).status == 201
    assert not sandbox.faults.pending


def test_status_fault_may_have_body(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("*", "status", status=409, body={"reference": ""})
    sandbox.faults.add("*", "status", status=502, body="<html>", headers={"Content-Type": "a/b"})
    assert client.call("GET", "/config").json() == {"reference": ""}
    response = client.call("GET", "/config")
    assert (response.data, response.headers["Content-Type"]) == (b"<html>", "a/b")


def test_status_fault_of_blockstore_has_error_code(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("store_put_part", "status", status=400, code="RequestTimeout")
    response = client.put(part_url(client), b"hello")
    assert response.status == 400
    assert b"<Code>RequestTimeout</Code>" in response.data


@pytest.mark.parametrize(
    ("kind", "details", "executed"),
    [
        ("reset_before", {}, False),
        ("reset_during", {"at": MIB}, False),
        ("reset_after", {}, False),
        ("lost_answer", {}, True),
    ],
)
def test_reset_fault_breaks_connection(
    sandbox: Sandbox,
    client: HttpClient,
    kind: FaultKind,
    details: dict[str, Any],
    executed: bool,
) -> None:
    url = part_url(client)
    data = b"x" * 3 * MIB
    sandbox.faults.add("store_put_part", kind, **details)
    with pytest.raises(ProtocolError):
        client.put(url, data)
    assert stored_parts(sandbox) == ({1: data} if executed else {})
    assert sandbox.requests[-1].status is None
    assert client.put(url, data).status == 200
    assert not sandbox.faults.pending


def test_truncate_fault_cuts_json(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("get_config", "truncate")
    with pytest.raises(HTTPError):
        client.call("GET", "/config")
    assert client.call("GET", "/config").status == 200


def test_truncate_fault_cuts_head(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("store_put_part", "truncate")
    with pytest.raises(ProtocolError):
        client.put(part_url(client), b"hello")
    assert stored_parts(sandbox) == {1: b"hello"}


def test_truncate_fault_cuts_object(sandbox: Sandbox, client: HttpClient) -> None:
    upload(client, b"0123456789")
    sandbox.faults.add("get_object", "truncate")
    place = "/repositories/repo/refs/main/objects?path=x"
    url = f"{sandbox.endpoint}/api/v1{place}"
    response = client.http.request("GET", url, headers=client.headers, preload_content=False)
    with pytest.raises(ProtocolError):
        response.read()
    response.close()


def test_stall_fault_delays_response(sandbox: Sandbox, client: HttpClient) -> None:
    url = part_url(client)
    sandbox.faults.add("store_put_part", "stall", seconds=600)
    with pytest.raises(ReadTimeoutError):
        client.http.request("PUT", url, body=b"hello", timeout=0.2)
    sandbox.restart()  # does not wait for 600 seconds
    assert stored_parts(sandbox) == {}
    sandbox.faults.add("store_put_part", "stall", seconds=0.01)
    assert client.put(url, b"hello").status == 200


def test_slow_fault_keeps_bytes(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("store_put_part", "slow", bytes_per_second=100_000)
    assert client.put(part_url(client), b"x" * 10_000).status == 200
    assert stored_parts(sandbox) == {1: b"x" * 10_000}


def test_etag_faults_change_etag(sandbox: Sandbox, client: HttpClient) -> None:
    url = part_url(client)
    correct = client.put(url, b"hello").headers["ETag"]
    sandbox.faults.add("store_put_part", "wrong_etag")
    sandbox.faults.add("store_put_part", "wrong_etag", etag="other")
    sandbox.faults.add("store_put_part", "missing_etag")
    assert client.put(url, b"hello").headers["ETag"] not in (correct, '"other"')
    assert client.put(url, b"hello").headers["ETag"] == '"other"'
    assert "ETag" not in client.put(url, b"hello").headers
    assert stored_parts(sandbox) == {1: b"hello"}


def test_upload_with_opaque_etag_completes(sandbox: Sandbox, client: HttpClient) -> None:
    pending = client.create_upload("x")
    url = pending["presigned_urls"][0]
    correct = client.put(url, b"hello").headers["ETag"]
    sandbox.faults.add("store_put_part", "opaque_etag")
    response = client.put(url, b"hello")
    assert response.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert len(response.headers["ETag"]) == len(correct)
    assert response.headers["ETag"] != correct
    assert client.complete(pending, "x", [response.headers["ETag"]]).status == 200
    assert client.read("x") == b"hello"


def test_corrupt_fault_changes_first_byte(sandbox: Sandbox, client: HttpClient) -> None:
    url = part_url(client)
    sandbox.faults.add("store_put_part", "corrupt")
    damaged = client.put(url, b"hello").headers["ETag"]
    assert stored_parts(sandbox) == {1: bytes([ord("h") ^ 0xFF]) + b"ello"}
    assert client.put(url, b"hello").headers["ETag"] != damaged


def test_expired_faults_have_codes_of_s3(sandbox: Sandbox, client: HttpClient) -> None:
    url = part_url(client)
    sandbox.faults.add("store_put_part", "expired")
    sandbox.faults.add("store_put_part", "expired_token")
    first, second = client.put(url, b"hello"), client.put(url, b"hello")
    assert first.status == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired" in first.data
    assert second.status == 400
    assert b"<Code>ExpiredToken</Code>" in second.data


def test_times_after_and_part_number_select_calls(sandbox: Sandbox, client: HttpClient) -> None:
    urls = client.create_upload("x", 2)["presigned_urls"]
    sandbox.faults.add("store_put_part", "status", status=500, after=1, times=2)
    sandbox.faults.add("store_put_part", "status", status=503, part_number=2)
    assert [client.put(urls[0], b"x").status for _ in range(4)] == [200, 500, 500, 200]
    assert [client.put(url, b"x").status for url in (urls[0], urls[1], urls[1])] == [200, 503, 200]
    assert not sandbox.faults.pending


def test_part_number_selects_operation_calls(sandbox: Sandbox, client: HttpClient) -> None:
    pending = client.create_upload("x")
    place = f"/repositories/repo/branches/main/staging/pmpu/{pending['upload_id']}/parts"
    body = {"physical_address": pending["physical_address"]}
    sandbox.faults.add("upload_part", "status", status=503, part_number=2)
    statuses = [
        client.call("PUT", f"{place}/{number}", body, query={"path": "x"}).status
        for number in (1, 2, 2)
    ]
    assert statuses == [200, 503, 200]


def test_clear_removes_pending_faults(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("get_config", "status", status=500)
    assert [fault.operation for fault in sandbox.faults.pending] == ["get_config"]
    sandbox.faults.clear()
    assert client.call("GET", "/config").status == 200


def test_fault_precedes_authentication(sandbox: Sandbox, client: HttpClient) -> None:
    sandbox.faults.add("list_repositories", "status", status=500)
    assert client.call("GET", "/repositories", auth=False).status == 500


@pytest.mark.parametrize(
    ("operation", "kind", "details", "message"),
    [
        ("no_such", "status", {"status": 500}, "unknown operation"),
        ("get_config", "no_such", {}, "unknown kind"),
        ("get_config", "status", {}, "requires status="),
        ("get_config", "status", {"status": 200}, "from 400 to 599"),
        ("get_config", "reset_during", {}, "requires at="),
        ("get_config", "reset_during", {"at": -1}, "not be negative"),
        ("get_config", "stall", {}, "requires seconds="),
        ("get_config", "slow", {"bytes_per_second": 0}, "must be positive"),
        ("get_config", "reset_before", {"seconds": 1}, "does not take seconds"),
        ("get_config", "expired", {}, "applies to blockstore requests only"),
        ("store_get_object", "corrupt", {}, "applies to uploads only"),
        ("get_config", "reset_before", {"times": 0}, "at least 1"),
        ("get_config", "reset_before", {"after": -1}, "at least 0"),
    ],
)
def test_invalid_fault_is_rejected(
    sandbox: Sandbox, operation: str, kind: FaultKind, details: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sandbox.faults.add(operation, kind, **details)


def test_requests_are_logged(sandbox: Sandbox, client: HttpClient) -> None:
    client.call("GET", "/nope")
    upload(client)
    unknown, recorded = list(sandbox.requests)[-2:]
    assert (unknown.operation, unknown.status) == ("", 404)
    assert (recorded.operation, recorded.method, recorded.status) == (UPLOAD, "POST", 201)
    assert (recorded.path, recorded.query) == (f"/api/v1{OBJECTS}", "path=x")
    assert recorded.headers["authorization"] == client.headers["authorization"]
    client.put(part_url(client), b"x")
    assert sandbox.requests[-1].operation == "store_put_part"
    assert "authorization" not in sandbox.requests[-1].headers
    assert json.loads(json.dumps(sandbox.requests[-1].headers))


def test_repr_of_logged_requests_hides_credentials(sandbox: Sandbox, client: HttpClient) -> None:
    url = part_url(client)
    client.put(url, b"x")
    text = repr(list(sandbox.requests))
    assert client.headers["authorization"] not in text
    assert url.rpartition("X-Amz-Signature=")[2] not in text
    assert "store_put_part" in text
