"""Routing and validation of requests against the API document.

The messages of errors are those of lakeFS's validator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, unquote

from lakefs_client.sandbox.errors import ApiError

_BASE = "/api/v1"
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
# Longer numbers are not worth converting.
_MAX_DIGITS = 20
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_INT64 = range(-(1 << 63), 1 << 63)
# The values that Go's strconv.ParseBool accepts.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class Invalid(ApiError):
    """A value does not match its schema. `pointer` is the position in the value."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(400, message)
        self.pointer = pointer


@contextmanager
def _error_context(context: str) -> Iterator[None]:
    """Prefix the message of an Invalid error with the context and the pointer."""
    try:
        yield
    except Invalid as error:
        position = f'Error at "{error.pointer}": ' if error.pointer else ""
        raise Invalid(context + position + error.message) from None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API document."""

    id: str
    method: str
    path: str
    auth: bool
    # The status of a successful response with a body.
    status: int
    parameters: list[dict[str, Any]]
    body: dict[str, Any] = field(default_factory=dict)


class Document:
    """The API document, with routes and schemas."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = document["schemas"]
        self.operations = {item["id"]: Operation(**item) for item in document["operations"]}
        # Routes by method and number of path segments, those with fewer variables first.
        self._routes: dict[tuple[str, int], list[tuple[re.Pattern[str], Operation]]] = {}
        for operation in sorted(self.operations.values(), key=lambda o: o.path.count("{")):
            path = _BASE + operation.path
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
            key = (operation.method, path.count("/"))
            self._routes.setdefault(key, []).append((pattern, operation))

    def route(self, method: str, path: str) -> tuple[Operation | None, dict[str, str]]:
        """Return the operation of a request, or None, and its decoded path parameters."""
        for pattern, operation in self._routes.get((method, path.count("/")), ()):
            if match := pattern.fullmatch(path):
                return operation, {k: unquote(v) for k, v in match.groupdict().items()}
        return None, {}

    def arguments(
        self, operation: Operation, path: Mapping[str, str], query: str, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the parameters by name, converted and validated, with defaults."""
        query_values = parse_qs(query, keep_blank_values=True)
        arguments: dict[str, Any] = {}
        for parameter in operation.parameters:
            name, location = parameter["name"], parameter["in"]
            values = query_values.get(name)
            if location != "query":
                text = path.get(name) if location == "path" else headers.get(name.lower())
                values = None if text is None else [text]
            with _error_context(f'parameter "{name}" in {location} has an error: '):
                arguments[name] = self._argument(parameter, values)
        return arguments

    def body(self, operation: Operation, content_type: str, data: bytes) -> Any:
        """Return the decoded and validated JSON body, or `{}` if there is none."""
        if not operation.body or not (data or operation.body["required"]):
            return {}
        with _error_context("request body has an error: "):
            if not data:
                raise Invalid("value is required but missing")
            media_type = content_type.partition(";")[0].strip().lower()
            schema = operation.body["content"].get(media_type)
            if schema is None:
                raise Invalid(f'header Content-Type has unexpected value "{content_type}"')
            try:
                value = decode_json(data)
            except ValueError as error:
                raise Invalid(f"failed to decode request body: {error}") from None
            except RecursionError:
                reason = "invalid character '[' exceeded max depth"
                raise Invalid(f"failed to decode request body: {reason}") from None
            name = f" {schema['$ref']}" if "$ref" in schema else ""
            with _error_context(f"doesn't match schema{name}: "):
                self._check(value, schema)
            return value

    def _argument(self, parameter: dict[str, Any], values: list[str] | None) -> Any:
        schema = parameter["schema"]
        if values is None:
            if parameter["required"]:
                raise Invalid("value is required but missing")
            return schema.get("default")
        if values[0] == "":
            if not parameter.get("allowEmptyValue"):
                raise Invalid("empty value is not allowed")
            return ""
        value = values if schema["type"] == "array" else _convert(values[0], schema["type"])
        self._check(value, schema)
        return value

    def _check(self, value: Any, schema: dict[str, Any], pointer: str = "") -> None:
        """Raise Invalid unless `value` matches `schema`. Accept unknown properties."""
        if reference := schema.get("$ref"):
            schema = self._schemas[reference.rpartition("/")[2]]
        for part in schema.get("allOf", ()):
            self._check(value, part, pointer)
        if value is None and schema.get("nullable"):
            return
        if reason := _mismatch(value, schema):
            raise _invalid(reason, pointer, schema, value)
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            additional = schema.get("additionalProperties")
            for name in sorted(value):
                property_schema = properties.get(name, additional)
                if isinstance(property_schema, dict):
                    self._check(value[name], property_schema, f"{pointer}/{name}")
            for name in schema.get("required", ()):
                if name not in value:
                    reason = f'property "{name}" is missing'
                    raise _invalid(reason, f"{pointer}/{name}", schema, value)
        elif isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                self._check(item, schema["items"], f"{pointer}/{index}")


def _convert(text: str, kind: str) -> Any:
    if kind == "integer":
        if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            raise Invalid(f"value {text}: an invalid integer: invalid syntax")
        if len(text) > _MAX_DIGITS or int(text) not in _INT64:
            raise Invalid(f"value {text}: an invalid integer: value out of range")
        return int(text)
    if kind == "boolean":
        if text not in _BOOLEANS:
            raise Invalid(f"value {text}: an invalid boolean: invalid syntax")
        return _BOOLEANS[text]
    return text


def _mismatch(value: Any, schema: dict[str, Any]) -> str | None:
    if value is None:
        return "Value is not nullable"
    kind = schema.get("type")
    # In Python, unlike in JSON, a bool is an int.
    not_integer = kind == "integer" and isinstance(value, bool)
    if kind and (not isinstance(value, _TYPES[kind]) or not_integer):
        return f"value must be {'an' if kind[0] in 'aio' else 'a'} {kind}"
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


@cache
def load() -> Document:
    """Return the document. It is read once per process."""
    text = files("lakefs_client.sandbox").joinpath("openapi.json").read_text(encoding="utf-8")
    return Document(json.loads(text))


def decode_json(data: bytes) -> Any:
    """Decode JSON as Go does: replace invalid UTF-8 and lone surrogates, ignore trailing data."""
    text = data.decode("utf-8", "replace").lstrip(" \t\r\n")
    value, _ = _DECODER.raw_decode(text)
    return _replace_surrogates(value) if _SURROGATE_ESCAPE.search(data) else value


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    return value


def _parse_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"strconv.ParseInt: parsing {digits[:_MAX_DIGITS]}…: value out of range")
    return int(digits)


def _reject_constant(name: str) -> None:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_int=_parse_int, parse_constant=_reject_constant)
