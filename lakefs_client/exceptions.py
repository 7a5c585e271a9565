"""Exception hierarchy, rooted at OpenApiException."""

from __future__ import annotations

import sys

from lakefs_client._redact import HIDDEN, printable, redact, shown

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Literal

    TransferOutcome = Literal[
        "aborted", "resumable", "abort failed", "not linked", "unknown", "mismatch"
    ]


class OpenApiException(Exception):
    """Base class of all exceptions of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class again: a message that is finished would get its path twice.
        # Secrets stay here: a pickle goes to other processes, and often to a disk.
        args = tuple(map(_without_secrets, self.args))
        state = {name: _without_secrets(value) for name, value in self.__dict__.items()}
        return _restore, (type(self), args, state)

    def __str__(self) -> str:
        return printable(redact(super().__str__()), lines=True)

    def __repr__(self) -> str:
        return redact(super().__repr__())


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if hasattr(value, "items"):  # headers
        clean = value.copy()
        for name, text in [*value.items()]:
            secret = name.lower() in ("set-cookie", "cookie", "authorization")
            clean[name] = HIDDEN if secret else redact(text)
        return clean
    return value


def _restore(cls: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def render_path(path_to_item: Sequence[str | int]) -> str:
    """Write the place of an item within nested data, for instance ``['results'][0]['path']``."""
    return "".join(f"[{step!r}]" for step in path_to_item)


class _LocatedError(OpenApiException):
    """An error in an argument or an answer that knows where in the data it is."""

    def __init__(self, msg: str, path_to_item: Sequence[str | int] | None = None) -> None:
        self.path_to_item = path_to_item
        super().__init__(f"{msg} at {render_path(path_to_item)}" if path_to_item else msg)


class ApiTypeError(_LocatedError, TypeError):
    """A value has the wrong type: an argument, or a value in a response.

    Attributes:
        path_to_item: Keys and indexes that lead to the value.
        valid_classes: Accepted types.
        key_type: True if the value is a key of a dict.
    """

    def __init__(
        self,
        msg: str,
        path_to_item: Sequence[str | int] | None = None,
        valid_classes: tuple[Any, ...] | None = None,
        key_type: bool | None = None,
    ) -> None:
        self.valid_classes = valid_classes
        self.key_type = key_type
        super().__init__(msg, path_to_item)


class ApiValueError(_LocatedError, ValueError):
    """An argument has the right type but an invalid value."""


class ApiAttributeError(_LocatedError, AttributeError):
    """A model has no such attribute, or the attribute is optional and not set."""


class ApiKeyError(_LocatedError, KeyError):
    """A mapping lacks a key."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ApiException(OpenApiException):
    """A request failed. Catching it catches every failure of a server or the network.

    Attributes:
        status: HTTP status; 0 without an answer.
        reason: The status's reason phrase, or what happened on the network.
        body: The answer's body as text, None without one.
        headers: The answer's headers, looked up in any case; None without an answer.
        operation: Name of the method that was called, such as ``get_object``; None if the error
            does not come from one.
        method: HTTP method of the request.
        url: Address of the request, without its query and without credentials.
        attempts: Number of attempts that were made.
        hint: The state of the work that the request was part of, and the next step; None without
            one.
    """

    hint: str | None = None
    operation: str | None = None
    method: str | None = None
    url: str | None = None
    attempts: int = 1

    def __init__(
        self, status: int | None = None, reason: str | None = None, http_resp: Any = None
    ) -> None:
        self.status: int | None = status
        self.reason: str | None = reason
        self.body: str | None = None
        self.headers: Mapping[str, str] | None = None
        if http_resp is not None:
            self.status = http_resp.status
            self.reason = http_resp.reason
            body = http_resp.data
            self.body = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
            self.headers = http_resp.headers
        super().__init__(self.status, self.reason)

    @property
    def message(self) -> str:
        """The reason for the failure in one line: the server's words, else the status's phrase."""
        lines = (_message(self.body) or _xml_message(self.body) or "").split("\n")
        return lines[0].strip() or str(self.reason or "")

    @property
    def request_id(self) -> str | None:
        """The server's id of the request, which its logs show; None if it sent none."""
        if not self.headers:
            return None
        names = ("X-Request-Id", "x-amz-request-id")
        return next((self.headers[name] for name in names if name in self.headers), None)

    def __str__(self) -> str:
        what = f" {self.operation}: {shown(self.message)}" if self.operation else ""
        text = f"({self.status}){what}\nReason: {shown(self.reason)}\n"
        if self.headers:
            text += f"HTTP response headers: {shown(self.headers)}\n"
        if self.body:
            text += f"HTTP response body: {shown(self.body.rstrip())}\n"
        if self.url:
            request = f", request id {self.request_id}" if self.request_id else ""
            repeated = f", {self.attempts} attempts" if self.attempts > 1 else ""
            text += f"{self.method} {shown(self.url)}{request}{repeated}\n"
        if self.hint:
            text += f"{shown(self.hint)}\n"
        return text


class NothingToCommitError(ApiException):
    """400: a commit or a merge would change nothing."""


class UnauthorizedException(ApiException):
    """401: the credentials are missing or wrong."""


class ForbiddenException(ApiException):
    """403: the user may not do this, the branch is protected, or the repository is read-only."""


class BranchProtectedError(ForbiddenException):
    """403: a rule protects the branch against the write or the commit."""


class NotFoundException(ApiException):
    """404: the repository, ref, object or other resource does not exist."""


class ConflictException(ApiException):
    """409: the resource already exists, or changes conflict."""


class MergeConflictError(ConflictException):
    """409: both sides of a merge changed the same paths. Nothing was merged."""

    _paths: list[str] | None = None
    _find_paths: Callable[[], list[str]] | None = None

    @property
    def paths(self) -> list[str]:
        """The conflicting paths, sorted.

        The first access asks the server, which lists every difference between the two sides as
        they are at that time. An error that was pickled keeps only paths that were read before.

        Raises:
            ApiException: The request failed.
            ApiValueError: The error has no client: it was pickled, or raised by a test.
        """
        if self._paths is None:
            if self._find_paths is None:
                text = "MergeConflictError.paths: the error has no client to look them up."
                raise ApiValueError(f"{text} Use RefsApi.diff_refs, and the type 'conflict'.")
            self._paths = self._find_paths()
        return self._paths

    def __reduce__(self) -> tuple[Any, ...]:
        restore, (cls, args, state) = super().__reduce__()
        state.pop("_find_paths", None)
        return restore, (cls, args, state)


class PreconditionFailedException(ApiException):
    """412: a condition such as ``if_none_match`` failed, or a hook refused the change."""


class HookRefusedError(PreconditionFailedException):
    """412: a hook refused a commit, a merge or another change of the repository.

    Attributes:
        message: The hook's reason, without the traceback of its interpreter. The reasons of several
            hooks are separated by semicolons. `body` has the whole text.
        hook_id: Id of the hook, the first of several; None if the server does not name it.
        run_id: Id of the run, for `ActionsApi.get_run`; None if the server does not name it.
    """

    hook_id: str | None
    run_id: str | None

    def __init__(
        self, status: int | None = None, reason: str | None = None, http_resp: Any = None
    ) -> None:
        super().__init__(status, reason, http_resp)
        text = _message(self.body) or ""
        self.run_id, hooks = _refusals(text)
        self.hook_id = hooks[0][0] if hooks else None
        self._reasons = "; ".join(said for _, said in hooks) or text

    @property
    def message(self) -> str:
        """The hook's reason."""
        return self._reasons


class RateLimitException(ApiException):
    """420 or 429: too many requests, also after all retries."""


class StoreError(ApiException):
    """An error of the object store, to which lakeFS redirected a request for an object.

    The status is the store's, except that its 404 becomes 410, as lakeFS itself answers: the
    object exists in lakeFS, and its data is missing from the store.
    """


class ServiceException(ApiException):
    """5xx: the server failed."""


class ApiConnectionError(ApiException, ConnectionError):
    """No response: refused, reset, unresolvable or interrupted. The cause is chained.

    Attributes:
        sent: False if the request certainly did not reach the server, so that any retry is safe.
    """

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(status=0, reason=reason)
        self.sent = sent


class ApiTimeoutError(ApiConnectionError, TimeoutError):
    """No response in time. If ``sent`` is true, the operation may have happened."""


class TransferError(ApiException):
    """A failed transfer. The cause is chained, and this error has its status and body.

    Attributes:
        outcome: ``"aborted"``: nothing is left. ``"resumable"``: the finished parts are kept, and
            the same call with ``resume=True`` resumes the transfer. Uploads also have ``"abort
            failed"``: parts may be left in the store under `upload_id`; ``"not linked"``: the
            bytes are in the store at `physical_address`, but no object refers to them;
            ``"unknown"``: the object may exist; ``"mismatch"``: the object exists and differs
            from what was sent.
        part_number: The part or range that failed, from 1; None if no part failed.
        upload_id: Id of the multipart upload; None if there is none.
        physical_address: Address of the bytes in the store; None if it is not known.
    """

    def __init__(
        self,
        reason: str,
        *,
        outcome: TransferOutcome,
        cause: BaseException | None = None,
        part_number: int | None = None,
        upload_id: str | None = None,
        physical_address: str | None = None,
    ) -> None:
        super().__init__(status=getattr(cause, "status", None) or 0, reason=reason)
        self.__cause__ = cause
        self.outcome: TransferOutcome = outcome
        self.part_number = part_number
        self.upload_id = upload_id
        self.physical_address = physical_address
        self.body = getattr(cause, "body", None)
        self.headers = getattr(cause, "headers", None)

    def __str__(self) -> str:
        text = f"{shown(self.reason)} [{self.outcome}]"
        if self.upload_id:
            text += f"\nupload id: {shown(self.upload_id)}"
        if self.physical_address:
            text += f"\nphysical address: {shown(self.physical_address)}"
        if self.body:
            text += f"\nanswer: {shown(self.body.strip())}"
        if self.hint:
            text += f"\n{shown(self.hint)}"
        return text


class ObjectExistsError(TransferError, PreconditionFailedException):
    """412: an upload with ``overwrite=False`` found an object at its path, and left it there.

    Its `outcome` is ``"aborted"``, or ``"not linked"`` if the object was made during the upload.
    """

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason, **details)
        self.status = 412


class InvalidAnswerError(ApiException, ApiTypeError):
    """A 2xx response whose body is not JSON, or does not match the operation.

    The request was carried out. The message names the position in the data, but not the data.
    """

    def __init__(self, http_resp: Any, operation: str, error: ApiTypeError) -> None:
        super().__init__(http_resp=http_resp)
        self.path_to_item = error.path_to_item
        self.valid_classes = error.valid_classes
        self.key_type = error.key_type
        self._problem = f"{operation}: the answer (status {self.status}) cannot be used: {error}"

    @property
    def message(self) -> str:
        """The problem with the answer."""
        return self._problem

    def __str__(self) -> str:
        text = shown(self.message)
        return f"{text}\n{shown(self.hint)}" if self.hint else text


_BY_STATUS: dict[int, type[ApiException]] = {
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    409: ConflictException,
    412: PreconditionFailedException,
    420: RateLimitException,
    429: RateLimitException,
}


def store_error_for(http_resp: Any) -> StoreError:
    """Return the exception for an error of the store that lakeFS redirected to."""
    error = StoreError(http_resp=http_resp)
    if error.status == 404:
        error.status, error.reason = 410, "Gone: the object's data is missing from the store"
    return error


def error_for(http_resp: Any) -> ApiException:
    """Return the exception for a response outside 2xx."""
    status: int = http_resp.status
    cls = _BY_STATUS.get(status, ServiceException if 500 <= status <= 599 else ApiException)
    error = cls(http_resp=http_resp)
    special = _by_message(status, error.body)
    return error if special is None else special(http_resp=http_resp)


def annotate(error: BaseException, text: str) -> None:
    """Add the state of the work to an exception: as its hint, or as a note."""
    if isinstance(error, ApiException):
        error.hint = text
    elif sys.version_info >= (3, 11):
        error.add_note(text)


def _by_message(status: int, body: str | None) -> type[ApiException] | None:
    """Return the class for what the server's message says, which the status does not."""
    message = _message(body)
    if message is None:
        # The server answers a merge's conflict with an empty result in place of a message.
        conflict = status == 409 and (body or "").startswith('{"reference"')
        return MergeConflictError if conflict else None
    if status == 409 and message.startswith("update branch ") and message.endswith(_CONFLICT):
        return MergeConflictError  # of a pull request
    if status == 400 and message.startswith(_CHANGING) and message.endswith(": no changes"):
        return NothingToCommitError
    if status == 403 and "protected branch" in message:
        return BranchProtectedError
    if status == 412 and _ABORTED in message:
        return HookRefusedError
    return None


_CHANGING = ("commit: ", "update branch")  # what a commit, and what merges and the like begin with
_CONFLICT = ": conflict found"
_ABORTED = " hook aborted, run id '"


def _xml_message(body: str | None) -> str | None:
    """Return the message in the body of a store's error; None if it has none."""
    _, found, rest = (body or "").partition("<Message>")
    message, ended, _ = rest.partition("</Message>")
    return message if found and ended else None


def _message(body: str | None) -> str | None:
    """Return the message in the body of lakeFS's errors; None if it has none."""
    if not body or not body.startswith("{"):
        return None
    import json

    try:
        message = json.loads(body).get("message")
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, str) else None


def _refusals(text: str) -> tuple[str | None, list[tuple[str | None, str]]]:
    """Return the id of a run of hooks, and the id and the reason of each hook that refused.

    The text is ``pre-merge hook aborted, run id 'R': 1 error occurred:``, and for each action a
    line ``* hook run id 'N' failed on action 'A' hook 'H': action failed: REASON``.
    """
    _, _, rest = text.partition(_ABORTED)
    run_id, _, rest = rest.partition("': ")
    hooks = []
    for failure in rest.split("\n\t* ")[1:] or [rest]:
        _, named, after = failure.partition("' hook '")
        name, _, said = after.partition("': ") if named else ("", "", failure)
        hooks.append((name or None, _hook_reason(said)))
    return run_id or None, hooks


def _hook_reason(text: str) -> str:
    """Return a hook's own words: no traceback, and no place in the script before them."""
    text = text.partition("\nstack traceback:")[0].strip()
    text = text.removeprefix("action failed: ").removeprefix("runtime error: ")
    if text.startswith("[string "):
        place, _, said = text.partition(": ")
        text = said or place
    return text
