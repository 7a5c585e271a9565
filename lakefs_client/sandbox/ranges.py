"""Range headers, with the rules of lakeFS and S3."""

from __future__ import annotations

import re

_SPEC = re.compile(r"bytes=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*")
# Longer numbers exceed Go's int64.
_MAX_DIGITS = 18


class MalformedRange(ValueError):
    """The header is not a single range of bytes. S3 ignores the header."""


class InvertedRange(ValueError):
    """The range ends before it starts."""


class UnsatisfiableRange(ValueError):
    """The range selects no byte of the object."""


def parse_range(text: str | None, size: int) -> tuple[int, int]:
    """Return the selected bytes of an object of `size` bytes, from start up to stop, exclusive."""
    if text is None:
        return 0, size
    match = _SPEC.fullmatch(text)
    first, last = match.groups() if match else ("", "")
    if not (first or last) or max(len(first), len(last)) > _MAX_DIGITS:
        raise MalformedRange(text)
    if not first:
        if int(last) == 0:
            raise UnsatisfiableRange(text)
        return max(size - int(last), 0), size
    start, stop = int(first), int(last) + 1 if last else size
    if last and start >= stop:
        raise InvertedRange(text)
    if start >= size:
        raise UnsatisfiableRange(text)
    return start, min(stop, size)
