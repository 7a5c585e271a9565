"""An argument that does not match the document raises an error before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surface.document import OPERATIONS, Argument, Operation, limits, members, model_of, snake
from surface.recorder import Recorder
from surface.values import argument, python_names, sample_of_model

import lakefs_client
from lakefs_client import ApiTypeError, ApiValueError
from wire.strategies import arguments

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=str)

MISSING = object()


class Mistake(NamedTuple):
    """An invalid value of one argument, and the expected error."""

    name: str
    value: Any
    error: type[lakefs_client.OpenApiException]


WRONG_TYPES: dict[str, list[Any]] = {
    "string": [None, 7, True, b"x", ["x"], {}],
    "date-time": [None, 7, "2024-02-29T12:30:45Z"],
    "integer": [None, "7", 7.5, True],
    "boolean": [None, "true", 1],
    "array": [None, "x", {"k": "x"}, [7], ["x", None]],
    "object": [None, "x", [7], {"k": 7}, {7: "x"}],
    "binary": ["text", 7, object()],
}
OUTSIDE = {
    "minimum": lambda bound: bound - 1,
    "maximum": lambda bound: bound + 1,
    "pattern": lambda bound: "!",
    "minLength": lambda bound: "x" * (bound - 1),
    "minItems": lambda bound: [],
}


def mistakes(operation: Operation) -> list[Mistake]:
    """Return the invalid values of each argument of an operation."""
    result = [
        Mistake("foo", 1, ApiTypeError),
        Mistake("_foo", 1, ApiTypeError),
        Mistake("self_", None, ApiTypeError),
    ]
    for a in operation.arguments:
        if a.required:
            result.append(Mistake(a.name, MISSING, ApiTypeError))
        result += [
            Mistake(a.name, value, error)
            for value, error in wrong_values(a)
            if value is not None or a.required
        ]
    return result


def wrong_values(a: Argument) -> Iterator[tuple[Any, type[lakefs_client.OpenApiException]]]:
    """Yield values that an argument must reject."""
    if a.place == "body":
        yield from wrong_bodies(a)
        return
    yield from wrong_simple_values(a.schema)
    if a.place in ("header", "content_type"):
        yield "two\r\nLines: 1", ApiValueError
        yield "nul\0", ApiValueError
        yield "\ud800", ApiValueError
    if a.place == "user_metadata":
        yield {"two\r\nLines": "x"}, ApiValueError
        yield {"k": "two\r\nLines: 1"}, ApiValueError
        yield {"": "x"}, ApiValueError
    if a.schema == {"type": "string"} and a.place == "query":
        yield "\ud800", ApiValueError
    if a.place == "path" and a.schema == {"type": "string"}:
        for value in ("", ".", "..", "\ud800"):
            yield value, ApiValueError


def wrong_simple_values(
    schema: dict[str, Any],
) -> Iterator[tuple[Any, type[lakefs_client.OpenApiException]]]:
    """Yield values that do not match the schema of an argument or a property."""
    if model_of(schema):
        yield from (("x", ApiTypeError), (7, ApiTypeError))
        return
    kind = schema.get("format", schema["type"])
    for value in WRONG_TYPES[kind if kind in WRONG_TYPES else schema["type"]]:
        free = schema["type"] == "object" and "additionalProperties" not in schema
        if not (value is None and schema.get("nullable")) and not (free and value == {"k": 7}):
            yield value, ApiTypeError
    for keyword, bound in limits(schema).items():
        yield OUTSIDE[keyword](bound), ApiValueError
    if "enum" in schema:
        yield "none-of-them", ApiValueError
        yield schema["enum"][0].upper(), ApiValueError


def wrong_bodies(a: Argument) -> Iterator[tuple[Any, type[lakefs_client.OpenApiException]]]:
    """Yield bodies that are not a model, and bodies with one invalid property."""
    model = model_of(a.schema.get("items", a.schema))
    assert model is not None
    many = "items" in a.schema
    for body in (None, "x", 7, b"{}", object(), [None], ["x"], [[]], {} if many else [{}]):
        yield body, ApiTypeError
    good = python_names({"$ref": model}, sample_of_model(model, full=False))
    for name, schema in members(model).properties.items():
        bodies = [
            ({**good, snake(name): value}, e)
            for value, e in wrong_simple_values(schema)
            if value is not None or name in members(model).required
        ]
        if name in members(model).required:
            bodies.append(({n: v for n, v in good.items() if n != snake(name)}, ApiTypeError))
        for body, error in bodies:
            yield ([body] if many else body), error


@each_operation
@settings(max_examples=3, derandomize=True)
@given(data=st.data())
def test_invalid_argument_raises_before_sending(
    recorder: Recorder, operation: Operation, data: st.DataObject
) -> None:
    sent = data.draw(arguments(operation))
    given = {a.name: argument(a, sent[a.name]) for a in operation.arguments if a.name in sent}
    method = recorder.method(operation)
    for name, value, error in mistakes(operation):
        wrong = {**given, name: value}
        if value is MISSING:
            del wrong[name]
        with pytest.raises(error) as caught:
            method(**wrong)
        # Callers may catch the built-in classes.
        assert isinstance(caught.value, TypeError if error is ApiTypeError else ValueError)
        with pytest.raises(error):
            method(**wrong, async_req=True)
    required = [given.pop(a.name) for a in operation.required]
    with pytest.raises(ApiTypeError, match="positional"):
        method(*required, "one more", **given)
    assert recorder.taken() == []


@each_operation
def test_argument_by_position_and_name_raises(recorder: Recorder, operation: Operation) -> None:
    for count, a in enumerate(operation.required, 1):
        with pytest.raises(ApiTypeError, match=a.name):
            recorder.method(operation)(*["x"] * count, **{a.name: "x"})
    with pytest.raises(ApiTypeError):
        recorder.method(operation)(*["x"] * (len(operation.required) + 1))
    assert recorder.taken() == []
