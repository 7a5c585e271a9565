"""Encoding of arguments as path segments, queries, headers and JSON."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, quote_plus

from lakefs_client._model import Model
from lakefs_client.auth import require_header_safe
from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

USER_METADATA_HEADER = "x-lakefs-meta-"
"""Prefix of the headers that carry user metadata of an upload through the server."""


def path_segment(name: str, value: Any, safe: str = "") -> str:
    """Return an argument as one path segment, with all but letters, digits and ``_.-~`` escaped.

    Raises:
        ApiValueError: The segment is empty, ``.`` or ``..``.
    """
    text = text_of(value)
    for segment in text.split("/") if "/" in safe else (text,):
        if segment in ("", ".", ".."):
            raise ApiValueError(f"Invalid value for `{name}`, must not be empty, '.' or '..'")
    return quote_from_bytes(encoded(name, text), safe)


def text_of(value: Any) -> str:
    """Return a value as text: a member of ``class X(str, Enum)`` as its value, not its name."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def query(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return a query string. A list repeats its name. Booleans are ``true`` and ``false``."""
    return "&".join(
        f"{_query_name(name)}={_query_value(name, item)}"
        for name, value in pairs
        for item in (value if isinstance(value, (list, tuple)) else (value,))
    )


_query_name = lru_cache(maxsize=256)(quote_plus)


def _query_value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = date_text(value) if isinstance(value, (date, datetime)) else text_of(value)
    return quote_from_bytes(encoded(name, text), " ").replace(" ", "+")


def encoded(name: str, text: str) -> bytes:
    """Encode text in UTF-8. A lone surrogate raises an error."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ApiValueError(f"Invalid value for `{name}`, must be encodable as UTF-8") from None


def date_text(value: date) -> str:
    """Format in ISO 8601. A datetime without a zone is UTC, because RFC 3339 requires a zone."""
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=timezone.utc)
    return value.isoformat()


def user_metadata_headers(name: str, metadata: Any) -> dict[str, str]:
    """Return user metadata as the headers of an upload through the server."""
    pairs = checked_user_metadata(name, metadata)
    headers = {}
    for key, value in pairs.items():
        # A token of RFC 9110.
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key):
            raise ApiValueError(f"{name}: the key {key!r} cannot be a part of a header's name")
        safe = require_header_safe(f"{name}[{key!r}]", value)
        headers[f"{USER_METADATA_HEADER}{key}"] = safe
    return headers


def checked_user_metadata(name: str, metadata: Any) -> dict[str, str]:
    """Check user metadata and return a copy."""
    try:
        pairs = dict(metadata)
    except (TypeError, ValueError):
        raise ApiTypeError(f"{name} must be a dict of str, not {type(metadata).__name__}") from None
    for key, value in pairs.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ApiTypeError(f"{name} must be a dict of str: the item {key!r} is not")
        if not key or any(ord(c) < 32 or ord(c) == 127 for c in key + value):
            text = f"must not have empty keys or control characters: see the item {key!r}"
            raise ApiValueError(f"{name} {text}")
        encoded(name, key + value)
    return {text_of(key): text_of(value) for key, value in pairs.items()}


def to_json(value: Any) -> bytes:
    """Return the JSON of models, dicts, lists and primitives."""
    try:
        return _JSON.encode(value).encode("ascii")
    except ApiValueError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise ApiValueError(f"the body cannot be written as JSON: {error}") from error


def _jsonable(value: Any) -> Any:
    if isinstance(value, Model):
        return value._as_wire()
    if isinstance(value, (date, datetime)):
        return date_text(value)
    raise ApiValueError(f"Unable to prepare type {type(value).__name__} for serialization")


# A circle is found by the recursion limit as well; to remember every container and model costs
# more than to write it.
_JSON = json.JSONEncoder(
    default=_jsonable, allow_nan=False, check_circular=False, separators=(",", ":")
)
