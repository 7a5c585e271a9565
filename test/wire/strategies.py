"""Hypothesis strategies for the document's schemas."""

from __future__ import annotations

import string
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from surface.document import SCHEMAS, Argument, Operation, members, model_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STEP = TEXT.filter(lambda text: text not in ("", ".", ".."))
"""A segment of a path."""

# A header's value. Surrounding spaces are not part of the value.
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=10)

WHOLE = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.datetimes(
    datetime(1, 1, 2),
    datetime(9999, 12, 30),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
).map(datetime.isoformat)

JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)

UNKNOWN = st.dictionaries(
    st.sampled_from(["", "get", "to_dict", "cls", "_self", "self", "x-new", "__class__", "_wire"]),
    JSON,
    max_size=2,
)
"""Properties that a newer server may add, with names that could shadow attributes."""


def values(schema: dict[str, Any], *, newer: bool = False) -> SearchStrategy[Any]:
    """Return a strategy for JSON that matches a schema. `newer` adds undeclared properties."""
    model = model_of(schema)
    if model is not None:
        strategy = _model(model, newer)
    elif "enum" in schema:
        strategy = st.sampled_from(schema["enum"])
    else:
        strategy = _plain(schema, newer)
    return st.none() | strategy if schema.get("nullable") else strategy


def _plain(schema: dict[str, Any], newer: bool) -> SearchStrategy[Any]:
    kind = schema["type"]
    if kind == "string":
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], alphabet=st.characters(codec="ascii")).filter(
                str.isprintable
            )
        if schema.get("format") == "date-time":
            return MOMENT
        return TEXT.filter(lambda text: len(text) >= schema.get("minLength", 0))
    if kind == "integer":
        return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))
    if kind == "array":
        items = values(schema["items"], newer=newer)
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=3)
    if kind == "object":
        entries = schema.get("additionalProperties")
        inner = values(entries, newer=newer) if entries else JSON
        return st.dictionaries(TEXT, inner, max_size=3)
    return {
        "boolean": st.booleans(),
        "number": st.floats(allow_nan=False, allow_infinity=False),
    }[kind]


@cache
def _model(model: str, newer: bool) -> SearchStrategy[Any]:
    schema = SCHEMAS[model]
    if schema.get("type") == "array" or "additionalProperties" in schema:
        return _plain({"type": "object", **schema}, newer)
    declared = members(model)
    known = st.fixed_dictionaries(
        {
            n: values(s, newer=newer)
            for n, s in declared.properties.items()
            if n in declared.required
        },
        optional={
            n: values(s, newer=newer)
            for n, s in declared.properties.items()
            if n not in declared.required
        },
    )
    if not newer:
        return known
    return st.builds(lambda declared, unknown: {**declared, **unknown}, known, UNKNOWN)


def argument_values(a: Argument) -> SearchStrategy[Any]:
    """Return a strategy for an argument: JSON or bytes."""
    if a.place == "content":
        return st.binary(max_size=200)
    if a.place == "user_metadata":
        # Header names are case-insensitive, so keys must differ in more than case.
        return st.dictionaries(TOKEN.map(str.lower), HEADER, max_size=3)
    if a.place in ("header", "content_type"):
        return values(a.schema).map(str.strip) if "pattern" in a.schema else HEADER.filter(bool)
    if a.place == "path" and a.schema["type"] == "string" and "enum" not in a.schema:
        return STEP
    return values(a.schema)


def arguments(operation: Operation) -> SearchStrategy[dict[str, Any]]:
    """Return a strategy for valid arguments: all required ones, any of the optional ones."""
    return st.fixed_dictionaries(
        {a.name: argument_values(a) for a in operation.required},
        optional={a.name: argument_values(a) for a in operation.optional},
    )
