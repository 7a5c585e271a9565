"""spec/lakefs.yaml is valid OpenAPI 3.0, in our own words, and the code is generated from it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from surface.document import GROUPS, METHODS, RAW, ROOT, SCHEMAS, deref
from surface.values import problems

VENDOR = ROOT.parent / "shared" / "spec"
RUN = 10
"""Number of successive words that count as a copy."""

RAW_OPERATIONS = [
    (path, method, operation)
    for path, methods in RAW["paths"].items()
    for method, operation in methods.items()
]
# Schema keywords of OpenAPI that the document uses, and our own.
KEYWORDS = {
    "$ref", "additionalProperties", "allOf", "default", "deprecated", "description", "enum",
    "example", "format", "items", "maximum", "minItems", "minLength", "minimum", "nullable",
    "pattern", "properties", "required", "type", "x-details", "x-merged", "x-secret",
}  # fmt: skip


def walk(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every node of the document with its path."""
    yield path, node
    if isinstance(node, dict):
        for key, item in node.items():
            yield from walk(item, (*path, key))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from walk(item, (*path, index))


NODES = list(walk(RAW))


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema of the document with its path."""
    for path, node in NODES:
        named = path[:2] == ("components", "schemas")
        steps = path[2:] if named else path[path.index("schema") :] if "schema" in path else ()
        if not steps or not isinstance(node, dict) or "example" in steps:
            continue
        inside = list(steps[1:])
        while inside:
            step = inside.pop(0)
            if step == "properties":
                if not inside:
                    break  # the table of properties is not a schema
                inside.pop(0)
            elif step == "allOf":
                if not inside:
                    break
                inside.pop(0)
            elif step not in ("items", "additionalProperties"):
                break
        else:
            yield ".".join(map(str, path)), node


SCHEMA_NODES = dict(schemas())


def test_document_states_its_openapi_version() -> None:
    assert re.fullmatch(r"3\.0\.\d", RAW["openapi"])
    assert RAW["info"]["title"]
    assert RAW["info"]["version"]
    assert [server["url"] for server in RAW["servers"]] == ["http://localhost/api/v1"]


def test_references_resolve() -> None:
    references = [node["$ref"] for _, node in NODES if isinstance(node, dict) and "$ref" in node]
    assert references
    for reference in references:
        assert reference.startswith("#/components/")
        assert deref({"$ref": reference})


def test_components_are_used() -> None:
    used = {node["$ref"] for _, node in NODES if isinstance(node, dict) and "$ref" in node}
    unused = {
        name
        for kind in ("parameters", "responses", "schemas")
        for name in RAW["components"][kind]
        if f"#/components/{kind}/{name}" not in used
    }
    # Unused models of 1.44 remain importable.
    assert unused == {
        "ErrorNoACL",
        "MetaRangeCreation",
        "MetaRangeCreationResponse",
        "UpdateToken",
    }


def test_security_schemes_are_declared() -> None:
    named = [name for choice in RAW["security"] for name in choice]
    assert sorted(named) == sorted(RAW["components"]["securitySchemes"])


def test_operation_ids_are_unique() -> None:
    ids = Counter(operation["operationId"] for _, _, operation in RAW_OPERATIONS)
    assert [name for name, count in ids.items() if count > 1] == []


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    RAW_OPERATIONS,
    ids=[o["operationId"] for *_, o in RAW_OPERATIONS],
)
def test_operation_is_complete(path: str, method: str, operation: dict[str, Any]) -> None:
    assert method in METHODS
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    assert set(operation["tags"]) <= set(GROUPS)
    assert operation["tags"]
    parameters = [deref(parameter) for parameter in operation.get("parameters", ())]
    places = Counter((parameter["in"], parameter["name"]) for parameter in parameters)
    assert max(places.values(), default=1) == 1
    in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    for parameter in parameters:
        assert parameter["in"] in ("path", "query", "header")
        assert parameter["in"] != "path" or parameter["required"] is True
        assert "schema" in parameter
    for code, response in operation["responses"].items():
        assert re.fullmatch(r"[1-5]\d\d|default", code)
        assert deref(response)["description"]
    if "requestBody" in operation:
        assert operation["requestBody"]["content"]


def test_walk_finds_nested_schemas() -> None:
    assert len(SCHEMA_NODES) > 3 * len(SCHEMAS)


def test_schemas_are_well_formed() -> None:
    for place, schema in SCHEMA_NODES.items():
        # OpenAPI 3.0 is based on draft 4 of JSON Schema.
        Draft4Validator.check_schema(schema)
        assert schema.keys() <= KEYWORDS, place
        assert schema.keys() & {"$ref", "allOf", "type", "required"}, place
        assert "$ref" not in schema or schema.keys() == {"$ref"}, f"{place}: keys beside $ref"
        assert schema.get("type") != "array" or "items" in schema, place
        if "properties" in schema:
            assert set(schema.get("required", ())) <= schema["properties"].keys(), place
        if "default" in schema:
            assert problems(schema, schema["default"]) == [], place


@pytest.mark.parametrize("model", SCHEMAS)
def test_model_has_a_description_and_a_valid_example(model: str) -> None:
    schema = SCHEMAS[model]
    assert schema["description"]
    if "example" in schema:
        assert problems({"$ref": f"#/components/schemas/{model}"}, schema["example"]) == []


def test_generated_files_are_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@pytest.mark.skipif(not VENDOR.exists(), reason="the vendor's documents are not beside this one")
def test_prose_is_not_copied_from_the_vendor() -> None:
    """Compare prose only. Names, paths and types are facts."""
    theirs: set[tuple[str, ...]] = set()
    documents: list[Path] = sorted(VENDOR.glob("*.yml"))
    assert documents
    for document in documents:
        found = words(document.read_text("utf-8"))
        theirs.update(zip(*(found[i:] for i in range(RUN))))
    copied = [
        ".".join(map(str, path))
        for path, node in NODES
        if path and path[-1] in ("description", "summary", "title") and isinstance(node, str)
        if theirs.intersection(zip(*(words(node)[i:] for i in range(RUN))))
    ]
    assert copied == []
