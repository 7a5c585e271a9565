"""Exit codes, and errors as one sentence and a hint."""

from __future__ import annotations

from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    BranchProtectedError,
    HookRefusedError,
    MergeConflictError,
    NothingToCommitError,
    OpenApiException,
    TransferError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAILURE = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
NOT_ALLOWED = 5
PARTIAL = 6
HOOK = 7
UNREACHABLE = 8
INTERRUPTED = 130

CODES = {
    0: "success",
    FAILURE: "failure of another kind",
    USAGE: "wrong use: an argument, a setting, or a question that nobody can answer",
    NOT_FOUND: "not found: a repository, ref, object, or local file",
    CONFLICT: "conflict, existing name, or nothing to commit or merge",
    NOT_ALLOWED: "not allowed: wrong credentials, missing permission, or a protected branch",
    PARTIAL: "some files failed, all others were transferred",
    HOOK: "a hook refused the commit or merge",
    UNREACHABLE: "the server or the network is unreachable",
    INTERRUPTED: "interrupted by SIGINT (Ctrl-C) or SIGTERM",
}
"""The exit codes, and their meaning in the guide."""

_BY_STATUS = {
    401: NOT_ALLOWED,
    403: NOT_ALLOWED,
    404: NOT_FOUND,
    409: CONFLICT,
    410: NOT_FOUND,
    412: CONFLICT,
    502: UNREACHABLE,
    503: UNREACHABLE,
    504: UNREACHABLE,
}
_HINTS = {
    401: "'lakefs-client config' shows which credentials are in use.",
    403: "Ask an administrator of the server for the permission, or use another branch.",
    404: "'lakefs-client repo list', 'branch list' and 'ls' show what exists.",
    502: "'lakefs-client doctor' checks the connection.",
    503: "'lakefs-client doctor' checks the connection.",
    504: "'lakefs-client doctor' checks the connection.",
}
_OUTCOMES = {
    "resumable": "'lakefs-client transfers list' shows it; '--resume' continues it.",
    "abort failed": "A lifecycle rule of the bucket removes the parts that may be left.",
    "unknown": "'lakefs-client stat' shows if the object exists.",
}


_LONGEST = 300
"""Characters that are shown of a text."""


class CommandError(Exception):
    """An error of the command itself, with its exit code and a hint.

    Args:
        message: One sentence.
        code: The exit code.
        hint: What to do about it.
    """

    def __init__(self, message: str, code: int = FAILURE, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class UsageError(CommandError):
    """Arguments that do not fit together."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, USAGE, hint)


def server_message(error: ApiException) -> str:
    """Return the server's own words for an error, or the reason."""
    return _own_words(error) or str(error.reason or type(error).__name__)


def _own_words(error: ApiException) -> str:
    """Return the server's message; an empty text if there is none for people."""
    import json

    message = getattr(error, "message", None)
    try:
        message = message or json.loads(error.body or "")["message"]
    except (ValueError, LookupError, TypeError):
        # What answers in front of lakeFS says it in text; a page of HTML is of no use here.
        text = (error.body or "").strip()
        message = None if text.startswith(("<", "{")) else text[:_LONGEST]
    return str(message or "")


def explain(error: BaseException) -> tuple[int, str, str]:
    """Return the exit code, the sentence and the hint for an error."""
    if isinstance(error, CommandError):
        return error.code, str(error), error.hint
    if isinstance(error, TransferError):
        words = _own_words(error)
        sentence = f"{error.reason}; the server says: {words}" if words else str(error.reason)
        return _code(error), sentence, _OUTCOMES.get(error.outcome) or _hint(_cause(error))
    if isinstance(error, ApiException):
        return _code(error), _sentence(error), " ".join(filter(None, (error.hint, _hint(error))))
    if isinstance(error, (OpenApiException, ImportError)):
        return USAGE, str(error), ""
    if isinstance(error, OSError):
        return _os_code(error), _os_sentence(error), ""
    return FAILURE, f"{type(error).__name__}: {error}", "--debug shows the traceback."


def needs_place(error: BaseException) -> bool:
    """Return True if an error does not say itself which object, ref or repository it is about."""
    return (
        isinstance(error, ApiException) and not isinstance(error, TransferError)
        and bool(error.status)
    )  # fmt: skip


def _cause(error: ApiException) -> BaseException:
    """Return the error that a transfer failed with, if that is known."""
    return (isinstance(error, TransferError) and error.__cause__) or error


def _code(error: ApiException) -> int:
    cause = _cause(error)
    if isinstance(cause, ApiConnectionError):
        return UNREACHABLE
    if isinstance(cause, OSError):
        return _os_code(cause)
    if isinstance(cause, NothingToCommitError):
        return CONFLICT
    if isinstance(cause, HookRefusedError):
        return HOOK
    return _BY_STATUS.get(error.status or 0, FAILURE)


def _sentence(error: ApiException) -> str:
    message = server_message(error)
    return message if not error.status else f"{message} (HTTP status {error.status})"


def _hint(error: BaseException) -> str:
    if isinstance(error, ApiConnectionError):
        return "'lakefs-client doctor' checks address, proxy and certificates."
    if isinstance(error, NothingToCommitError):
        return "--if-changed makes this a success."
    if isinstance(error, HookRefusedError) and error.run_id:
        return f"The id of the hooks' run is {error.run_id}."
    if isinstance(error, BranchProtectedError):
        return "Write to another branch, and merge it."
    if isinstance(error, ApiException) and "dirty branch" in (error.body or ""):
        return "'lakefs-client commit' keeps the branch's changes, 'branch reset' discards them."
    return _HINTS.get(getattr(error, "status", None) or 0, "")


def _os_code(error: OSError) -> int:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return NOT_FOUND
    if isinstance(error, PermissionError):
        return NOT_ALLOWED
    return FAILURE


def _os_sentence(error: OSError) -> str:
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return ": ".join([*names, error.strerror or str(error)])


def as_record(code: int, sentence: str, hint: str, error: BaseException | None) -> dict[str, Any]:
    """Return an error as the object that --json writes to stderr."""
    record: dict[str, Any] = {"error": sentence, "hint": hint, "exit_code": code}
    for name in ("status", "request_id", "outcome"):
        value = getattr(error, name, None)
        if value:
            record[name] = value
    if paths := conflicting_paths(error):
        record["paths"] = paths
    return record


def conflicting_paths(error: BaseException | None) -> list[str]:
    """Return the paths of a merge conflict, as far as the server tells them."""
    if not isinstance(error, MergeConflictError):
        return []
    try:
        return error.paths
    except OpenApiException:
        return []
