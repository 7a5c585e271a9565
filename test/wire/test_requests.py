"""Each operation sends random arguments as the document describes, and decodes the answer."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import Answer, Received
from surface.document import OPERATIONS, Argument, Operation, model_of
from surface.recorder import Recorder, path_arguments, query_arguments
from surface.values import argument, problems, python, python_names

import lakefs_client
from lakefs_client.models import ExternalPrincipalSettings
from wire.strategies import arguments, values

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)
DEFAULT_TYPE = "application/octet-stream"


def in_some_form(data: st.DataObject, a: Argument, value: Any) -> Any:
    """Return an argument in one of the accepted forms: model or dict, list or tuple."""
    if a.place != "body":
        given = argument(a, value)
        return tuple(given) if isinstance(given, list) and data.draw(st.booleans()) else given
    form = data.draw(st.sampled_from(["model", "dict"]))
    given = python(a.schema, value) if form == "model" else python_names(a.schema, value)
    settings = value.get("settings") if model_of(a.schema) == "ExternalPrincipalCreation" else None
    if settings is not None and data.draw(st.booleans()):
        # The documentation of 1.44 gives a list of maps, which is sent as one object.
        given["settings"] = [ExternalPrincipalSettings(**{k: v}) for k, v in settings.items()]
    return given


def random_answer(data: st.DataObject, operation: Operation) -> tuple[Any, Answer]:
    """Return a value that the document allows, and an answer with it."""
    if operation.answer is None:
        # The client ignores the body. A 204 has none.
        bodies = [b""] if operation.success == 204 else [b"", b"whatever"]
        return None, Answer(operation.success, data.draw(st.sampled_from(bodies)))
    kind = {"Content-Type": operation.media_type}
    if operation.media_type == "application/json":
        value = data.draw(values(operation.answer, newer=True))
        return value, Answer(operation.success, json.dumps(value).encode(), headers=kind)
    if operation.answer.get("format") == "binary":
        value = data.draw(st.binary(max_size=200))
        return value, Answer(operation.success, value, headers=kind)
    value = data.draw(values(operation.answer))
    return value, Answer(operation.success, value.encode(), headers=kind)


@each_operation
@settings(max_examples=6, derandomize=True)
@given(data=st.data())
def test_request_and_answer_match_the_document(
    recorder: Recorder, operation: Operation, data: st.DataObject
) -> None:
    sent = data.draw(arguments(operation))
    expected, answer = random_answer(data, operation)
    given = {
        a.name: in_some_form(data, a, sent[a.name]) for a in operation.arguments if a.name in sent
    }
    required = [given.pop(a.name) for a in operation.required]
    recorder.answer(answer)
    result = recorder.method(operation)(*required, **given)
    (request,) = recorder.taken()
    check_request(operation, sent, request)
    check_result(operation, expected, result)


def check_request(operation: Operation, sent: dict[str, Any], request: Received) -> None:
    declared = {a.name: a for a in operation.arguments}
    assert request.method == operation.method
    assert path_arguments(operation, request) == {
        a.wire: str(sent[a.name]) for a in declared.values() if a.place == "path"
    }
    check_query(operation, sent, request)
    assert "transfer-encoding" not in request.headers
    body = None
    for name, value in sent.items():
        a = declared[name]
        if a.place in ("header", "content_type"):
            assert request.headers[a.wire.lower()] == value.strip()  # without white space
        elif a.place == "user_metadata":
            prefix = a.wire.lower()
            assert value == {
                header.removeprefix(prefix): text
                for header, text in request.headers.items()
                if header.startswith(prefix)
            }
        elif a.place == "body":
            body = json.loads(request.body)
            assert request.headers["content-type"] == "application/json"
            assert same(body, value)
            assert problems(a.schema, body) == []
        elif a.place == "content":
            body = request.body
            assert body == value
            assert request.headers["content-type"] == sent.get("content_type", DEFAULT_TYPE)
    if body is None:
        assert request.body == b""


def check_query(operation: Operation, sent: dict[str, Any], request: Received) -> None:
    expected = [
        (a.wire, item if isinstance(item, str) else json.dumps(item))
        for a in operation.arguments
        if a.place == "query" and a.name in sent
        for item in (sent[a.name] if isinstance(sent[a.name], list) else [sent[a.name]])
    ]
    # The order of names does not matter; the order of one name's values does.
    arrived = query_arguments(request)
    assert sorted(arrived, key=lambda pair: pair[0]) == sorted(expected, key=lambda pair: pair[0])


def check_result(operation: Operation, expected: Any, result: Any) -> None:
    if operation.answer is None:
        assert result is None
    elif operation.answer.get("format") == "binary":
        with result:
            assert result.read() == expected
    elif operation.media_type != "application/json":
        assert result == expected
    else:
        assert same(lakefs_client.ApiClient.sanitize_for_serialization(result), expected)
        # Decoder and constructor give equal models.
        assert result == python(operation.answer, expected)
        assert type(result) is type(python(operation.answer, expected))


def same(left: Any, right: Any) -> bool:
    """Return True if two values and their types are equal, so that True differs from 1."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)
