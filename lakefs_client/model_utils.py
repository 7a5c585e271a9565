"""Helpers that code for older releases imports."""

from __future__ import annotations

import io
from datetime import date as date
from datetime import datetime as datetime
from functools import cached_property as cached_property
from functools import partial
from typing import TYPE_CHECKING, Any

from lakefs_client import _annotations, _kinds, _property, _schema, models
from lakefs_client._model import ListModel, Model, plain
from lakefs_client.exceptions import ApiAttributeError as ApiAttributeError
from lakefs_client.exceptions import ApiKeyError as ApiKeyError
from lakefs_client.exceptions import ApiTypeError as ApiTypeError
from lakefs_client.exceptions import ApiValueError as ApiValueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OpenApiModel = ModelNormal = ModelComposed = Model
ModelSimple = ListModel
file_type = io.IOBase
none_type = type(None)


def model_to_dict(model_instance: Model, serialize: bool = True) -> dict[str, Any]:
    """Return a model as a dict, with nested models as dicts.

    Args:
        model_instance: The model.
        serialize: True for JSON names, False for Python names.
    """
    result: dict[str, Any] = plain(model_instance, wire=serialize)
    return result


def validate_and_convert_types(
    input_value: Any,
    required_types_mixed: Any,
    path_to_item: Sequence[str | int],
    spec_property_naming: bool,
    _check_type: bool,
    configuration: object = None,
) -> Any:
    """Check a value against types, and make models of the dicts in it.

    Args:
        input_value: The value.
        required_types_mixed: The types, for instance ``(str,)`` or ``([Ref],)``.
        path_to_item: Position of the value, for messages.
        spec_property_naming: True if the names in dicts are JSON names.
        _check_type: False to skip the check of types.
        configuration: Any value but None permits dicts instead of models.

    Raises:
        ApiTypeError: A type is wrong.
    """
    kind = _annotations.kind_of(required_types_mixed, partial(getattr, models))
    path = tuple(path_to_item)
    if configuration is None and not spec_property_naming:
        if _check_type:
            kind.check(input_value, path)
        return input_value
    return kind.load(input_value, path, _kinds.Decoding(spec_property_naming, False, _check_type))


def check_allowed_values(
    allowed_values: Mapping[tuple[str, ...], Mapping[str, Any]],
    input_variable_path: tuple[str, ...],
    input_values: Any,
) -> None:
    """Check that a value, or each of several values, is allowed.

    Raises:
        ApiValueError: A value is not allowed.
    """
    allowed = tuple(allowed_values[input_variable_path].values())
    several = isinstance(input_values, (list, set, dict))
    for value in input_values if several else (input_values,):
        _property.check_enum(value, input_variable_path[0], allowed)


_LIMITS = {old: name for name, old in _schema.OLD_LIMITS.items()}


def check_validations(
    validations: Mapping[tuple[str, ...], Mapping[str, Any]],
    input_variable_path: tuple[str, ...],
    input_values: Any,
    configuration: Any = None,
) -> None:
    """Check a value against limits.

    Raises:
        ApiValueError: The value is outside a limit.
    """
    limits = {
        _LIMITS.get(limit, limit): bound["pattern"] if limit == "regex" else bound
        for limit, bound in validations[input_variable_path].items()
    }
    disabled = getattr(configuration, "disabled_validations", ())
    _property.check_limits(input_values, input_variable_path[0], limits, disabled)
