"""Read spec/lakefs.yaml into a few plain objects, from which code and pages are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "spec" / "lakefs.yaml"

# Where a property's or parameter's name is a word of Python, or would hide one of the model's
# own methods, older releases put an underscore before it.
_PYTHON_NAMES = {"class": "_class"}
_LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "minLength": "min_length",
    "minItems": "min_items",
    "pattern": "pattern",
}


def snake(name: str) -> str:
    """The Python name of something; acronyms stay together (``setGroupACL``: set_group_acl)."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z][a-z]+)", r"\1_\2", name)
    name = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).replace("-", "_").lower()
    return _PYTHON_NAMES.get(name, name)


def class_name(group: str, ending: str = "Api") -> str:
    """The class of a group of operations (``healthCheck``: HealthCheckApi)."""
    return f"{group[0].upper()}{group[1:]}{ending}"


@dataclass
class Value:
    """A property of a model or a parameter of an operation."""

    name: str
    wire: str
    annotation: str
    required: bool
    description: str
    limits: dict[str, Any]
    place: str = ""
    secret: bool = False
    deprecated: bool = False
    default: Any = None


@dataclass
class Model:
    """A schema of the document."""

    name: str
    description: str
    properties: list[Value]
    entries: str | None
    items: str | None
    example: Any

    @property
    def module(self) -> str:
        return snake(self.name)


@dataclass
class Operation:
    """An operation of the document."""

    name: str
    method: str
    path: str
    groups: list[str]
    summary: str
    description: str
    details: str
    parameters: list[Value]
    returns: str
    returned: str
    responses: dict[str, str]
    errors: dict[str, str]
    auth: bool
    idempotent: bool
    repeatable: bool

    @property
    def required(self) -> list[Value]:
        return [p for p in self.parameters if p.required]

    @property
    def optional(self) -> list[Value]:
        return [p for p in self.parameters if not p.required]


class Document:
    """The API document, references resolved."""

    def __init__(self, path: Path = DOCUMENT) -> None:
        self.raw: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        self.schemas: dict[str, Any] = self.raw["components"]["schemas"]
        self.groups = {tag["name"]: tag["description"] for tag in self.raw["tags"]}
        self.models = [self._model(name) for name in self.schemas]
        self.operations = sorted(
            (
                self._operation(path, method, operation)
                for path, methods in self.raw["paths"].items()
                for method, operation in methods.items()
            ),
            key=lambda operation: operation.name,
        )

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """What a reference stands for; anything else as it is."""
        while "$ref" in node:
            kind, name = node["$ref"].split("/")[-2:]
            node = self.raw["components"][kind][name]
        return node

    def annotation(self, schema: dict[str, Any]) -> str:
        """The Python type of a schema."""
        if "$ref" in schema:
            text = str(schema["$ref"].rpartition("/")[2])
        elif schema.get("x-merged"):
            model = self.annotation(schema["allOf"][0])
            text = f"{model} | dict[str, str] | list[{model}]"
        elif "allOf" in schema:
            text = self.annotation(schema["allOf"][0])
        elif "enum" in schema:
            text = f"Literal[{', '.join(map(repr, schema['enum']))}]"
        elif schema["type"] == "array":
            text = f"list[{self.annotation(schema['items'])}]"
        elif schema["type"] == "object":
            entries = schema.get("additionalProperties")
            text = f"dict[str, {self.annotation(entries) if entries else 'Any'}]"
        elif schema["type"] == "string":
            text = {"date-time": "datetime", "binary": "BinaryIO"}.get(
                schema.get("format", ""), "str"
            )
        else:
            text = {"integer": "int", "boolean": "bool", "number": "float"}[schema["type"]]
        return f"{text} | None" if schema.get("nullable") else text

    def _members(self, schema: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """Properties and the names of the required ones, those of ``allOf`` included."""
        properties = dict(schema.get("properties", {}))
        required = set(schema.get("required", ()))
        for part in schema.get("allOf", ()):
            more, needed = self._members(self.resolve(part))
            properties |= more
            required |= needed
        return properties, required

    def _model(self, name: str) -> Model:
        schema = self.schemas[name]
        members, required = self._members(schema)
        properties = [
            self._value(wire, member, member, required=wire in required)
            for wire, member in members.items()
        ]
        entries = schema.get("additionalProperties")
        return Model(
            name=name,
            description=schema["description"],
            properties=sorted(properties, key=lambda p: not p.required),
            entries=self.annotation(entries) if entries else None,
            items=self.annotation(schema["items"]) if schema.get("type") == "array" else None,
            example=schema.get("example"),
        )

    def _operation(self, path: str, method: str, raw: dict[str, Any]) -> Operation:
        parameters = [self._parameter(self.resolve(p)) for p in raw.get("parameters", ())]
        body = raw.get("requestBody")
        if body is not None:
            parameters += self._body(body)
        success: dict[str, Any] = next(
            (r for code, r in raw["responses"].items() if code[0] == "2" and "content" in r), {}
        )
        content = next(iter(success.get("content", {}).values()), None)
        for p in parameters:
            path = path.replace(f"{{{p.wire}}}", f"{{{p.name}}}") if p.place == "path" else path
        return Operation(
            name=snake(raw["operationId"]),
            method=method.upper(),
            path=path,
            groups=raw["tags"],
            summary=raw["summary"],
            description=raw.get("description", ""),
            details=raw.get("x-details", ""),
            parameters=parameters,
            returns=self.annotation(content["schema"]) if content else "None",
            returned=success.get("description", ""),
            responses={
                code: self.resolve(response)["description"]
                for code, response in raw["responses"].items()
            },
            # Those that any operation may meet are referred to, not described.
            errors={
                code: response["description"]
                for code, response in raw["responses"].items()
                if code[0] in "45" and "description" in response
            },
            auth=raw.get("security") != [],
            idempotent=raw.get("x-idempotent", method in ("get", "head")),
            repeatable=raw.get("x-repeatable", True),
        )

    def _parameter(self, raw: dict[str, Any]) -> Value:
        required = raw.get("required", False)
        return self._value(raw["name"], raw["schema"], raw, required=required, place=raw["in"])

    def _value(
        self,
        wire: str,
        schema: dict[str, Any],
        raw: dict[str, Any],
        *,
        required: bool,
        place: str = "",
    ) -> Value:
        """A value of a schema; `raw` is what is said of it besides."""
        return Value(
            name=snake(wire),
            wire=wire,
            annotation=self.annotation(schema),
            required=required,
            description=raw.get("description", ""),
            limits={ours: schema[theirs] for theirs, ours in _LIMITS.items() if theirs in schema},
            place=place,
            secret=raw.get("x-secret", False),
            deprecated=raw.get("deprecated", False),
            default=schema.get("default"),
        )

    def _body(self, raw: dict[str, Any]) -> list[Value]:
        required = raw.get("required", False)
        description = raw.get("description", "")
        if "application/json" not in raw["content"]:
            # Bytes: what they are is said beside them, in headers.
            return [
                Value(
                    "content", "content", "UploadContent", required, description, {}, place="upload"
                ),
                Value(
                    "content_type", "Content-Type", "str", False,
                    "media type of the object; application/octet-stream when left out", {},
                    place="header",
                ),
                Value(
                    "user_metadata", "x-lakefs-meta-", "dict[str, str]", False,
                    "key-value pairs to keep with the object", {}, place="header",
                ),
            ]  # fmt: skip
        model = self.annotation(raw["content"]["application/json"]["schema"])
        item = re.sub(r"^list\[(\w+)\]$", r"\1", model)
        either = f"{item} | dict[str, Any]" if item == model else f"{model} | list[dict[str, Any]]"
        return [Value(snake(item), "", either, required, description, {}, "body")]
