"""An operation of the API from the signature that declares it.

The generated modules declare operations as methods without a body. `_request` checks
and encodes the arguments of a call.
"""

from __future__ import annotations

from lakefs_client._security import ALL_SCHEMES

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime as datetime
    from os import PathLike
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import Literal as Literal
    from typing import Protocol, TypedDict, TypeVar

    from typing_extensions import Unpack as Unpack

    from lakefs_client._kinds import Kind
    from lakefs_client._property import Property
    from lakefs_client.rest import RequestTimeout
    from lakefs_client.retry import Safety

    F = TypeVar("F", bound=Callable[..., object])

    class Readable(Protocol):
        """An open binary file or stream. Temporary and compressed files are not BinaryIO."""

        def read(self, size: int, /) -> bytes: ...

    UploadContent = Readable | bytes | bytearray | memoryview | PathLike[str]
    """Content of an upload: an open binary file or stream, bytes, or a file's path."""

    class CallOptions(TypedDict, total=False):
        """Options of every method, in addition to its own arguments."""

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


class Operation:
    """A decorator that turns a signature into a method that calls the API.

    Arguments named in the path's braces fill the path. A model is a JSON body, a file a body of
    bytes. Headers are sent as headers, all other arguments in the query. The first call works this
    out, because it reads the types.

    Args:
        method: HTTP method.
        path: Path below the host, with the names of arguments in braces.
        wire: Names in the query that differ from the argument's.
        headers: Names of headers by argument. For user metadata the prefix.
        limits: Limits of arguments, as for `lakefs_client._property.check_limits`.
        auth: Security schemes. () for an operation without credentials.
        idempotent: True if a second call has the same effect and the same result. Default: True
            for GET and HEAD.
        repeatable: False if no response can prove that nothing happened.

    Attributes:
        name: Name of the method.
        safety: Safety of a retry, as for `retry.may_repeat`.
        required: Required parameters in order, known together with `parameters`.
        kind: Type of the result or None, known together with `parameters`.
    """

    name: str
    required: list[Property]
    kind: Kind | None
    _declaration: Callable[..., object]

    def __init__(
        self,
        method: str,
        path: str,
        *,
        wire: Mapping[str, str] = {},
        headers: Mapping[str, str] = {},
        limits: Mapping[str, Mapping[str, Any]] = {},
        auth: Sequence[str] = ALL_SCHEMES,
        idempotent: bool | None = None,
        repeatable: bool = True,
    ) -> None:
        self.method = method
        self.path = path
        self.auth = auth
        self.safety: Safety = "unsent"
        if not repeatable:
            self.safety = "never"
        elif idempotent or (idempotent is None and method in ("GET", "HEAD")):
            self.safety = "idempotent"
        self._wire = wire
        self._headers = headers
        self._limits = limits
        self._parameters: dict[str, Property] | None = None

    def __call__(self, declaration: F) -> F:
        self.name = declaration.__name__
        self._declaration = declaration

        def call(api: Any, /, *args: Any, **kwargs: Any) -> Any:
            return api.api_client.call(self, args, kwargs)

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(call, name, getattr(declaration, name))
        call.__wrapped__ = declaration  # type: ignore[attr-defined]
        call.operation = self  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    @property
    def parameters(self) -> dict[str, Property]:
        """Arguments by name, the required ones first."""
        if self._parameters is not None:
            return self._parameters
        from lakefs_client import models
        from lakefs_client._annotations import resolve
        from lakefs_client._kinds import File
        from lakefs_client._property import Property

        def find(name: str) -> Any:
            return getattr(models, name)

        code = self._declaration.__code__
        annotations = self._declaration.__annotations__
        parameters: dict[str, Property] = {}
        for name in code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]:
            kind = resolve(annotations[name], find)
            wire = self._wire.get(name, name)
            if f"{{{name}}}" in self.path:
                place = "path"
            elif name in self._headers:
                place, wire = "header", self._headers[name]
            elif isinstance(kind, File):
                place = "upload"
            else:
                place = "body" if kind.lazy else "query"
            required = len(parameters) < code.co_argcount - 1
            limits = self._limits.get(name, {})
            parameters[name] = Property(name, wire, kind, required, limits, place)
        self.required = [p for p in parameters.values() if p.required]
        returns = annotations["return"]
        self.kind = None if returns == "None" else resolve(returns, find)
        self._parameters = parameters
        return parameters
