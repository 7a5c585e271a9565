"""Preparation of a call: its arguments, checked and encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefs_client import _body, _encode, auth
from lakefs_client._kinds import CALLER
from lakefs_client._model import secret_values
from lakefs_client._sentinels import UNSET
from lakefs_client.exceptions import ApiTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakefs_client._body import RequestBody
    from lakefs_client._kinds import Kind
    from lakefs_client._operation import Operation
    from lakefs_client.configuration import Configuration
    from lakefs_client.retry import RetryPolicy, Safety

OPTIONS = {
    "async_req": False,
    "_return_http_data_only": True,
    "_preload_content": True,
    "_request_timeout": None,
    "_check_input_type": True,
    "_check_return_type": True,
    "_host_index": None,
}


@dataclass(slots=True, repr=False)
class PreparedCall:
    """One call, checked and ready: what the client needs to send it and to read the answer.

    Attributes:
        operation: Name of the method, for messages.
        path: Path below the host, arguments filled in, with the query.
        headers: Headers that come from arguments.
        auth: The allowed security schemes.
        kind: The type of the answer; None if the body does not matter.
        safety: Safety of a retry, as for `retry.may_repeat`.
        options: As in `OPTIONS`.
        host: The address to call in place of the configured one.
        token: The token of the last attempt, if a provider gave it.
        policy: The retry policy in place of the configured one.
        value: The value that the body was made of, for the secrets in it.
        documented: False for a call that the API document does not describe; a 204 then means
            that there is no result, whatever its type.
    """

    operation: str
    method: str
    path: str
    headers: dict[str, str]
    body: RequestBody | None
    auth: Sequence[str]
    kind: Kind | None
    safety: Safety
    options: Mapping[str, Any]
    host: str | None = None
    token: str | None = None
    policy: RetryPolicy | None = None
    value: Any = None
    documented: bool = True

    def __repr__(self) -> str:
        return f"<{self.operation}: {self.method} {self.path.partition('?')[0]}>"

    def secrets(self) -> list[str]:
        """Return the secrets that the body holds."""
        return [*secret_values(self.value)]

    def __post_init__(self) -> None:
        if self.body is not None and not self.body.repeatable:
            self.safety = "never"  # what was read from a stream that cannot be rewound is gone


def bind(
    operation: Operation,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    configuration: Configuration,
) -> PreparedCall:
    """Check the arguments of a call and encode them."""
    parameters = operation.parameters
    positional = operation.required
    if len(args) > len(positional):
        raise ApiTypeError(
            f"{operation.name}() takes {len(positional)} positional arguments but {len(args)} "
            "were given; optional ones are given by name"
        )
    values = {p.name: value for p, value in zip(positional, args)}
    options = OPTIONS
    for name, value in kwargs.items():
        if name in values:
            raise ApiTypeError(f"{operation.name}() got multiple values for argument '{name}'")
        if name in parameters:
            if value is not UNSET and not parameters[name].is_absent(value):
                values[name] = value
        elif name in OPTIONS:
            options = {**options, name: value}
        else:
            raise ApiTypeError(f"Got an unexpected parameter '{name}' to method `{operation.name}`")
    for p in positional[len(args) :]:
        if p.name not in values:
            text = f"Missing the required parameter `{p.name}` when calling `{operation.name}`"
            raise ApiTypeError(text)
    return _lay_out(operation, values, options, configuration)


def _lay_out(
    operation: Operation,
    values: dict[str, Any],
    options: Mapping[str, Any],
    configuration: Configuration,
) -> PreparedCall:
    path = operation.path
    query: list[tuple[str, Any]] = []
    headers: dict[str, str] = {}
    body = sent = None
    safety = operation.safety
    check = options["_check_input_type"]
    parameters = operation.parameters
    for name, value in values.items():
        p = parameters[name]
        if p.place == "body":
            sent = p.kind.load(value, (name,), CALLER) if check else value
            body = _body.of_json(sent)
            continue
        if p.place == "upload":
            body = _body.of_upload(value, name, str(values.get("path", "")))
            continue
        p.check(value, types=check, disabled=configuration.disabled_validations)
        if p.place == "path":
            safe = configuration.safe_chars_for_path_param
            path = path.replace(f"{{{name}}}", _encode.path_segment(name, value, safe))
        elif p.place == "query":
            query.append((p.wire, value))
        elif p.wire == _encode.USER_METADATA_HEADER:
            headers |= _encode.user_metadata_headers(name, value)
        else:
            headers[p.wire] = auth.require_header_safe(name, _encode.text_of(value))
            if p.wire in ("If-Match", "If-None-Match") and operation.method not in ("GET", "HEAD"):
                safety = "unsent"  # what the first time met may refuse the second
    if query:
        path = f"{path}?{_encode.query(query)}"
    return PreparedCall(
        operation.name, operation.method, path, headers, body, operation.auth, operation.kind,
        safety, options, value=sent,
    )  # fmt: skip
