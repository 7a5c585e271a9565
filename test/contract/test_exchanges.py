"""What real servers were recorded to answer: read without loss, or raised as the right error."""

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
from contract.document import OPERATIONS, Operation, model_of
from contract.recorder import API, Recorder, path_arguments, query_arguments
from contract.values import argument, sample
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

# One copy for all tests: the sandbox is held against it too.
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
"""The class for each recorded status; for others the base class itself."""

OUTCOMES = {
    "commit with no changes": NothingToCommitError,
    "merge nothing": NothingToCommitError,
    "merge with conflict": MergeConflictError,
}
"""The class for the scenarios whose message decides it."""

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
"""What servers refuse and this package does not send in the first place."""

MERGED = "create external principal, settings as a list"
"""Refused by servers; this package sends one object whatever it was given."""


def operation_of(exchange: dict[str, Any]) -> Operation | None:
    """The operation that was called."""
    request = exchange["request"]
    received = Received(request["method"], API + request["path"], {}, b"", 0)
    fitting = [
        operation
        for operation in OPERATIONS
        if operation.method == request["method"] and path_arguments(operation, received) is not None
    ]
    # `/refs/dump` fits `/refs/{ref}` too: the path with fewer arguments is meant.
    return min(fitting, key=lambda operation: operation.path.count("{"), default=None)


def cases() -> list[Any]:
    exchanges = json.loads(RECORDINGS.read_text("utf-8"))
    counter: Counter[str] = Counter()
    found = []
    for exchange in exchanges:
        counter[exchange["scenario"]] += 1
        name = f"{exchange['scenario']} #{counter[exchange['scenario']]}".removesuffix(" #1")
        # Without a path it is one with the store; a redirect leads there.
        if "path" in exchange["request"] and exchange["response"]["status"] != 302:
            found.append(pytest.param(exchange, id=name))
    return found


def recorded_arguments(operation: Operation, exchange: dict[str, Any]) -> dict[str, Any]:
    """The arguments that make the recorded request."""
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
    """Call what was called when the answer was recorded, and look at what is sent."""
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
    """The request is the recorded one, but for what no server takes notice of."""
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
    """The recorded answer, to be given again."""
    body = json.dumps(response["json"]) if "json" in response else response["text"]
    return Answer(
        response["status"], body.encode(), headers={"Content-Type": None, **response["headers"]}
    )


def same(recorded: Any, ours: Any) -> bool:
    """Whether JSON is the same; a moment may be written in another way."""
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
def test_answer_is_read_without_loss(recorder: Recorder, exchange: dict[str, Any]) -> None:
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
def test_error_is_raised_with_its_message(recorder: Recorder, exchange: dict[str, Any]) -> None:
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
    # The JSON is shown as it is, quotation marks escaped.
    message = response["json"].get("message") or response["json"]["reference"]
    assert json.dumps(message) in str(error)


@pytest.mark.parametrize("exchange", [c for c in cases() if c.values[0]["scenario"] in NOT_SENT])
def test_what_servers_refuse_is_not_sent(recorder: Recorder, exchange: dict[str, Any]) -> None:
    operation = operation_of(exchange)
    assert operation is not None
    with pytest.raises(NOT_SENT[exchange["scenario"]]):
        recorder.method(operation)(**recorded_arguments(operation, exchange))
    assert recorder.taken() == []


def test_every_group_of_answers_is_there() -> None:
    statuses = {case.values[0]["response"]["status"] for case in cases()}
    assert statuses == {200, 201, 204, 206, 400, 401, 403, 404, 409, 412, 416, 500, 501}
    names = {found.name for case in cases() if (found := operation_of(case.values[0]))}
    assert len(names) > 70
