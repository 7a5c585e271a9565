"""An operation of the API from the signature that declares it.

The generated modules declare operations as methods without a body; what a call does is here:
binding arguments to path, query, headers and body, and checking them before anything is sent.
"""

from __future__ import annotations

from lakefs_client import auth
from lakefs_client._model import UNSET
from lakefs_client.exceptions import ApiTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Any, Protocol, TypedDict, TypeVar

    from lakefs_client._body import Body
    from lakefs_client._types import Kind
    from lakefs_client.api_client import ApiClient
    from lakefs_client.configuration import Configuration
    from lakefs_client.rest import RequestTimeout, Safety

    F = TypeVar("F", bound=Callable[..., object])

    class Readable(Protocol):
        """An open binary file or stream. Temporary and compressed files are no BinaryIO."""

        def read(self, size: int, /) -> bytes: ...

    UploadContent = Readable | bytes | bytearray | memoryview | PathLike[str]
    """What can be uploaded: an open binary file or stream, bytes, or a file's path."""

    class CallOptions(TypedDict, total=False):
        """What every method takes besides its own arguments."""

        async_req: bool
        """Call in a thread of the client's pool; the result is an object with `get`."""
        _return_http_data_only: bool
        """False: return a tuple of result, status and headers. Default True."""
        _preload_content: bool
        """False: return urllib3's response, unread. Default True."""
        _request_timeout: RequestTimeout
        """Seconds for connecting and the wait for the answer together, or a pair of the two."""
        _check_input_type: bool
        """False: do not check the types of arguments. Default True."""
        _check_return_type: bool
        """False: do not check the types in the answer. Default True."""
        _host_index: int | None
        """Which of `Configuration.get_host_settings` to call; None: the configured host."""


OPTIONS = {
    "async_req": False,
    "_return_http_data_only": True,
    "_preload_content": True,
    "_request_timeout": None,
    "_check_input_type": True,
    "_check_return_type": True,
    "_host_index": None,
}


class Request:
    """One call, checked and ready: what the client needs to send it and to read the answer.

    Attributes:
        operation: Name of the method, for messages.
        method: HTTP method.
        path: Path below the host, arguments filled in, with the query.
        headers: Headers that come from arguments.
        body: What is sent; None for nothing.
        auth: The ways to authenticate that are allowed.
        kind: The type of the answer; None where the body of the answer does not matter.
        safety: How harmless its repetition is; see `rest.may_repeat`.
        options: As in `OPTIONS`.
        host: The address to call in place of the configured one.
    """

    __slots__ = (
        "auth", "body", "headers", "host", "kind", "method", "operation", "options", "path",
        "safety",
    )  # fmt: skip

    def __init__(
        self,
        operation: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Body | None,
        auth: Sequence[str],
        kind: Kind | None,
        safety: Safety,
        options: Mapping[str, Any],
        host: str | None = None,
    ) -> None:
        self.operation = operation
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.auth = auth
        self.kind = kind
        # What was read from a stream that cannot be rewound is gone.
        self.safety: Safety = "never" if body is not None and not body.repeatable else safety
        self.options = options
        self.host = host


class Parameter:
    """One argument of an operation and where it goes."""

    __slots__ = ("kind", "limits", "name", "place", "required", "wire")

    def __init__(
        self,
        name: str,
        wire: str,
        place: str,
        kind: Kind,
        required: bool,
        limits: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.wire = wire
        self.place = place
        self.kind = kind
        self.required = required
        self.limits = limits


class Operation:
    """What a decorated method declares; its parameters are worked out on the first call.

    Attributes:
        name: The method's name.
        method: HTTP method.
        path: Path below the host, with the names of arguments in braces.
        auth: The ways to authenticate.
        safety: How harmless its repetition is; see `rest.may_repeat`.
    """

    def __init__(
        self,
        declaration: Callable[..., object],
        method: str,
        path: str,
        *,
        body: str | None,
        upload: str | None,
        wire: Mapping[str, str],
        headers: Mapping[str, str],
        limits: Mapping[str, Mapping[str, Any]],
        auth: Sequence[str],
        safety: Safety,
    ) -> None:
        self.declaration = declaration
        self.name = declaration.__name__
        self.method = method
        self.path = path
        self.auth = auth
        self.safety: Safety = safety
        self._body = body
        self._upload = upload
        self._wire = wire
        self._headers = headers
        self._limits = limits
        self._parameters: dict[str, Parameter] | None = None
        self._positional: list[Parameter] = []
        self.kind: Kind | None = None

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The arguments by name, the required ones first."""
        if self._parameters is None:
            self._parameters = self._work_out()
        return self._parameters

    def _work_out(self) -> dict[str, Parameter]:
        from lakefs_client._types import resolve

        code = self.declaration.__code__
        annotations = self.declaration.__annotations__
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        parameters = {}
        for position, name in enumerate(names, 1):
            required = position < code.co_argcount
            place = self._place(name)
            kind = resolve(annotations[name])
            parameters[name] = Parameter(
                name,
                self._headers.get(name) or self._wire.get(name, name),
                place,
                kind,
                required,
                self._limits.get(name, {}),
            )
        self._positional = [p for p in parameters.values() if p.required]
        returns = annotations["return"]
        self.kind = None if returns == "None" else resolve(returns)
        return parameters

    def _place(self, name: str) -> str:
        if f"{{{name}}}" in self.path:
            return "path"
        if name in self._headers:
            return "header"
        if name == self._body:
            return "body"
        if name == self._upload:
            return "upload"
        return name if self._upload and name in ("content_type", "user_metadata") else "query"

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], configuration: Configuration
    ) -> Request:
        """Check the arguments and lay them out.

        Raises:
            ApiTypeError: An argument is missing, unknown, given twice or of the wrong type.
            ApiValueError: An argument has a value that cannot be sent.
        """
        parameters = self.parameters
        positional = self._positional
        if len(args) > len(positional):
            raise ApiTypeError(
                f"{self.name}() takes {len(positional)} positional arguments but {len(args)} "
                "were given; optional ones are given by name"
            )
        values = {p.name: value for p, value in zip(positional, args)}
        options = OPTIONS
        for name, value in kwargs.items():
            if name in values:
                raise ApiTypeError(f"{self.name}() got multiple values for argument '{name}'")
            if name in parameters:
                if value is not UNSET:
                    values[name] = value
            elif name in OPTIONS:
                options = {**options, name: value}
            else:
                raise ApiTypeError(f"Got an unexpected parameter '{name}' to method `{self.name}`")
        for p in positional:
            if p.name not in values:
                raise ApiTypeError(
                    f"Missing the required parameter `{p.name}` when calling `{self.name}`"
                )
        return self._lay_out(values, options, configuration)

    def _lay_out(
        self, values: dict[str, Any], options: Mapping[str, Any], configuration: Configuration
    ) -> Request:
        from lakefs_client import _body, _encode

        path = self.path
        query: list[tuple[str, Any]] = []
        headers: dict[str, str] = {}
        body = None
        safety = self.safety
        check = options["_check_input_type"]
        parameters = self.parameters
        for name, value in values.items():
            p = parameters[name]
            if p.place == "body":
                body = _body.of_json(self._checked_body(p, value, check))
                continue
            if p.place == "upload":
                body = _body.of_upload(value, name)
                continue
            if check:
                p.kind.check(value, (name,))
            if p.kind.enum:
                _encode.check_enum(value, name, p.kind.enum)
            if p.limits:
                _encode.check_limits(value, name, p.limits, configuration.disabled_validations)
            if p.place == "path":
                safe = configuration.safe_chars_for_path_param
                path = path.replace(f"{{{name}}}", _encode.path_segment(name, value, safe))
            elif p.place == "query":
                query.append((p.wire, value))
            elif p.place == "header":
                headers[p.wire] = auth.require_header_safe(name, str(value))
                if p.wire in ("If-Match", "If-None-Match") and self.method not in ("GET", "HEAD"):
                    safety = "unsent"  # what the first time met may refuse the second
            elif name == "content_type":
                headers["Content-Type"] = auth.require_header_safe(name, value)
            else:
                headers |= _encode.user_metadata_headers(name, value)
        if query:
            path = f"{path}?{_encode.query(query)}"
        if body is not None:
            headers.setdefault("Content-Type", body.content_type)
        return Request(
            self.name, self.method, path, headers, body, self.auth, self.kind,
            safety, options,
        )  # fmt: skip

    def _checked_body(self, p: Parameter, value: Any, check: bool) -> Any:
        from lakefs_client import _encode
        from lakefs_client._types import CALLER

        if not check:
            return value
        loaded = p.kind.load(value, (p.name,), CALLER)
        if p.limits:
            _encode.check_limits(loaded, p.name, p.limits, frozenset())
        return loaded


def operation(
    method: str,
    path: str,
    *,
    body: str | None = None,
    upload: str | None = None,
    wire: Mapping[str, str] = {},
    headers: Mapping[str, str] = {},
    limits: Mapping[str, Mapping[str, Any]] = {},
    auth: Sequence[str] = auth.ALL,
    idempotent: bool | None = None,
    repeatable: bool = True,
) -> Callable[[F], F]:
    """Turn a signature into a method that calls the API.

    Arguments that are in the path's braces go there, the named body, upload and headers to
    their places, all others into the query.

    Args:
        method: HTTP method.
        path: Path below the host, with the names of arguments in braces.
        body: The argument that is sent as JSON.
        upload: The argument whose bytes are sent as they are.
        wire: Names in the query, where they differ from the argument's.
        headers: Names of the headers that arguments are sent in.
        limits: Limits of arguments; see `lakefs_client._types.check_limits`.
        auth: The ways to authenticate; () for an operation that needs none and gets none.
        idempotent: Whether a second call has the same effect and the same answer as the first;
            by default that of GET and HEAD has.
        repeatable: Whether an answer can say that nothing happened, so that calling again is safe.
    """
    if idempotent is None:
        idempotent = method in ("GET", "HEAD")
    safety: Safety = "never" if not repeatable else "idempotent" if idempotent else "unsent"

    def decorate(declaration: F) -> F:
        declared = Operation(
            declaration, method, path, body=body, upload=upload, wire=wire, headers=headers,
            limits=limits, auth=auth, safety=safety,
        )  # fmt: skip

        def call(self: Api, /, *args: Any, **kwargs: Any) -> Any:
            client = self.api_client
            return client.perform(declared.bind(args, kwargs, client.configuration))

        call.__name__ = declaration.__name__
        call.__qualname__ = declaration.__qualname__
        call.__module__ = declaration.__module__
        call.__doc__ = declaration.__doc__
        call.__wrapped__ = declaration  # type: ignore[attr-defined]
        call.operation = declared  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


class Api:
    """The operations of one group.

    Args:
        api_client: The client to call through; by default one of its own, for the default
            configuration.
    """

    def __init__(self, api_client: ApiClient | None = None) -> None:
        if api_client is None:
            from lakefs_client.api_client import ApiClient

            api_client = ApiClient()
        self.api_client = api_client

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            method = name.endswith("_endpoint") and getattr(self, name[: -len("_endpoint")], None)
            if not method:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            from lakefs_client._endpoint import Endpoint

            return Endpoint(method, self.api_client)
