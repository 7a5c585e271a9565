"""Parser of spec/lakefs.yaml into plain objects, for the generators of code and pages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "spec" / "lakefs.yaml"

# Release 1.44 prefixed Python keywords with an underscore.
_PYTHON_NAMES = {"class": "_class"}
_LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "minLength": "min_length",
    "minItems": "min_items",
    "pattern": "pattern",
}

CONTENT_TYPE = "Media type of the object. Default `application/octet-stream`."
METADATA = "Key-value pairs to store with the object."


def snake(name: str) -> str:
    """Return a name in snake case, with acronyms as one word: `setGroupACL` is `set_group_acl`."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z][a-z]+)", r"\1_\2", name)
    name = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).replace("-", "_").lower()
    return _PYTHON_NAMES.get(name, name)


def class_name(group: str, ending: str = "Api") -> str:
    """Return the class name of a group of operations: `healthCheck` is `HealthCheckApi`."""
    return f"{group[0].upper()}{group[1:]}{ending}"


@dataclass
class Value:
    """A property of a model, or a parameter of an operation.

    Attributes:
        name: Name in Python.
        wire: Name in JSON, in the query or in the header.
        description: Text for docstrings and pages, or "" if the name is self-explanatory.
        details: Text for the pages only.
        place: "path", "query", "header", "body" or "upload" for a parameter.
    """

    name: str
    wire: str
    annotation: str
    required: bool
    description: str
    details: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    secret: bool = False
    deprecated: bool = False
    default: Any = None


@dataclass
class Model:
    """A schema of the document.

    Attributes:
        entries: Annotation of the values, if the model is a map.
        items: Annotation of the items, if the model is a list.
    """

    name: str
    description: str
    details: str
    properties: list[Value]
    entries: str | None
    items: str | None
    example: Any

    @property
    def module(self) -> str:
        return snake(self.name)


@dataclass
class Response:
    """A response of an operation.

    Attributes:
        documented: True if the docstring mentions the response.
    """

    description: str
    details: str
    documented: bool


@dataclass
class Operation:
    """An operation of the document.

    Attributes:
        returns: Annotation of the result.
        success: The response with the result.
        responses: All responses by status code or "default".
    """

    name: str
    method: str
    path: str
    groups: list[str]
    summary: str
    description: str
    details: str
    parameters: list[Value]
    returns: str
    success: Response | None
    responses: dict[str, Response]
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
    """The API document with its references resolved."""

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
        """Follow references until they lead to a definition."""
        while "$ref" in node:
            kind, name = node["$ref"].split("/")[-2:]
            node = self.raw["components"][kind][name]
        return node

    def annotation(self, schema: dict[str, Any]) -> str:
        """Return the Python type of a schema."""
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
        """Return all properties, including those of `allOf`, and the names of the required ones."""
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
            details=schema.get("x-details", ""),
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
        responses = {code: self.resolve(response) for code, response in raw["responses"].items()}
        success = next((r for c, r in responses.items() if c[0] == "2" and "content" in r), None)
        content = next(iter(success["content"].values())) if success else None
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
            success=self._response(success) if success else None,
            responses={code: self._response(r) for code, r in responses.items()},
            auth=raw.get("security") != [],
            idempotent=raw.get("x-idempotent", method in ("get", "head")),
            repeatable=raw.get("x-repeatable", True),
        )

    def _response(self, raw: dict[str, Any]) -> Response:
        details, documented = raw.get("x-details", ""), raw.get("x-docstring", False)
        return Response(raw["description"], details, documented)

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
        """Build a value of a schema. `raw` has its description."""
        return Value(
            name=snake(wire),
            wire=wire,
            annotation=self.annotation(schema),
            required=required,
            description=raw.get("description", ""),
            details=raw.get("x-details", ""),
            limits={limit: schema[key] for key, limit in _LIMITS.items() if key in schema},
            place=place,
            secret=raw.get("x-secret", False),
            deprecated=raw.get("deprecated", False),
            default=schema.get("default"),
        )

    def _body(self, raw: dict[str, Any]) -> list[Value]:
        required = raw.get("required", False)
        description, details = raw.get("description", ""), raw.get("x-details", "")
        if "application/json" in raw["content"]:
            model = self.annotation(raw["content"]["application/json"]["schema"])
            item = model.removeprefix("list[").removesuffix("]")
            plain = "dict[str, Any]" if item == model else "list[dict[str, Any]]"
            annotation = f"{model} | {plain}"
            return [Value(snake(item), "", annotation, required, description, details, {}, "body")]
        # The body contains the object's bytes; headers contain its media type and metadata.
        return [
            Value("content", "content", "UploadContent", required, description, place="upload"),
            Value("content_type", "Content-Type", "str", False, CONTENT_TYPE, place="header"),
            Value(
                "user_metadata", "x-lakefs-meta-", "dict[str, str]", False, METADATA,
                place="header",
            ),
        ]  # fmt: skip
