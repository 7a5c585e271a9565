"""The base class of the API groups, and the names that their generated modules use."""

from __future__ import annotations

from lakefs_client._operation import Operation
from lakefs_client._sentinels import TYPE_CHECKING as TYPE_CHECKING
from lakefs_client._sentinels import UNSET as UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client._operation import CallOptions as CallOptions
    from lakefs_client._operation import Unpack as Unpack
    from lakefs_client._operation import UploadContent as UploadContent
    from lakefs_client._sentinels import Any as Any
    from lakefs_client._sentinels import BinaryIO as BinaryIO
    from lakefs_client._sentinels import Literal as Literal
    from lakefs_client._sentinels import datetime as datetime
    from lakefs_client.api_client import ApiClient

operation = Operation  # the decorator's name in the generated modules


class Api:
    """The operations of one group.

    Args:
        api_client: Client for the calls. By default a new one with the default configuration.

    Raises:
        ApiTypeError: The argument is a Configuration.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.api_client!r}>"

    def __init__(self, api_client: ApiClient | None = None) -> None:
        if api_client is None:
            from lakefs_client.api_client import ApiClient

            api_client = ApiClient()
        self.api_client = _checked(api_client)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            method = name.endswith("_endpoint") and getattr(self, name[: -len("_endpoint")], None)
            if not method:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return Endpoint(method, self.api_client)


def _checked(api_client: ApiClient) -> ApiClient:
    """Refuse a configuration. Doubles of tests may be of any class."""
    if hasattr(api_client, "perform"):
        return api_client
    from lakefs_client.configuration import Configuration
    from lakefs_client.exceptions import ApiTypeError

    if isinstance(api_client, Configuration):
        raise ApiTypeError(
            "api_client must be an ApiClient, not a Configuration: give ApiClient(configuration)"
        )
    return api_client


class Endpoint:
    """An operation of a client.

    Attributes:
        settings: Name, method, path, result type and security schemes.
        params_map: Names of the arguments: all, required, with an enum, with limits.
        openapi_types: Types of the arguments.
        attribute_map: Names of the arguments in the request.
        location_map: Place of the arguments: path, query, header or body.
    """

    def __init__(self, method: Callable[..., Any], api_client: ApiClient) -> None:
        operation: Operation = method.operation  # type: ignore[attr-defined]
        parameters = operation.parameters.values()
        self._method = method
        self.api_client = api_client
        self.settings = {
            "response_type": operation.kind and operation.kind.legacy,
            "auth": list(operation.auth),
            "endpoint_path": operation.path,
            "operation_id": operation.name,
            "http_method": operation.method,
            "servers": None,
        }
        self.params_map = {
            "all": [p.name for p in parameters],
            "required": [p.name for p in parameters if p.required],
            "nullable": [],
            "enum": [p.name for p in parameters if p.kind.enum],
            "validation": [p.name for p in parameters if p.limits],
        }
        self.openapi_types = {p.name: p.kind.legacy for p in parameters}
        self.attribute_map = {p.name: p.wire for p in parameters if p.place != "body"}
        self.location_map = {p.name: p.place for p in parameters}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(*args, **kwargs)

    def call_with_http_info(self, **kwargs: Any) -> Any:
        """Call the operation. All arguments are given by name."""
        return self._method(**kwargs)
