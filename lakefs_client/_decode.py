"""Answers: from bytes to what a method returns, or an error that says what was wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lakefs_client._types import Primitive, Source
from lakefs_client.exceptions import ApiTypeError, InvalidAnswerError

if TYPE_CHECKING:
    from lakefs_client._types import Kind


def answer(
    response: Any, kind: Kind | None, *, check: bool, discard_unknown: bool, operation: str
) -> Any:
    """The result that an answer with a 2xx status stands for."""
    if kind is None or response.status == 204:
        return None
    try:
        if isinstance(kind, Primitive) and kind.classes == (str,):
            return _plain_text(response)
        data = json.loads(_text(response))
        return kind.load(data, ("received_data",), Source(True, discard_unknown, check))
    except ApiTypeError as error:
        raise InvalidAnswerError(response, operation, error) from None
    except (ValueError, LookupError, RecursionError) as error:
        found = "an empty body"
        if response.data:
            media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
            found = f"{len(response.data)} bytes of {media_type or 'no content type'} that are none"
        problem = ApiTypeError(f"JSON was due, {found} came")
        raise InvalidAnswerError(response, operation, problem) from error


def _text(response: Any) -> Any:
    """The body for `json`, which finds out the UTF itself unless a charset is named."""
    charset = _charset(response)
    data = response.data
    if isinstance(data, str) or charset in (None, "utf-8", "utf8"):
        return data
    return data.decode(charset)


def _plain_text(response: Any) -> str:
    data = response.data
    text: str = data if isinstance(data, str) else data.decode(_charset(response) or "utf-8")
    if "json" in (response.headers.get("Content-Type") or ""):
        value = json.loads(text)
        if isinstance(value, str):
            return value
    return text


def _charset(response: Any) -> str | None:
    content_type = response.headers.get("Content-Type") or ""
    if "=" not in content_type:
        return None
    match = re.search(r"charset=[\"']?([\w.:-]+)", content_type, re.IGNORECASE)
    return match[1].lower() if match else None
