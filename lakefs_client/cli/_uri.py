"""Places on the command line: lakefs:// addresses, local paths, and - for a stream."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from lakefs_client.cli._errors import UsageError
from lakefs_client.uri import Address, ObjectRef

SCHEME = "lakefs://"
# A letter alone is a drive of Windows.
_SOME_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Ref(NamedTuple):
    """A branch, tag or commit of a repository."""

    repository: str
    name: str

    def __str__(self) -> str:
        return str(Address(self.repository, self.name))


class Local(NamedTuple):
    """A path of this machine."""

    path: str

    def __str__(self) -> str:
        return self.path


class Stream(NamedTuple):
    """Stdin or stdout."""

    def __str__(self) -> str:
        return "-"


Place = ObjectRef | Local | Stream


def place(text: str) -> Place:
    r"""Parse a source or target. A drive letter, as in ``C:\x``, makes a local path."""
    if text == "-":
        return Stream()
    if _is_address(text):
        return prefix(text)
    if _SOME_SCHEME.match(text):
        raise UsageError(
            f"got {text!r}, expected lakefs://REPOSITORY/REF/PATH, a local path (as ./{text}) or -"
        )
    if not text:
        raise UsageError("got an empty text, expected lakefs://…, a local path or -")
    return Local(text)


def repository(text: str) -> str:
    """Parse lakefs://REPOSITORY and return the name."""
    form = "lakefs://REPOSITORY"
    address = _parse(text, form)
    if address.ref is not None:
        raise UsageError(f"got {text!r}, expected {form} and nothing after it")
    return address.repository


def ref(text: str) -> Ref:
    """Parse lakefs://REPOSITORY/REF."""
    form = "lakefs://REPOSITORY/REF"
    address = _parse(text, form)
    if address.ref is None or address.path:
        raise UsageError(f"got {text!r}, expected {form}")
    return Ref(address.repository, address.ref)


def commit(text: str, repository: str) -> str:
    """Parse a commit id, tag or expression such as main~1, or the address of one."""
    if not _is_address(text):
        return text
    found = ref(text)
    if found.repository != repository:
        raise UsageError(f"{text}: expected a commit of the repository {repository}")
    return found.name


def prefix(text: str) -> ObjectRef:
    """Parse lakefs://REPOSITORY/REF[/PATH]. The path is empty if there is none."""
    return _object_ref(text, "lakefs://REPOSITORY/REF[/PATH]")


def _object_ref(text: str, form: str) -> ObjectRef:
    address = _parse(text, form)
    if address.ref is None:
        raise UsageError(f"got {text!r}, expected {form}")
    return ObjectRef(address.repository, address.ref, address.path or "")


def object_path(text: str) -> ObjectRef:
    """Parse lakefs://REPOSITORY/REF/PATH."""
    form = "lakefs://REPOSITORY/REF/PATH"
    found = _object_ref(text, form)
    if not found.path:
        raise UsageError(f"got {text!r}, expected {form}")
    return found


def _is_address(text: str) -> bool:
    return text[: len(SCHEME)].lower() == SCHEME


def _parse(text: str, form: str) -> Address:
    if not _is_address(text):
        text = os.environ.get("LAKECTL_BASE_URI", "") + text  # as lakectl, without a slash
    if not _SOME_SCHEME.match(text):
        raise UsageError(f"got {text!r}, expected {form}")
    return Address.parse(text)
