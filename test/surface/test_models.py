"""Every schema of the document is a model class with the documented properties."""

from __future__ import annotations

import importlib
import io
from datetime import datetime
from typing import Any

import pytest

import lakefs_client
from lakefs_client import ApiTypeError, ApiValueError, models
from surface.document import SCHEMAS, limits, members, model_of, snake
from surface.values import problems, python, sample, sample_of_model

LISTS = sorted(name for name, schema in SCHEMAS.items() if schema.get("type") == "array")
MAPS = sorted(name for name, schema in SCHEMAS.items() if "additionalProperties" in schema)
OBJECTS = sorted(SCHEMAS.keys() - {*LISTS, *MAPS})
PROPERTIES = [
    (model, name, schema) for model in OBJECTS for name, schema in members(model).properties.items()
]
each_object = pytest.mark.parametrize("model", OBJECTS)


def built(model: str, *, full: bool = True) -> tuple[Any, Any]:
    """Return a model and its JSON."""
    value = sample_of_model(model, full=full)
    return python({"$ref": f"#/components/schemas/{model}"}, value), value


def test_models_match_the_schemas() -> None:
    assert sorted(models.__all__) == sorted(SCHEMAS)


@pytest.mark.parametrize("model", SCHEMAS)
def test_model_has_its_own_module(model: str) -> None:
    module = importlib.import_module(f"lakefs_client.model.{snake(model)}")
    cls = getattr(models, model)
    assert getattr(module, model) is cls
    assert cls.__name__ == model
    assert cls.__doc__


@each_object
def test_attribute_map_matches_the_schema(model: str) -> None:
    expected = {snake(name): name for name in members(model).properties}
    assert list(getattr(models, model).attribute_map.items()) == list(expected.items())


FORMATS: dict[str, tuple[type, ...]] = {"date-time": (datetime,), "binary": (io.IOBase,)}


def types(schema: dict[str, Any]) -> tuple[Any, ...]:
    """Return a type as ``openapi_types`` shows it."""
    name = model_of(schema)
    found: tuple[Any, ...]
    if name is not None:
        found = (getattr(models, name),)
    elif schema["type"] == "array":
        found = ([*types(schema["items"])],)
    elif schema["type"] == "object":
        entries = schema.get("additionalProperties")
        anything = (bool, dict, float, int, list, str, type(None))
        found = ({str: types(entries) if entries else anything},)
    elif schema.get("format") in FORMATS:
        found = FORMATS[schema["format"]]
    else:
        found = ({"string": str, "integer": int, "boolean": bool, "number": float}[schema["type"]],)
    return (*found, type(None)) if schema.get("nullable") else found


@each_object
def test_openapi_types_match_the_schema(model: str) -> None:
    declared = dict(getattr(models, model).openapi_types)
    expected = {snake(name): types(of) for name, of in members(model).properties.items()}
    for name, schema in members(model).properties.items():
        if schema.get("x-merged"):  # also accepts a dict and a list of models
            assert types(schema)[0] in declared.pop(snake(name))[0]
            del expected[snake(name)]
    assert declared == expected


@each_object
@pytest.mark.parametrize("full", [True, False], ids=["every property", "required only"])
def test_model_keeps_and_sends_its_values(model: str, full: bool) -> None:
    instance, value = built(model, full=full)
    assert problems({"$ref": f"#/components/schemas/{model}"}, value) == []
    assert lakefs_client.ApiClient.sanitize_for_serialization(instance) == value
    for name, schema in members(model).properties.items():
        if name in value:
            assert instance[snake(name)] == python(schema, value[name])
            assert getattr(instance, snake(name)) == python(schema, value[name])
        else:
            # The client does not send server defaults.
            assert snake(name) not in instance
            assert not hasattr(instance, snake(name))


@each_object
def test_only_required_properties_are_positional(model: str) -> None:
    cls = getattr(models, model)
    declared = members(model)
    value = sample_of_model(model, full=False)
    given = [
        python(schema, value[name])
        for name, schema in declared.properties.items()
        if name in declared.required
    ]
    assert cls(*given) == built(model, full=False)[0]
    with pytest.raises(TypeError, match="positional"):
        cls(*given, "one more")
    for left_out in declared.required:
        others = {snake(n): python(declared.properties[n], v) for n, v in value.items()}
        del others[snake(left_out)]
        with pytest.raises(TypeError, match=snake(left_out)):
            cls(**others)


WRONG: dict[str, list[Any]] = {
    "string": [7, True, b"x", None, ["x"]],
    "date-time": ["2024-02-29T12:30:45Z", 7, None],
    "integer": ["7", 7.5, True, None],
    "boolean": ["true", 1, None],
    "number": ["0.5", True, None],
    "array": ["x", {"k": "x"}, None, [object()]],
    "object": ["x", ["x"], None, {7: "x"}],
    "binary": [],  # checked when the client sends the file
    "model": ["x", 7, None, {"k": "x"}, io.BytesIO()],
}


def wrong_for(schema: dict[str, Any]) -> list[Any]:
    """Yield values whose type differs from the schema's."""
    kind = "model" if model_of(schema) else schema.get("format", schema.get("type"))
    values = WRONG[kind if kind in WRONG else schema["type"]]
    if schema.get("x-merged"):
        values = ["x", 7, None, {"k": 7}, [7]]
    return [v for v in values if v is not None or not schema.get("nullable")]


@pytest.mark.parametrize(
    ("model", "name", "schema"), PROPERTIES, ids=[f"{m}.{n}" for m, n, _ in PROPERTIES]
)
def test_property_rejects_other_types(model: str, name: str, schema: dict[str, Any]) -> None:
    instance, value = built(model)
    required = getattr(models, model)._schema().properties[snake(name)].required
    for wrong in wrong_for(schema):
        if wrong is None and not required:
            continue  # the property is not given
        with pytest.raises(ApiTypeError, match=snake(name)):
            instance[snake(name)] = wrong
        with pytest.raises(ApiTypeError):
            setattr(instance, snake(name), wrong)
        others = {snake(n): python(members(model).properties[n], v) for n, v in value.items()}
        with pytest.raises(ApiTypeError):
            getattr(models, model)(**{**others, snake(name): wrong})
    assert lakefs_client.ApiClient.sanitize_for_serialization(instance) == value


LIMITED = [(m, n, s) for m, n, s in PROPERTIES if limits(s)]
CHOSEN = [(m, n, s) for m, n, s in PROPERTIES if "enum" in s]
OUTSIDE = {
    "minimum": lambda bound: bound - 1,
    "maximum": lambda bound: bound + 1,
    "minLength": lambda bound: "x" * (bound - 1),
    "minItems": lambda bound: [],
    "pattern": lambda bound: "!",
}


@pytest.mark.parametrize(
    ("model", "name", "schema"), LIMITED, ids=[f"{m}.{n}" for m, n, _ in LIMITED]
)
def test_property_enforces_its_limits(model: str, name: str, schema: dict[str, Any]) -> None:
    instance, _ = built(model)
    for keyword, bound in limits(schema).items():
        with pytest.raises(ApiValueError, match=snake(name)):
            instance[snake(name)] = OUTSIDE[keyword](bound)
        if keyword in ("minimum", "maximum"):
            instance[snake(name)] = bound
            assert instance[snake(name)] == bound
    legacy = {
        "minimum": "inclusive_minimum",
        "maximum": "inclusive_maximum",
        "minLength": "min_length",
        "minItems": "min_items",
        "pattern": "regex",
    }
    assert getattr(models, model).validations[(snake(name),)] == {
        legacy[keyword]: {"pattern": bound} if keyword == "pattern" else bound
        for keyword, bound in limits(schema).items()
    }


@pytest.mark.parametrize(
    ("model", "name", "schema"), CHOSEN, ids=[f"{m}.{n}" for m, n, _ in CHOSEN]
)
def test_property_accepts_only_listed_values(model: str, name: str, schema: dict[str, Any]) -> None:
    instance, _ = built(model)
    for choice in schema["enum"]:
        instance[snake(name)] = choice
    with pytest.raises(ApiValueError, match="must be one of"):
        instance[snake(name)] = "none-of-them"
    allowed = getattr(models, model).allowed_values[(snake(name),)]
    assert list(allowed.values()) == schema["enum"]


def test_other_properties_have_no_limits() -> None:
    for model in OBJECTS:
        cls = getattr(models, model)
        assert set(cls.validations) == {(snake(n),) for m, n, _ in LIMITED if m == model}
        assert set(cls.allowed_values) == {(snake(n),) for m, n, _ in CHOSEN if m == model}


@pytest.mark.parametrize("model", MAPS)
def test_map_accepts_any_names_with_values_of_one_type(model: str) -> None:
    cls = getattr(models, model)
    entries = SCHEMAS[model]["additionalProperties"]
    value = {name: sample(entries) for name in ("a", "get", "to_dict", "ä b")}
    instance = cls(**value)
    assert lakefs_client.ApiClient.sanitize_for_serialization(instance) == value
    assert instance.to_dict() == value
    assert instance.get("nothing") is None
    with pytest.raises(ApiTypeError):
        cls(a=7)


@pytest.mark.parametrize("model", LISTS)
def test_list_contains_models_of_one_class(model: str) -> None:
    value = sample(SCHEMAS[model])
    instance = python(SCHEMAS[model], value)
    listed = getattr(models, model)(instance)
    assert isinstance(listed, list)
    assert lakefs_client.ApiClient.sanitize_for_serialization(listed) == value


SECRETS = [(m, n) for m, n, s in PROPERTIES if s.get("x-secret")]


def test_document_marks_secret_properties() -> None:
    assert {name for _, name in SECRETS} == {
        "code",
        "gc_commits_presigned_url",
        "identityRequest",
        "secret_access_key",
        "state",
        "token",
    }


@pytest.mark.parametrize(("model", "name"), SECRETS, ids=[".".join(pair) for pair in SECRETS])
def test_repr_hides_secrets(model: str, name: str) -> None:
    instance, value = built(model)
    instance[snake(name)] = "the-secret" if isinstance(value[name], str) else {"x": "the-secret"}
    for text in (repr(instance), str(instance), instance.to_str(), f"{[instance]}"):
        assert snake(name) in text
        assert "the-secret" not in text
    assert "the-secret" in str(instance.to_dict())
