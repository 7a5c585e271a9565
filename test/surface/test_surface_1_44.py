"""Names, modules, argument order and request layout that code for 1.44 relies on."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import lakefs_client
from lakefs_client import apis, models
from lakefs_client._security import ALL_SCHEMES
from surface.document import snake

SURFACE = json.loads(Path(__file__).with_name("surface_1_44.json").read_text("utf-8"))
"""Arguments have the form ``name@place=wire``. The wire name is there if it differs."""

# Intentional differences.
PLACES = {
    # The body is the bytes themselves. 1.44 built a form in memory.
    ("upload_object", "content"): "upload",
}
REQUIRED = {
    # Servers always send these properties. 1.44 had no required ones.
    "PullRequest": [
        "status",
        "title",
        "id",
        "creation_date",
        "author",
        "source_branch",
        "destination_branch",
    ],
}
TYPES = {
    # Servers accept and send one object. The client still accepts a list, as in 1.44.
    ("ExternalPrincipal", "settings"): "ExternalPrincipalSettings",
    ("ExternalPrincipalCreation", "settings"): "list[ExternalPrincipalSettings | dict | list]",
}

each_operation = pytest.mark.parametrize("name", SURFACE["operations"])
each_model = pytest.mark.parametrize("name", SURFACE["models"])


def arguments(declared: list[str]) -> dict[str, tuple[str, str]]:
    """Return the place and the wire name of each argument."""
    split = [re.fullmatch(r"(\w+)@(\w+)(?:=(.+))?", text) for text in declared]
    return {m[1]: (m[2], m[3] or m[1]) for m in split if m}


@pytest.fixture(scope="module")
def client() -> lakefs_client.ApiClient:
    return lakefs_client.ApiClient()  # makes no calls


def test_api_class_is_in_its_module() -> None:
    for api, module in SURFACE["apis"].items():
        cls = getattr(importlib.import_module(f"lakefs_client.api.{module}"), api)
        assert cls is getattr(apis, api)


@each_operation
def test_method_keeps_order_of_arguments(name: str) -> None:
    old = SURFACE["operations"][name]
    for api in old["in"]:
        _, *parameters = inspect.signature(getattr(getattr(apis, api), name)).parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        assert positional == list(arguments(old.get("required", [])))
        assert keywords >= arguments(old.get("optional", [])).keys()


@each_operation
def test_arguments_keep_their_place_in_the_request(
    client: lakefs_client.ApiClient, name: str
) -> None:
    old = SURFACE["operations"][name]
    for api in old["in"]:
        endpoint = getattr(getattr(apis, api)(client), f"{name}_endpoint")
        method, path = old["http"].split(" ")
        assert endpoint.settings["http_method"] == method
        assert endpoint.settings["endpoint_path"] == re.sub(
            r"\w+(?=})", lambda found: snake(found[0]), path
        )
        assert endpoint.settings["auth"] == list(ALL_SCHEMES if old.get("auth", True) else ())
        for argument, (place, wire) in arguments(
            [*old.get("required", []), *old.get("optional", [])]
        ).items():
            assert endpoint.location_map[argument] == PLACES.get((name, argument), place)
            # Names of path arguments are not sent, so they are the method's own.
            expected = argument if place == "path" else wire
            assert endpoint.attribute_map.get(argument, argument) == expected


@each_operation
def test_method_keeps_result_type(client: lakefs_client.ApiClient, name: str) -> None:
    old = SURFACE["operations"][name]
    for api in old["in"]:
        endpoint = getattr(getattr(apis, api)(client), f"{name}_endpoint")
        found = endpoint.settings["response_type"]
        assert text_of(found or ()) == old.get("returns", "")


def text_of(declared: Any) -> str:
    """Return a type in the file's notation."""
    if isinstance(declared, tuple):
        if len(declared) > 3:
            return "Any"
        return " | ".join(map(text_of, declared))
    if isinstance(declared, list):
        return f"list[{text_of(tuple(declared))}]"
    if isinstance(declared, dict):
        (of,) = declared.values()
        return f"dict[str, {text_of(of)}]"
    names = {type(None): "None", io.IOBase: "file", datetime: "datetime"}
    return names.get(declared, declared.__name__)


@each_model
def test_model_keeps_properties_and_types(name: str) -> None:
    old = SURFACE["models"][name]
    cls = getattr(importlib.import_module(f"lakefs_client.model.{old['module']}"), name)
    assert cls is getattr(models, name)
    required = [prop for prop, p in cls._schema().properties.items() if p.required]
    assert required == REQUIRED.get(name, old.get("required", []))
    types = {prop: text_of(of) for prop, of in cls.openapi_types.items()}
    for prop, of in old.get("types", {}).items():
        assert types[prop] == TYPES.get((name, prop), of)
        assert cls.attribute_map[prop] == old.get("wire", {}).get(prop, prop)
    for prop, values in old.get("allowed_values", {}).items():
        assert set(cls.allowed_values[(prop,)].values()) >= set(values)
    for prop, limits in old.get("validations", {}).items():
        assert cls.validations[(prop,)] == limits
