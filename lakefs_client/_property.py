"""Properties of models and parameters of operations, and the limits of their values."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client._kinds import Free, Nullable
from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from lakefs_client._kinds import Kind


class Property(NamedTuple):
    """A property of a model, or a parameter of an operation.

    Attributes:
        name: Name in Python.
        wire: Name in JSON, the query or the headers.
        limits: Limits, as for `check_limits`.
        place: Place of an operation's parameter in the request.
    """

    name: str
    wire: str
    kind: Kind
    required: bool
    limits: Mapping[str, Any]
    place: str = ""

    def is_absent(self, value: Any) -> bool:
        """Return True for a None that means that an optional value is not given."""
        if value is not None or self.required or self.place == "upload":
            return False
        return not isinstance(self.kind, (Nullable, Free))

    def check(self, value: Any, *, types: bool = True, disabled: Container[str] = ()) -> None:
        """Raise an error if a caller's value has the wrong type or is not allowed."""
        if types:
            self.kind.check(value, (self.name,))
            if value is None:
                return  # which the type allows
        if self.kind.enum:
            check_enum(value, self.name, self.kind.enum)
        check_limits(value, self.name, self.limits, disabled)


def check_limits(
    value: Any, name: str, limits: Mapping[str, Any], disabled: Container[str]
) -> None:
    """Check a caller's value: minimum, maximum, min_length, min_items, pattern."""
    for limit, bound in limits.items():
        switch, fits, text = _LIMITS[limit]
        if switch not in disabled and not fits(value, bound):
            raise ApiValueError(f"Invalid value for `{name}`, {text} `{bound}`")


def _is_long_enough(value: Any, bound: int) -> bool:
    return len(value) >= bound


# What `disabled_client_side_validations` calls each limit, the check, and what to say.
_LIMITS: dict[str, tuple[str, Callable[[Any, Any], object], str]] = {
    "minimum": ("minimum", operator.ge, "must be a value greater than or equal to"),
    "maximum": ("maximum", operator.le, "must be a value less than or equal to"),
    "min_length": ("minLength", _is_long_enough, "length must be greater than or equal to"),
    "min_items": ("minItems", _is_long_enough, "number of items must be greater than or equal to"),
    "pattern": ("pattern", lambda v, b: re.search(b, v), "must match regular expression"),
}


def check_enum(value: Any, name: str, allowed: tuple[Any, ...]) -> None:
    """Check that a caller's value is one of the allowed values."""
    if value not in allowed:
        raise ApiValueError(f"Invalid value for `{name}` ({value}), must be one of {list(allowed)}")
