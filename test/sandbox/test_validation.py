"""Requests that do not match the API document, and coverage of its operations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lakefs_client.sandbox
from lakefs_client.sandbox import Sandbox

from .client import HttpClient

DOCUMENT = Path(lakefs_client.sandbox.__file__).with_name("openapi.json")
OPERATIONS = json.loads(DOCUMENT.read_text(encoding="utf-8"))["operations"]
OBJECTS = "/repositories/repo/branches/main/objects"


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/repositories?amount=1001", None, "number must be at most 1000"),
        ("GET", "/repositories?amount=x", None, "value x: an invalid integer: invalid syntax"),
        ("GET", "/repositories?amount=", None, "empty value is not allowed"),
        ("POST", "/repositories?bare=yes", {}, "value yes: an invalid boolean: invalid syntax"),
        ("POST", "/repositories", None, "request body has an error: value is required but missing"),
        ("POST", "/repositories", {"name": 1}, 'Error at "/name": value must be a string'),
        ("POST", "/repositories", [], "value must be an object"),
        ("POST", "/repositories/repo/tags", {"id": None}, 'Error at "/id": Value is not nullable'),
        (
            "POST",
            "/repositories/repo/metadata",
            {"metadata": {"k": 1}},
            'Error at "/metadata/k": value must be a string',
        ),
        (
            "PUT",
            "/repositories/repo/settings/branch_protection",
            [{"pattern": "x"}, {"pattern": ""}],
            'Error at "/1/pattern": minimum string length is 1',
        ),
        (
            "PUT",
            "/repositories/repo/branches/main/staging/pmpu/u/parts/1/copy?path=x",
            {"physical_address": "x"},
            'Error at "/copy_source": property "copy_source" is missing',
        ),
        (
            "POST",
            "/repositories/repo/commits",
            {"version": True},
            'Error at "/version": value must be an integer',
        ),
        (
            "GET",
            "/repositories/repo/pulls?status=x",
            None,
            'allowed values ["open","closed","all"]',
        ),
    ],
)
def test_invalid_value_is_rejected(
    client: HttpClient, method: str, path: str, body: Any, message: str
) -> None:
    status, text = client.error(method, path, body)
    assert status == 400
    assert message in text.partition("\nSchema:")[0]


def test_invalid_body_is_rejected(client: HttpClient) -> None:
    place = "/repositories"
    status, message = client.error(
        "POST", place, raw=b"{", headers={"Content-Type": "application/json"}
    )
    assert (status, message[:56]) == (
        400,
        "request body has an error: failed to decode request body",
    )
    status, message = client.error("POST", place, raw=b"{}", headers={"Content-Type": "text/x"})
    assert message.endswith('header Content-Type has unexpected value "text/x"')
    range_header = {"Range": "lines=1"}
    path = "/repositories/repo/refs/main/objects?path=x"
    status, message = client.error("GET", path, headers=range_header)
    assert message.startswith('parameter "Range" in header has an error: string doesn\'t match')


def test_message_shows_schema_and_value(client: HttpClient) -> None:
    _, message = client.error("GET", "/repositories?amount=-5")
    assert message == (
        'parameter "amount" in query has an error: number must be at least -1\n'
        'Schema:\n  {\n    "default": 100,\n    "maximum": 1000,\n    "minimum": -1,\n'
        '    "type": "integer"\n  }\n\nValue:\n  -5\n'
    )


def test_unexpected_body_is_ignored(client: HttpClient) -> None:
    client.ok("PUT", "/repositories/repo/refs/dump", {"any": "thing"})


def test_unknown_properties_are_accepted(client: HttpClient) -> None:
    client.ok("POST", "/repositories/repo/tags", {"id": "v1", "ref": "main", "new": [1]})


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation["id"])
def test_every_operation_answers(sandbox: Sandbox, operation: dict[str, Any]) -> None:
    client = HttpClient(sandbox)
    path = operation["path"].replace("{partNumber}", "1").replace("{type}", "range")
    for name in ("{repository}", "{branch}", "{ref}"):
        path = path.replace(name, "none")
    path = path.replace("{", "").replace("}", "")
    query = {
        parameter["name"]: "x"
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and parameter["required"]
    }
    body = example(operation.get("body", {}).get("content", {}).get("application/json"))
    response = client.call(operation["method"], path, body, query=query)
    text = response.json()["message"] if response.status >= 400 and response.data else ""
    assert "not implemented by the sandbox" not in text
    assert response.status != 500, text
    assert sandbox.requests[-1].operation == operation["id"]
    client.close()


def example(schema: dict[str, Any] | None) -> Any:
    """Return a minimal value that matches a schema."""
    if schema is None:
        return None
    if "$ref" in schema:
        schemas = json.loads(DOCUMENT.read_text(encoding="utf-8"))["schemas"]
        return example(schemas[schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema:
        return {key: value for part in schema["allOf"] for key, value in example(part).items()}
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        properties = schema.get("properties", {})
        return {name: example(properties[name]) for name in schema.get("required", ())}
    if schema["type"] == "array":
        return [example(schema["items"])] * schema.get("minItems", 0)
    if schema.get("pattern", "").startswith("^(s3"):
        return "s3://sandbox/x"
    return {"string": "abc", "integer": 1, "boolean": False}[schema["type"]]
