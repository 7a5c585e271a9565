"""Errors of the client as the errors that file systems raise."""

from __future__ import annotations

import errno
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakefs_client.exceptions import ApiException, TransferError

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS: dict[int, tuple[type[OSError], int]] = {
    400: (OSError, errno.EINVAL),
    401: (PermissionError, errno.EACCES),
    403: (PermissionError, errno.EACCES),
    404: (FileNotFoundError, errno.ENOENT),
    410: (FileNotFoundError, errno.ENOENT),
    412: (FileExistsError, errno.EEXIST),
    416: (OSError, errno.EINVAL),
    420: (OSError, errno.EBUSY),
    429: (OSError, errno.EBUSY),
}


def os_error(error: ApiException, path: str) -> OSError:
    """Return the OSError for a failed request, with the request's error as its cause.

    Errors of the network are OSErrors already, and returned as they are.
    """
    if isinstance(error, OSError):
        return error
    status = error.status or 0
    kind, number = _KINDS.get(status, (OSError, errno.EIO))
    text = str(error) if isinstance(error, TransferError) else f"{status} {_message(error)}"
    translated = kind(number, f"{text.strip()}: {path!r}")
    translated.__cause__ = error
    return translated


@contextmanager
def os_errors(path: str) -> Iterator[None]:
    """Raise failed requests of the block as OSErrors that name `path`."""
    try:
        yield
    except ApiException as error:
        raise os_error(error, path) from error


def _message(error: ApiException) -> str:
    """Return the server's message, or the reason phrase if it sent none."""
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, LookupError, TypeError):
        return error.reason or ""
