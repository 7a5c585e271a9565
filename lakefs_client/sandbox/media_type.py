"""Checks of Content-Type headers, with the messages of Go's mime package."""

from __future__ import annotations

import re

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TYPE = re.compile(_TOKEN)
_PARAMETER = re.compile(rf'\s*;\s*(?:{_TOKEN}\s*=\s*(?:{_TOKEN}|"(?:[^"\\]|\\.)*"))?')


def media_type_error(text: str) -> str | None:
    """Return the error message for a malformed Content-Type, or None."""
    base, semicolon, _ = text.partition(";")
    subtype = _TYPE.match(base.strip())
    if subtype is None:
        return "mime: no media type"
    rest = base.strip()[subtype.end() :]
    if rest.startswith("/"):
        subtype = _TYPE.match(rest[1:])
        if subtype is None:
            return "mime: expected token after slash"
        rest = rest[1 + subtype.end() :]
    if rest:
        return "mime: unexpected content after media subtype"
    parameters = text[len(base) :].rstrip()
    position = 0
    while semicolon and position < len(parameters):
        match = _PARAMETER.match(parameters, position)
        if match is None or (match[0].strip() == ";" and match.end() < len(parameters)):
            return "mime: invalid media parameter"
        position = match.end()
    return None
