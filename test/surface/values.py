"""Sample values of the document's schemas, as JSON and as Python, and a JSON validator."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

from dateutil.parser import isoparse
from jsonschema import Draft202012Validator, FormatChecker

from lakefs_client import models
from surface.document import SCHEMAS, Argument, members, model_of, snake

PATTERNS = {
    "^[a-z0-9][a-z0-9-]{2,62}$": "example-repo",
    "^(s3|gs|https?|mem|local|transient)://.*$": "s3://lake/example-repo",
    r"^bytes=((\d*-\d*,? ?)+)$": "bytes=0-1023",
}
"""Matching text by pattern."""

MOMENT = "2024-02-29T12:30:45+00:00"


def sample(schema: dict[str, Any], hint: str = "value", *, full: bool = True) -> Any:
    """Return constant JSON that matches a schema. `full` includes optional properties."""
    model = model_of(schema)
    if model is not None:
        return sample_of_model(model, full=full)
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema["type"]
    if kind == "string":
        if "pattern" in schema:
            return PATTERNS[schema["pattern"]]
        return MOMENT if schema.get("format") == "date-time" else f"{hint} ä/&+"
    if kind == "array":
        return [sample(schema["items"], hint, full=full)]
    if kind == "object":
        entries = schema.get("additionalProperties")
        return {"k": sample(entries, hint) if entries else {"free": [1, None, "2024-02-29"]}}
    return {"integer": schema.get("maximum", 7), "boolean": True, "number": 0.5}[kind]


def sample_of_model(model: str, *, full: bool = True) -> Any:
    """Return JSON of a model."""
    schema = SCHEMAS[model]
    if schema.get("type") == "array" or "additionalProperties" in schema:
        return sample(schema, full=full)
    declared = members(model)
    return {
        name: sample(of, name, full=full)
        for name, of in declared.properties.items()
        if full or name in declared.required
    }


def python(schema: dict[str, Any], value: Any) -> Any:
    """Return JSON as Python: models built by their constructors, and datetimes."""
    model = model_of(schema)
    if value is None:
        return None
    if model is not None:
        return _model(model, value)
    if schema.get("type") == "array":
        return [python(schema["items"], item) for item in value]
    if schema.get("type") == "object":
        entries = schema.get("additionalProperties")
        return {k: python(entries, item) if entries else item for k, item in value.items()}
    return datetime.fromisoformat(value) if schema.get("format") == "date-time" else value


def _model(model: str, value: Any) -> Any:
    cls = getattr(models, model)
    schema = SCHEMAS[model]
    if schema.get("type") == "array":
        return cls(python(schema, value))
    if "additionalProperties" in schema:
        return cls(**python({**schema, "type": "object"}, value))
    properties = members(model).properties
    return cls(
        **{
            snake(key) if key in properties else key: (
                python(properties[key], item) if key in properties else item
            )
            for key, item in value.items()
        }
    )


def python_names(schema: dict[str, Any], value: Any) -> Any:
    """Return JSON with Python names, which a caller may pass instead of a model."""
    model = model_of(schema)
    if value is None:
        return None
    if model is not None:
        if SCHEMAS[model].get("type") == "array" or "additionalProperties" in SCHEMAS[model]:
            return value
        properties = members(model).properties
        return {
            snake(key) if key in properties else key: (
                python_names(properties[key], item) if key in properties else item
            )
            for key, item in value.items()
        }
    if schema.get("type") == "array":
        return [python_names(schema["items"], item) for item in value]
    return python(schema, value)


def argument(of: Argument, value: Any) -> Any:
    """Return the Python value of an argument from its JSON."""
    return value if of.place == "content" else python(of.schema, value)


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    # RFC 3339 requires an offset.
    return not isinstance(value, str) or isoparse(value).tzinfo is not None


def json_schema(node: Any) -> Any:
    """Convert a schema from OpenAPI 3.0 to JSON Schema."""
    if isinstance(node, list):
        return [json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/components/schemas/", "#/$defs/")}
    converted = {key: json_schema(item) for key, item in node.items() if key != "nullable"}
    return {"anyOf": [converted, {"type": "null"}]} if node.get("nullable") is True else converted


_DEFINITIONS = json_schema(SCHEMAS)


@cache
def _validator(schema: str) -> Draft202012Validator:
    whole = {**json_schema(json.loads(schema)), "$defs": _DEFINITIONS}
    return Draft202012Validator(whole, format_checker=_FORMATS)


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """Return the violations of a schema by a value."""
    errors = _validator(json.dumps(schema)).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in errors]
