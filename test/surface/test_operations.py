"""Every operation of the document is a method with the documented request and result."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from typing import Any

import pytest
from support.scripted import Answer

import lakefs_client
from lakefs_client import api, apis, exceptions, models
from lakefs_client._sentinels import UNSET
from surface.document import (
    GROUPS,
    OPERATIONS,
    RAW,
    Argument,
    Operation,
    class_of,
    deref,
    limits,
    model_of,
    snake,
)
from surface.recorder import Recorder, path_arguments, query_arguments
from surface.values import argument, problems, python, sample

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def arguments_of(operation: Operation, *, full: bool = True) -> dict[str, Any]:
    """Return a JSON value for each argument, or for the required ones only."""
    values = {}
    for a in operation.arguments if full else operation.required:
        if a.place == "content":
            values[a.name] = b"a,b\n\xff\x00"
        elif a.place == "user_metadata":
            values[a.name] = {"Run": "42", "empty": ""}
        elif a.place in ("header", "content_type") and "pattern" not in a.schema:
            values[a.name] = f"{a.name} value"
        else:
            values[a.name] = sample(a.schema, a.name, full=full)
    return values


def call(recorder: Recorder, operation: Operation, values: dict[str, Any]) -> Any:
    """Call a method with required arguments by position and others by name."""
    given = {a.name: argument(a, values[a.name]) for a in operation.arguments if a.name in values}
    required = [given.pop(a.name) for a in operation.required]
    return recorder.method(operation)(*required, **given)


def answer_of(operation: Operation, *, full: bool = True) -> Answer:
    """Return a successful answer that matches the document."""
    if operation.answer is None:
        return Answer(operation.success, headers={"Content-Type": None})
    value = sample(operation.answer, "answer", full=full)
    if operation.media_type == "application/json":
        return Answer(operation.success, json=value)
    return Answer(operation.success, value.encode(), headers={"Content-Type": operation.media_type})


# Classes and signatures


@pytest.mark.parametrize("group", GROUPS)
def test_group_class_has_its_operations(group: str) -> None:
    cls = getattr(apis, class_of(group))
    module = importlib.import_module(f"lakefs_client.api.{snake(group)}_api")
    assert getattr(module, class_of(group)) is cls
    methods = {
        name
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }
    assert methods == {operation.name for operation in OPERATIONS if group in operation.groups}


def test_apis_match_the_groups() -> None:
    assert sorted(apis.__all__) == sorted(map(class_of, GROUPS))


@each_operation
def test_groups_share_one_implementation(operation: Operation) -> None:
    classes = [getattr(apis, class_of(group)) for group in operation.groups]
    assert len({id(getattr(cls, operation.name)) for cls in classes}) == 1


def annotation(schema: dict[str, Any]) -> str:
    """Return the annotation of a schema."""
    model = model_of(schema)
    if model is not None:
        text = model
    elif "enum" in schema:
        text = f"Literal[{', '.join(map(repr, schema['enum']))}]"
    elif schema["type"] == "array":
        text = f"list[{annotation(schema['items'])}]"
    elif schema["type"] == "object":
        entries = schema.get("additionalProperties")
        text = f"dict[str, {annotation(entries) if entries else 'Any'}]"
    elif schema["type"] == "string":
        text = {"date-time": "datetime", "binary": "BinaryIO"}.get(schema.get("format", ""), "str")
    else:
        text = {"integer": "int", "boolean": "bool", "number": "float"}[schema["type"]]
    return f"{text} | None" if schema.get("nullable") else text


def annotation_of_argument(a: Argument) -> str:
    text = annotation(a.schema)
    if a.place == "content":
        return "UploadContent"
    if a.place != "body":
        return text
    return f"{text} | {'list[dict[str, Any]]' if text.startswith('list') else 'dict[str, Any]'}"


@each_operation
def test_docstring_lists_the_marked_errors(operation: Operation) -> None:
    responses = RAW["paths"][operation.path][operation.method.lower()]["responses"]
    marked = {
        code
        for code, response in responses.items()
        if code[0] in "45" and deref(response).get("x-docstring")
    }
    method = getattr(getattr(apis, class_of(operation.groups[0])), operation.name)
    raises = (inspect.getdoc(method) or "").partition("Raises:")[2]
    listed = re.findall(r"(\w+) \((\d{3})\): ", raises)
    assert {code for _, code in listed} == marked
    assert all(issubclass(getattr(exceptions, name), exceptions.ApiException) for name, _ in listed)


def test_package_docstring_lists_common_errors() -> None:
    listed = set(re.findall(r"`(\w+(?:Exception|Error))`", api.__doc__ or ""))
    assert all(hasattr(exceptions, name) for name in listed)
    assert {"NotFoundException", "ApiException", "ApiTimeoutError"} <= listed


@each_operation
def test_signature_matches_the_document(operation: Operation) -> None:
    signature = inspect.signature(
        getattr(getattr(apis, class_of(operation.groups[0])), operation.name)
    )
    this, *parameters, options = signature.parameters.values()
    assert this.name == "self"
    assert options.kind is inspect.Parameter.VAR_KEYWORD
    assert options.annotation == "Unpack[CallOptions]"
    required = [p for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    optional = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [p.name for p in required] == [a.name for a in operation.required]
    assert [p.name for p in optional] == [a.name for a in operation.optional]
    assert len(required) + len(optional) == len(parameters)
    assert all(p.default is inspect.Parameter.empty for p in required)
    assert all(p.default is UNSET for p in optional)
    declared = {p.name: p.annotation.replace('"', "'") for p in parameters}
    assert declared == {a.name: annotation_of_argument(a) for a in operation.arguments}
    expected = "None" if operation.answer is None else annotation(operation.answer)
    assert signature.return_annotation == expected


# Requests


@each_operation
@pytest.mark.parametrize("full", [True, False], ids=["all arguments", "required only"])
def test_request_matches_the_document(recorder: Recorder, operation: Operation, full: bool) -> None:
    values = arguments_of(operation, full=full)
    recorder.answer(answer_of(operation))
    call(recorder, operation, values)
    (request,) = recorder.taken()

    assert request.method == operation.method
    given = [a for a in operation.arguments if a.name in values]
    # Reserved bytes are escaped, so that no argument becomes two segments.
    assert re.fullmatch(r"[\w.~%/-]+", request.path, re.ASCII)
    assert path_arguments(operation, request) == {
        a.wire: str(values[a.name]) for a in given if a.place == "path"
    }
    assert sorted(query_arguments(request)) == sorted(
        (a.wire, query_text(item))
        for a in given
        if a.place == "query"
        for item in (values[a.name] if isinstance(values[a.name], list) else [values[a.name]])
    )
    for a in given:
        if a.place in ("header", "content_type"):
            assert request.headers[a.wire.lower()] == values[a.name]
        elif a.place == "user_metadata":
            metadata = {name.lower(): value for name, value in values[a.name].items()}
            prefix = a.wire.lower()
            assert metadata == {
                name.removeprefix(prefix): value
                for name, value in request.headers.items()
                if name.startswith(prefix)
            }
    expected_body(operation, values, request.headers, request.body)


def query_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def expected_body(
    operation: Operation, values: dict[str, Any], headers: dict[str, str], body: bytes
) -> None:
    for a in operation.arguments:
        if a.name in values and a.place == "body":
            assert headers["content-type"] == "application/json"
            assert json.loads(body) == values[a.name]
            assert problems(a.schema, json.loads(body)) == []
            return
        if a.name in values and a.place == "content":
            assert body == values[a.name]
            assert headers["content-type"] == values.get("content_type", "application/octet-stream")
            return
    assert body == b""


@each_operation
def test_credentials_are_sent_only_to_secured_operations(
    recorder: Recorder, operation: Operation
) -> None:
    recorder.answer(answer_of(operation))
    call(recorder, operation, arguments_of(operation, full=False))
    (request,) = recorder.taken()
    if operation.secured:
        assert request.headers["authorization"] == "Bearer token"
        assert request.headers["cookie"] == (
            "internal_auth_session=cookie_auth; oidc_auth_session=oidc_auth; "
            "saml_auth_session=saml_auth"
        )
    else:
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers


def test_document_lists_unsecured_operations() -> None:
    assert {operation.name for operation in OPERATIONS if not operation.secured} == {
        "external_principal_login",
        "get_auth_capabilities",
        "get_setup_state",
        "health_check",
        "login",
        "oauth_callback",
        "setup",
        "setup_comm_prefs",
        "sts_login",
    }


# Results


@each_operation
@pytest.mark.parametrize("full", [True, False], ids=["all properties", "required only"])
def test_result_matches_the_document(recorder: Recorder, operation: Operation, full: bool) -> None:
    recorder.answer(answer_of(operation, full=full))
    result = call(recorder, operation, arguments_of(operation, full=False))
    recorder.taken()
    if operation.answer is None:
        assert result is None
        return
    value = sample(operation.answer, "answer", full=full)
    if operation.answer.get("format") == "binary":
        with result:
            assert result.read() == value.encode()
        return
    assert result == python(operation.answer, value)
    assert lakefs_client.ApiClient.sanitize_for_serialization(result) == value
    model = model_of(operation.answer)
    assert type(result) is (getattr(models, model) if model else type(value))


# Retries


@each_operation
@pytest.mark.parametrize("status", [503, 429])
def test_retry_depends_on_status_and_idempotence(
    recorder: Recorder, operation: Operation, status: int
) -> None:
    # After 503 the outcome is unknown. After 429 nothing happened.
    repeated = operation.idempotent if status == 503 else operation.repeatable
    if repeated:
        recorder.answer(Answer(status, json={"message": "later"}), answer_of(operation))
        call(recorder, operation, arguments_of(operation, full=False))
    else:
        recorder.answer(Answer(status, json={"message": "later"}))
        with pytest.raises(lakefs_client.ApiException) as caught:
            call(recorder, operation, arguments_of(operation, full=False))
        assert caught.value.status == status
    assert len(recorder.taken()) == 1 + repeated


def test_operations_with_lasting_effects_are_not_idempotent() -> None:
    marked = {operation.name for operation in OPERATIONS if operation.idempotent}
    never = re.compile(
        r"create_|commit|merge_|revert|cherry_pick|hard_reset|import_start|complete_"
    )
    assert [
        operation.name
        for operation in OPERATIONS
        if operation.name in marked and operation.method == "POST" and never.match(operation.name)
    ] == []
    assert "hard_reset_branch" not in marked
    assert [o.name for o in OPERATIONS if not o.repeatable] == ["complete_presign_multipart_upload"]


# Limits and choices


LIMITED = [
    (operation, a, keyword, bound)
    for operation in OPERATIONS
    for a in operation.arguments
    for keyword, bound in limits(a.schema).items()
]
CHOSEN = [(o, a) for o in OPERATIONS for a in o.arguments if "enum" in a.schema]


@pytest.mark.parametrize(
    ("operation", "a", "keyword", "bound"),
    LIMITED,
    ids=[f"{o}-{a.name}-{k}" for o, a, k, _ in LIMITED],
)
def test_argument_enforces_its_limit(
    recorder: Recorder, operation: Operation, a: Argument, keyword: str, bound: Any
) -> None:
    inside, outside = {
        "minimum": lambda: (bound, bound - 1),
        "maximum": lambda: (bound, bound + 1),
        "pattern": lambda: ("bytes=0-5", "bytes=five"),
    }[keyword]()
    values = arguments_of(operation, full=False)
    recorder.answer(answer_of(operation))
    call(recorder, operation, {**values, a.name: inside})
    assert len(recorder.taken()) == 1
    with pytest.raises(lakefs_client.ApiValueError, match=f"`{a.name}`"):
        call(recorder, operation, {**values, a.name: outside})
    assert recorder.taken() == []


@pytest.mark.parametrize(("operation", "a"), CHOSEN, ids=[f"{o}-{a.name}" for o, a in CHOSEN])
def test_argument_accepts_only_listed_values(
    recorder: Recorder, operation: Operation, a: Argument
) -> None:
    values = arguments_of(operation, full=False)
    for choice in a.schema["enum"]:
        recorder.answer(answer_of(operation))
        call(recorder, operation, {**values, a.name: choice})
        assert len(recorder.taken()) == 1
    with pytest.raises(lakefs_client.ApiValueError, match=f"`{a.name}` .*must be one of"):
        call(recorder, operation, {**values, a.name: "none-of-them"})
    assert recorder.taken() == []


def test_paths_are_absolute() -> None:
    assert all(operation.path.startswith("/") for operation in OPERATIONS)
