"""Addresses of the form ``lakefs://REPOSITORY/REF/PATH``.

The addresses mean what they mean to lakectl: percent escapes are decoded before the address is
split at its first slashes. Unlike lakectl, ``?`` and ``#`` belong to the path, and a ``%``
that begins no escape is literal. So every key has an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lakefs_client._redact import redact
from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from typing_extensions import Self

_FORM = "lakefs://REPOSITORY/REF/PATH"
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
# lakectl reads every other character of a path as it is.
_ESCAPED = re.compile(r"[\s%?#\x00-\x1f\x7f]")


@dataclass(frozen=True, order=True)
class Address:
    """A repository, a ref in it, or a path under that ref.

    ``lakefs://repo/main`` has no path, and ``lakefs://repo/main/`` an empty one.

    Attributes:
        repository: Name of the repository.
        ref: Branch, tag, commit id, or an expression such as ``main~1``; None without one.
        path: Key of an object or prefix of keys; None without one.

    Raises:
        ApiTypeError: A part is not a str.
        ApiValueError: A part cannot be written in an address, or the path has no ref.
    """

    repository: str
    ref: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        _check_part("repository", self.repository)
        if self.ref is not None:
            _check_part("ref", self.ref)
        if self.path is not None:
            _check_type("path", self.path)
            if self.ref is None:
                raise ApiValueError(f"path without a ref: got {self.path!r}, expected a ref too")

    @classmethod
    def parse(cls, address: str) -> Self:
        """Return the parts of an address.

        Raises:
            ApiTypeError: The address is not a str.
            ApiValueError: The address does not have the form of one.
        """
        if not isinstance(address, str):
            raise ApiTypeError(f"address must be a str, not {type(address).__name__}")
        scheme, separator, rest = address.partition("://")
        if not separator or scheme.lower() != "lakefs":
            raise ApiValueError(f"not a lakeFS address: got {_shown(address)}, expected {_FORM}")
        try:
            repository, *others = unquote(rest, errors="strict").split("/", 2)
        except UnicodeDecodeError:
            text = f"invalid escapes in an address: got {_shown(address)}, expected UTF-8"
            raise ApiValueError(text) from None
        if not _REPOSITORY.fullmatch(repository):
            raise ApiValueError(
                f"invalid repository name in an address: got {_shown(repository)}, expected "
                f"3 to 63 lowercase letters, digits and hyphens, as in {_FORM}"
            )
        if others == [""]:  # lakectl tolerates a slash after the repository
            others = []
        return cls(repository, *others)

    def object(self) -> ObjectRef:
        """Return the object at this address.

        Raises:
            ApiValueError: The address has no ref, or no path.
        """
        if self.ref is None or not self.path:
            missing = "ref" if self.ref is None else "path"
            raise ApiValueError(f"address without a {missing}: got '{self}', expected {_FORM}")
        return ObjectRef(self.repository, self.ref, self.path)

    def __str__(self) -> str:
        parts = (part for part in (self.repository, self.ref, self.path) if part is not None)
        return "lakefs://" + "/".join(_ESCAPED.sub(_escape, part) for part in parts)


@dataclass(frozen=True, order=True)
class ObjectRef:
    """One object: a repository, a ref in it, and the object's path under that ref.

    ``str()`` returns its address, from which `parse` makes an equal value.

    Attributes:
        repository: Name of the repository.
        ref: Branch, tag, commit id, or an expression such as ``main~1``.
        path: Key of the object.

    Raises:
        ApiTypeError: A part is not a str.
        ApiValueError: A part cannot be written in an address.
    """

    repository: str
    ref: str
    path: str

    def __post_init__(self) -> None:
        _check_part("repository", self.repository)
        _check_part("ref", self.ref)
        _check_type("path", self.path)

    @classmethod
    def parse(cls, address: str) -> Self:
        """Return the object that an address names.

        Raises:
            ApiTypeError: The address is not a str.
            ApiValueError: The address does not have the form of one, or names no object.
        """
        found = Address.parse(address).object()
        return cls(found.repository, found.ref, found.path)

    def __str__(self) -> str:
        return str(Address(self.repository, self.ref, self.path))


def _check_type(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise ApiTypeError(f"{name} must be a str, not {type(value).__name__}")


def _check_part(name: str, value: str) -> None:
    """Refuse a repository or ref that an address cannot hold."""
    _check_type(name, value)
    if not value or "/" in value or re.search(r"\s", value):
        raise ApiValueError(f"invalid {name}: got {value!r}, expected a name without / and spaces")


def _escape(match: re.Match[str]) -> str:
    return quote(match[0], safe="")


def _shown(text: str) -> str:
    """Return text for a message, without what could be a password."""
    authority = text.rpartition("://")[2].partition("/")[0]
    return "user information" if "@" in authority else redact(repr(text))
