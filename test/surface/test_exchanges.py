"""Recorded responses of real servers are decoded without loss, or raise the right error."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from dateutil.parser import isoparse
from support.scripted import Answer, Received

import lakefs_client
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    ConflictException,
    ForbiddenException,
    MergeConflictError,
    NotFoundException,
    NothingToCommitError,
    PreconditionFailedException,
    ServiceException,
    UnauthorizedException,
)
from surface.document import OPERATIONS, Operation, model_of
from surface.recorder import API, Recorder, path_arguments, query_arguments
from surface.values import argument, sample

# The sandbox tests use the same recordings.
RECORDINGS = Path(__file__).parents[1] / "sandbox" / "exchanges.json"
ERRORS = {
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    409: ConflictException,
    412: PreconditionFailedException,
    500: ServiceException,
    501: ServiceException,
}
"""Exception class by status. Other statuses raise ApiException itself."""

OUTCOMES = {
    "commit with no changes": NothingToCommitError,
    "merge nothing": NothingToCommitError,
    "merge with conflict": MergeConflictError,
}
"""Exception class of the scenarios whose message selects it."""

NOT_SENT = {
    "create commit record": ApiTypeError,  # lacks a property
    "create external principal without id": ApiTypeError,
    "create repository missing field": ApiTypeError,
    "create repository with a bad name": ApiValueError,
    "external principal login, missing field": ApiTypeError,
    "hard reset without ref": ApiTypeError,
    "list external principals, bad amount": ApiValueError,
    "reset branch bad type": ApiValueError,
    "sts login, missing field": ApiTypeError,
    "upload part 0": ApiValueError,
    "upload part 10001": ApiValueError,
}
"""Invalid requests that the client rejects before it sends them."""

MERGED = "create external principal, settings as a list"
"""Scenario that servers reject. The client sends one object instead of a list."""


def operation_of(exchange: dict[str, Any]) -> Operation | None:
    """Return the operation of an exchange."""
    request = exchange["request"]
    received = Received(request["method"], API + request["path"], {}, b"", 0)
    fitting = [
        operation
        for operation in OPERATIONS
        if operation.method == request["method"] and path_arguments(operation, received) is not None
    ]
    # `/refs/dump` also matches `/refs/{ref}`. The path with fewer arguments wins.
    return min(fitting, key=lambda operation: operation.path.count("{"), default=None)


def cases() -> list[Any]:
    exchanges = json.loads(RECORDINGS.read_text("utf-8"))
    counter: Counter[str] = Counter()
    found = []
    for exchange in exchanges:
        counter[exchange["scenario"]] += 1
        name = f"{exchange['scenario']} #{counter[exchange['scenario']]}".removesuffix(" #1")
        # Exchanges without a path, and redirects, concern the store.
        if "path" in exchange["request"] and exchange["response"]["status"] != 302:
            found.append(pytest.param(exchange, id=name))
    return found


def recorded_arguments(operation: Operation, exchange: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that produce the recorded request."""
    request = exchange["request"]
    received = Received(request["method"], API + request["path"], {}, b"", 0)
    given = {**request["query"], **(path_arguments(operation, received) or {})}
    values: dict[str, Any] = {}
    for a in operation.arguments:
        if a.place == "body" and request["body"] is not None:
            values[a.name] = argument(a, request["body"])
        elif a.place == "content" and "raw_body" in request:
            values[a.name] = request["raw_body"].encode()
        elif a.place == "content_type" and "content_type" in request:
            values[a.name] = request["content_type"]
        elif a.wire in given and a.place in ("path", "query"):
            convert = {"integer": int, "boolean": "true".__eq__}.get(a.schema["type"], str)
            values[a.name] = convert(str(given[a.wire]))
    return values


def call(recorder: Recorder, exchange: dict[str, Any], answer: Answer) -> Any:
    """Make the recorded call and check the request."""
    operation = operation_of(exchange)
    recorder.answer(answer)
    if operation is None:
        try:
            return recorder.client.call_api(exchange["request"]["path"], "GET")
        finally:
            assert len(recorder.taken()) == 1
    method = recorder.method(operation)
    if exchange["scenario"] in (*NOT_SENT, MERGED):
        try:
            return method(*[argument(a, sample(a.schema, a.name)) for a in operation.required])
        finally:
            assert len(recorder.taken()) == 1
    try:
        return method(**recorded_arguments(operation, exchange))
    finally:
        (sent,) = recorder.taken()
        check_request(operation, sent, exchange["request"])


def check_request(operation: Operation, sent: Received, recorded: dict[str, Any]) -> None:
    """Check that a request equals the recorded one, except for unknown query arguments."""
    assert sent.method == recorded["method"]
    assert unquote(sent.path) == API + unquote(recorded["path"])
    known = {a.wire for a in operation.arguments}
    assert sorted(query_arguments(sent)) == sorted(
        (name, str(value)) for name, value in recorded["query"].items() if name in known
    )
    if "raw_body" in recorded:
        assert sent.body == recorded["raw_body"].encode()
    else:
        assert (json.loads(sent.body) if sent.body else None) == recorded["body"]


def answer_of(response: dict[str, Any]) -> Answer:
    """Return the recorded response as an answer."""
    body = json.dumps(response["json"]) if "json" in response else response["text"]
    return Answer(
        response["status"], body.encode(), headers={"Content-Type": None, **response["headers"]}
    )


def same(recorded: Any, ours: Any) -> bool:
    """Return True if two JSON values are equal, with times in any notation."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        return recorded.keys() == ours.keys() and all(same(recorded[k], ours[k]) for k in recorded)
    if isinstance(recorded, list) and isinstance(ours, list):
        return len(recorded) == len(ours) and all(map(same, recorded, ours))
    if type(recorded) is not type(ours):
        return False
    if recorded != ours and isinstance(recorded, str) and re.match(r"\d{4}-\d\d-\d\dT", recorded):
        return isoparse(recorded) == isoparse(ours)
    return bool(recorded == ours)


@pytest.mark.parametrize(
    "exchange", [case for case in cases() if case.values[0]["response"]["status"] < 300]
)
def test_recorded_response_is_decoded_without_loss(
    recorder: Recorder, exchange: dict[str, Any]
) -> None:
    operation = operation_of(exchange)
    assert operation is not None
    response = exchange["response"]
    result = call(recorder, exchange, answer_of(response))
    if operation.answer is None or response["status"] == 204:
        assert result is None
    elif operation.media_type == "application/octet-stream":
        with result:
            assert result.read() == response["text"].encode()
    elif operation.media_type == "application/json":
        model = model_of(operation.answer)
        items = [result] if model else result
        model = model or model_of(operation.answer["items"])
        assert {type(item).__name__ for item in items} <= {model}
        assert same(response["json"], lakefs_client.ApiClient.sanitize_for_serialization(result)), (
            result
        )
    else:
        assert result == response["text"]


@pytest.mark.parametrize(
    "exchange", [case for case in cases() if case.values[0]["response"]["status"] >= 400]
)
def test_recorded_error_is_raised_with_its_message(
    recorder: Recorder, exchange: dict[str, Any]
) -> None:
    response = exchange["response"]
    with pytest.raises(ApiException) as caught:
        call(recorder, exchange, answer_of(response))
    error = caught.value
    cls = OUTCOMES.get(exchange["scenario"]) or ERRORS.get(response["status"], ApiException)
    assert type(error) is cls
    assert error.status == response["status"]
    if exchange["request"]["method"] == "HEAD":
        assert not error.body
        return
    assert error.body is not None
    assert json.loads(error.body) == response["json"]
    assert error.headers is not None
    assert error.headers["content-type"] == "application/json"
    # The text shows the JSON verbatim, with escaped quotation marks.
    message = response["json"].get("message") or response["json"]["reference"]
    assert json.dumps(message) in str(error)


@pytest.mark.parametrize("exchange", [c for c in cases() if c.values[0]["scenario"] in NOT_SENT])
def test_invalid_recorded_request_is_not_sent(recorder: Recorder, exchange: dict[str, Any]) -> None:
    operation = operation_of(exchange)
    assert operation is not None
    with pytest.raises(NOT_SENT[exchange["scenario"]]):
        recorder.method(operation)(**recorded_arguments(operation, exchange))
    assert recorder.taken() == []


def test_recordings_cover_every_status() -> None:
    statuses = {case.values[0]["response"]["status"] for case in cases()}
    assert statuses == {200, 201, 204, 206, 400, 401, 403, 404, 409, 412, 416, 500, 501}
    names = {found.name for case in cases() if (found := operation_of(case.values[0]))}
    assert len(names) > 70
