"""The grammar of refs: a branch, tag or commit id with modifiers, such as `main~2^1`."""

from __future__ import annotations

import re
from typing import NamedTuple

from lakefs_client.sandbox.errors import ApiError, bad_request

_PARTS = re.compile(r"(?:^|[~^@$])[^^~@$]*")
_NUMBER = re.compile(r"[+-]?[0-9]+")
# The numbers that Go's strconv.Atoi accepts. More digits are not worth converting.
_INT64 = range(-(1 << 63), 1 << 63)
_MAX_DIGITS = 19


class Modifier(NamedTuple):
    """A modifier: one of `~^@$`, and its number."""

    kind: str
    number: int


def invalid_ref(detail: str = "") -> ApiError:
    """Return the 400 error of real servers for a ref."""
    return bad_request(f"{detail}ref: invalid value: validation error")


def parse_ref(ref: str) -> tuple[str, list[Modifier]]:
    """Return the base and the modifiers of a ref."""
    base, *parts = _PARTS.findall(ref)
    if not base:
        raise invalid_ref()
    return base, [_parse_modifier(part) for part in parts]


def _parse_modifier(part: str) -> Modifier:
    kind, number = part[0], part[1:]
    if not number:
        return Modifier(kind, 1)
    if kind in "@$":
        raise invalid_ref()
    digits = number.lstrip("+-0")
    if (
        not _NUMBER.fullmatch(number)
        or len(digits) > _MAX_DIGITS
        or (value := int(number)) not in _INT64
    ):
        raise invalid_ref(f"could not parse modifier {part}: ")
    return Modifier(kind, value)
