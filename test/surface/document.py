"""Reader of spec/lakefs.yaml for the tests, independent of the generator in tools/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
RAW: dict[str, Any] = yaml.safe_load((ROOT / "spec" / "lakefs.yaml").read_text("utf-8"))
SCHEMAS: dict[str, dict[str, Any]] = RAW["components"]["schemas"]
GROUPS: list[str] = [tag["name"] for tag in RAW["tags"]]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

UPLOAD = "uploadObject"
"""Operation whose body is the bytes of an object."""

LIMITS = ("minimum", "maximum", "minLength", "minItems", "pattern")
"""Limit keywords that the document uses."""


@dataclass(frozen=True)
class Argument:
    """An argument of a method.

    Attributes:
        name: Name in Python.
        wire: Name in the request, or "" for a body.
        place: "path", "query", "header" or "body". For an upload also "content", "content_type"
            and "user_metadata".
        required: True for a positional argument.
        schema: Schema of the type.
    """

    name: str
    wire: str
    place: str
    required: bool
    schema: dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """An operation with its arguments in the method's order."""

    id: str
    name: str
    method: str
    path: str
    groups: tuple[str, ...]
    arguments: tuple[Argument, ...]
    secured: bool
    idempotent: bool
    repeatable: bool
    success: int
    media_type: str
    answer: dict[str, Any] | None

    def __str__(self) -> str:
        return self.name

    @property
    def required(self) -> tuple[Argument, ...]:
        """The required arguments."""
        return tuple(a for a in self.arguments if a.required)

    @property
    def optional(self) -> tuple[Argument, ...]:
        """The optional arguments."""
        return tuple(a for a in self.arguments if not a.required)


def snake(name: str) -> str:
    """Return a name in snake case, with acronyms as one word."""
    if name == "class":
        return "_class"
    return "_".join(re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z\d]+|[A-Z]+", name)).lower()


def class_of(group: str) -> str:
    """Return the class name of a group of operations."""
    return f"{group[0].upper()}{group[1:]}Api"


def deref(node: dict[str, Any]) -> dict[str, Any]:
    """Follow references until they lead to a definition."""
    while "$ref" in node:
        found: Any = RAW
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def model_of(schema: dict[str, Any]) -> str | None:
    """Return the name of the model that a schema refers to, if any."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return model_of(schema["allOf"][0])
    return None


@dataclass(frozen=True)
class Members:
    """The properties of a model, the required ones first."""

    properties: dict[str, dict[str, Any]]
    required: frozenset[str]


@cache
def members(model: str) -> Members:
    """Return the properties of a model, including those of `allOf`."""
    properties: dict[str, dict[str, Any]] = {}
    required: set[str] = set()
    for part in _parts(SCHEMAS[model]):
        properties |= part.get("properties", {})
        required |= set(part.get("required", ()))
    ordered = sorted(properties, key=lambda name: name not in required)
    return Members({name: properties[name] for name in ordered}, frozenset(required))


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for part in schema.get("allOf", ()):
        yield from _parts(deref(part))


def limits(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of a schema."""
    return {name: schema[name] for name in LIMITS if name in schema}


def _arguments(raw: dict[str, Any]) -> Iterator[Argument]:
    for parameter in map(deref, raw.get("parameters", ())):
        yield Argument(
            snake(parameter["name"]),
            parameter["name"],
            parameter["in"],
            parameter.get("required", False),
            parameter["schema"],
        )
    body = raw.get("requestBody")
    if body is None:
        return
    required = body.get("required", False)
    if "application/json" in body["content"]:
        schema = body["content"]["application/json"]["schema"]
        model = model_of(schema.get("items", schema))
        assert model is not None, "bodies are models, or lists of one model"
        yield Argument(snake(model), "", "body", required, schema)
    else:
        text = {"type": "string"}
        yield Argument("content", "", "content", required, {"type": "string", "format": "binary"})
        yield Argument("content_type", "Content-Type", "content_type", False, text)
        yield Argument(
            "user_metadata",
            "x-lakefs-meta-",
            "user_metadata",
            False,
            {"type": "object", "additionalProperties": text},
        )


def _success(raw: dict[str, Any]) -> tuple[int, str, dict[str, Any] | None]:
    codes = [code for code in raw["responses"] if code.startswith("2")]
    for code in codes:
        for media_type, content in raw["responses"][code].get("content", {}).items():
            return int(code), media_type, content["schema"]
    return int(codes[0]) if codes else 200, "", None


def _operations() -> Iterator[Operation]:
    for path, methods in RAW["paths"].items():
        for method, raw in methods.items():
            success, media_type, answer = _success(raw)
            yield Operation(
                id=raw["operationId"],
                name=snake(raw["operationId"]),
                method=method.upper(),
                path=path,
                groups=tuple(raw["tags"]),
                arguments=tuple(sorted(_arguments(raw), key=lambda a: not a.required)),
                secured=raw.get("security", RAW["security"]) != [],
                idempotent=raw.get("x-idempotent", method in ("get", "head")),
                repeatable=raw.get("x-repeatable", True),
                success=success,
                media_type=media_type,
                answer=answer,
            )


OPERATIONS = sorted(_operations(), key=lambda operation: operation.name)
BY_NAME = {operation.name: operation for operation in OPERATIONS}
