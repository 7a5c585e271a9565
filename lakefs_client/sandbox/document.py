"""The API document's operations: which one a request is for, and whether it fits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, unquote

from .validation import Invalid, Validator

_BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API document, as it is there."""

    id: str
    method: str
    path: str
    auth: bool
    parameters: list[dict[str, Any]]
    body: dict[str, Any] = field(default_factory=dict)


class Document:
    """`openapi.json` of this package, ready for use."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._validator = Validator(document["schemas"])
        self.operations = {item["id"]: Operation(**item) for item in document["operations"]}
        # Routes by method and number of path segments; the fewer variables, the earlier.
        self._routes: dict[tuple[str, int], list[tuple[re.Pattern[str], Operation]]] = {}
        for operation in sorted(self.operations.values(), key=lambda o: o.path.count("{")):
            path = _BASE + operation.path
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
            key = (operation.method, path.count("/"))
            self._routes.setdefault(key, []).append((pattern, operation))

    def route(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Find the operation of a request, and the values in its path, decoded."""
        for pattern, operation in self._routes.get((method, path.count("/")), ()):
            if match := pattern.fullmatch(path):
                return operation, {k: unquote(v) for k, v in match.groupdict().items()}
        return None

    def arguments(
        self, operation: Operation, path: Mapping[str, str], query: str, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """The operation's parameters by name, converted, checked or Invalid, with defaults."""
        given = parse_qs(query, keep_blank_values=True)
        arguments: dict[str, Any] = {}
        for parameter in operation.parameters:
            name, where = parameter["name"], parameter["in"]
            values = given.get(name)
            if where != "query":
                text = path.get(name) if where == "path" else headers.get(name.lower())
                values = None if text is None else [text]
            try:
                arguments[name] = self._argument(parameter, values)
            except Invalid as error:
                raise error.within(f'parameter "{name}" in {where} has an error: ') from None
        return arguments

    def body(self, operation: Operation, content_type: str, data: bytes) -> Any:
        """The decoded JSON body, checked or Invalid, or None where there is none."""
        try:
            if not operation.body or not (data or operation.body["required"]):
                return None
            if not data:
                raise Invalid("value is required but missing")
            media_type = content_type.partition(";")[0].strip().lower()
            schema = operation.body["content"].get(media_type)
            if schema is None:
                raise Invalid(f'header Content-Type has unexpected value "{content_type}"')
            try:
                value = json.loads(data)
            except ValueError as error:
                raise Invalid(f"failed to decode request body: {error}") from None
            name = f" {schema['$ref']}" if "$ref" in schema else ""
            try:
                self._validator.check(value, schema)
            except Invalid as error:
                raise error.within(f"doesn't match schema{name}: ") from None
            return value
        except Invalid as error:
            raise error.within("request body has an error: ") from None

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
        value: Any = values
        if schema["type"] != "array":
            value = _convert(values[0], schema["type"])
        self._validator.check(value, schema)
        return value


# As servers read them, which are written in Go.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _convert(text: str, kind: str) -> Any:
    if kind == "integer":
        if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
            raise Invalid(f"value {text}: an invalid integer: invalid syntax")
        return int(text)
    if kind == "boolean":
        if text not in _BOOLEANS:
            raise Invalid(f"value {text}: an invalid boolean: invalid syntax")
        return _BOOLEANS[text]
    return text


@cache
def load() -> Document:
    """Read the document; done once a process."""
    text = files("lakefs_client.sandbox").joinpath("openapi.json").read_text(encoding="utf-8")
    return Document(json.loads(text))
