"""JSON values against schemas of the API document, refused in the words of lakeFS's validator."""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import ApiError

_TYPES: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "object": ("an object", dict),
    "array": ("an array", list),
    "string": ("a string", str),
    "boolean": ("a boolean", bool),
    "integer": ("an integer", int),
    "number": ("a number", (int, float)),
}
_INT64 = range(-(1 << 63), 1 << 63)


class Invalid(ApiError):
    """A value does not fit: why, with how schema and value look, and where in the value."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(400, message)
        self.pointer = pointer

    def within(self, context: str) -> Invalid:
        """The same error, told with what it is about and its place there."""
        place = f'Error at "{self.pointer}": ' if self.pointer else ""
        return Invalid(context + place + self.message)


class Validator:
    """Checks values against the schemas of one document."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas

    def check(self, value: Any, schema: dict[str, Any], pointer: str = "") -> None:
        """Invalid unless `value` fits `schema`; properties it does not name are welcome."""
        if reference := schema.get("$ref"):
            schema = self._schemas[reference.rpartition("/")[2]]
        for part in schema.get("allOf", ()):
            self.check(value, part, pointer)
        if value is None and schema.get("nullable"):
            return
        if reason := _mismatch(value, schema):
            raise _invalid(reason, pointer, schema, value)
        if isinstance(value, dict):
            self._check_object(value, schema, pointer)
        elif isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                self.check(item, schema["items"], f"{pointer}/{index}")

    def _check_object(self, value: dict[str, Any], schema: dict[str, Any], pointer: str) -> None:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for name in sorted(value):
            inner = properties.get(name, others)
            if isinstance(inner, dict):
                self.check(value[name], inner, f"{pointer}/{name}")
        for name in schema.get("required", ()):
            if name not in value:
                reason = f'property "{name}" is missing'
                raise _invalid(reason, f"{pointer}/{name}", schema, value)


def _mismatch(value: Any, schema: dict[str, Any]) -> str | None:
    if value is None:
        return "Value is not nullable"
    name, expected = _TYPES.get(schema.get("type", ""), ("", object))
    # In Python a bool is an int, in JSON it is not.
    if not isinstance(value, expected) or (
        isinstance(value, bool) and name in ("an integer", "a number")
    ):
        return f"value must be {name}"
    match value:
        case _ if value not in schema.get("enum", [value]):
            allowed = json.dumps(schema["enum"], separators=(",", ":"))
            return f"value is not one of the allowed values {allowed}"
        case str() if len(value) < schema.get("minLength", 0):
            return f"minimum string length is {schema['minLength']}"
        case str() if not re.search(schema.get("pattern", ""), value):
            return f'string doesn\'t match the regular expression "{schema["pattern"]}"'
        case int() if value < schema.get("minimum", value):
            return f"number must be at least {schema['minimum']}"
        case int() if value > schema.get("maximum", value):
            return f"number must be at most {schema['maximum']}"
        case int() if schema.get("format") == "int64" and value not in _INT64:
            return "number must be an int64"
        case list() if len(value) < schema.get("minItems", 0):
            return f"minimum number of items is {schema['minItems']}"
    return None


def _invalid(reason: str, pointer: str, schema: dict[str, Any], value: Any) -> Invalid:
    excerpt = f"Schema:\n{_indented(schema)}\n\nValue:\n{_indented(value)}\n"
    return Invalid(f"{reason}\n{excerpt}", pointer)


def _indented(value: Any) -> str:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return "  " + text.replace("\n", "\n  ")
