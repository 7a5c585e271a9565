"""Settings of a client: address, credentials, TLS, proxy, timeouts."""

from __future__ import annotations

import copy
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from lakefs_client._security import SESSION_COOKIES
from lakefs_client._version import __version__
from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol, TypedDict

    import urllib3
    from typing_extensions import Self, Unpack

    from lakefs_client.gateway import S3Gateway
    from lakefs_client.retry import RetryPolicy

    class TokenProvider(Protocol):
        """A source of bearer tokens, such as those of `lakefs_client.tokens`."""

        def token(self, api_client: Any, /) -> str:
            """Return the token for a request of a client."""
            ...

        def reject(self, token: str, /) -> None:
            """Forget a token that the server rejected."""
            ...

    class Options(TypedDict, total=False):
        """Arguments of `Configuration`. Each may be None."""

        host: str | None
        api_key: dict[str, str] | None
        api_key_prefix: dict[str, str] | None
        access_token: str | None
        username: str | None
        password: str | None
        discard_unknown_keys: bool | None
        disabled_client_side_validations: str | None
        server_index: int | None
        server_variables: Mapping[str, str] | None
        server_operation_index: Mapping[str, int] | None
        server_operation_variables: Mapping[str, Mapping[str, str]] | None
        ssl_ca_cert: str | None


DEFAULT_HOST = "http://localhost/api/v1"
BASE_PATH = "/api/v1"

# The checks of arguments that `disabled_client_side_validations` can name.
_VALIDATIONS = (
    "multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern "
    "maxItems minItems"
)
_LOG_FILE = "lakefs_client.logger_file"  # what the handler of that file is called


class Configuration:
    """Settings of an `ApiClient`. Changes apply from the next call.

    Args:
        host: Address of the server. A missing scheme (``http``) and base path (``/api/v1``) are
            added. Default ``http://localhost/api/v1``.
        api_key: Session cookies by scheme: ``cookie_auth``, ``oidc_auth``, ``saml_auth``. The dict
            is kept by reference.
        api_key_prefix: Words to send before the keys, by scheme.
        access_token: Token for bearer authentication. It takes precedence over the access key
            pair.
        username: Access key id.
        password: Secret access key.
        discard_unknown_keys: True to drop properties that this release does not know.
        disabled_client_side_validations: Checks of arguments to skip, separated by commas:
            ``maximum``, ``minimum``, ``pattern``, ``minLength``, ``minItems``.
        server_index: Index in `get_host_settings`, used if there is no host.
        server_variables: Values for the placeholders of that server's address.
        server_operation_index: Accepted for compatibility, without effect.
        server_operation_variables: Accepted for compatibility, without effect.
        ssl_ca_cert: Path of a file of certificate authorities that replaces certifi's.

    Attributes:
        verify_ssl: False to accept any certificate. Default True.
        cert_file: Path of the client certificate, PEM.
        key_file: Path of the client certificate's private key, PEM.
        assert_hostname: Name to expect in the server's certificate. False for any name.
        proxy: URL of a proxy for all requests. It replaces the environment's ``http_proxy``,
            ``https_proxy`` and ``all_proxy``.
        proxy_headers: Headers for the proxy, for example from ``urllib3.make_headers``.
        no_proxy: Hosts without a proxy, separated by commas. It replaces the environment's.
        connect_timeout: Seconds for opening a connection. Default 10.
        read_timeout: Seconds for each wait for a byte, in either direction. Default 300.
        retries: A `RetryPolicy`, a number of retries, False for none, or urllib3's Retry. Default
            ``RetryPolicy()``.
        max_answer_size: Maximum size of a response in memory, in bytes. Default 256 MiB. Objects
            have no such limit.
        max_error_size: Maximum size of an error's body, in bytes. Default 1 MiB.
        connection_pool_maxsize: Maximum number of idle connections per host. Default: the number
            of connections that were in use at the same time.
        socket_options: Options of new sockets, as for ``socket.setsockopt``.
        safe_chars_for_path_param: Characters that are not escaped in path arguments.
        temp_folder_path: Folder for large responses and for parts of uploaded streams. Default:
            the system's temporary folder.
        token_provider: Source of a bearer token for each request without `access_token`, such as a
            login of `lakefs_client.tokens`.
        refresh_api_key_hook: Function that is called with the configuration before a key is used.
        debug: True to log at DEBUG. Credentials and signed URLs are never logged.
        logger_file: File for the package's log, in addition to existing handlers.
        logger_format: Format of the lines in that file.

    Raises:
        ApiValueError: The host is not a valid address.
        ApiTypeError: An argument has the wrong type.
    """

    _default: ClassVar[Configuration | None] = None

    # Nothing changes in the package's log until one of these is set.
    debug: bool = False
    logger_file: str | None = None
    logger_format: str = "%(asctime)s %(levelname)s %(message)s"

    username: str | None
    password: str | None
    access_token: str | None

    def __init__(
        self,
        host: str | None = None,
        api_key: dict[str, str] | None = None,
        api_key_prefix: dict[str, str] | None = None,
        access_token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        discard_unknown_keys: bool = False,
        disabled_client_side_validations: str = "",
        server_index: int | None = None,
        server_variables: Mapping[str, str] | None = None,
        server_operation_index: Mapping[str, int] | None = None,
        server_operation_variables: Mapping[str, Mapping[str, str]] | None = None,
        ssl_ca_cert: str | None = None,
    ) -> None:
        for name, given in (("api_key", api_key), ("api_key_prefix", api_key_prefix)):
            if given is not None and not isinstance(given, dict):
                raise ApiTypeError(
                    f"{name} must be a dict, not {type(given).__name__}: give access keys as "
                    "username= and password="
                )
        self.server_index = 0 if server_index is None and host is None else server_index
        self.server_variables = server_variables or {}
        self.server_operation_index = server_operation_index or {}
        self.server_operation_variables = server_operation_variables or {}
        self.host = self.get_host_from_settings(self.server_index) if host is None else host
        self.api_key = api_key or {}
        self.api_key_prefix = api_key_prefix or {}
        self.access_token = access_token
        self.username = username
        self.password = password
        self.discard_unknown_keys = discard_unknown_keys
        self.disabled_client_side_validations = disabled_client_side_validations
        self.refresh_api_key_hook: Callable[[Configuration], object] | None = None
        self.token_provider: TokenProvider | None = None

        self.verify_ssl = True
        self.ssl_ca_cert = ssl_ca_cert
        self.cert_file: str | None = None
        self.key_file: str | None = None
        self.assert_hostname: str | bool | None = None
        self.proxy: str | None = None
        self.proxy_headers: Mapping[str, str] | None = None
        self.no_proxy: str | None = None
        self.connect_timeout: float = 10.0
        self.read_timeout: float = 300.0
        self.max_answer_size: int = 256 << 20
        self.max_error_size: int = 1 << 20
        self.retries: RetryPolicy | urllib3.Retry | int | None = None
        self.connection_pool_maxsize: int | None = None
        self.socket_options: Sequence[tuple[int, int, int | bytes]] | None = None

        self.safe_chars_for_path_param = ""
        self.temp_folder_path: str | None = None

    def __repr__(self) -> str:
        user = f" username={self.username!r}" if self.username else ""
        return f"<{type(self).__name__} host={self.host!r}{user}>"

    @property
    def host(self) -> str:
        """Address of the server with scheme and base path, without a trailing slash."""
        return self._host

    @host.setter
    def host(self, value: str) -> None:
        self._host = normalize_host(value)

    @property
    def disabled_client_side_validations(self) -> str:
        """Skipped checks of arguments, separated by commas."""
        return ",".join(sorted(self.disabled_validations))

    @disabled_client_side_validations.setter
    def disabled_client_side_validations(self, value: str) -> None:
        names = {name for name in re.split(r"[,\s]+", value) if name}
        unknown = names.difference(_VALIDATIONS.split())
        if unknown:
            listed = ", ".join(sorted(unknown))
            raise ApiValueError(f"disabled_client_side_validations: no such check: {listed}")
        self.disabled_validations = frozenset(names)

    @classmethod
    def from_environment(cls, **explicit: Unpack[Options]) -> Self:
        """Return a configuration with lakectl's settings, of which `explicit` win.

        Each value comes from the first place that has it: the arguments, the ``LAKECTL_*``
        variables, the file that ``LAKECTL_CONFIG_FILE`` names, else ``~/.lakectl.yaml``. Files need
        PyYAML, the extra ``[yaml]``. ``lakefs_client.credentials.discover`` says where a value
        comes from.

        Args:
            explicit: Arguments of this class.

        Raises:
            ApiTypeError: A value in the file has the wrong type.
            ApiValueError: No server or no credentials were found, or what was found cannot be used.
            OSError: The file cannot be read.
            ImportError: There is a file and PyYAML is missing.
        """
        from lakefs_client.credentials import discover

        return discover(**explicit).instantiate(cls)

    @classmethod
    def set_default(cls, default: Configuration | None) -> None:
        """Set the default configuration, which ``ApiClient()`` copies."""
        cls._default = copy.deepcopy(default)

    @classmethod
    def get_default_copy(cls) -> Configuration:
        """Return a copy of the default configuration, or a new configuration without one."""
        return cls() if cls._default is None else copy.deepcopy(cls._default)

    def get_api_key_with_prefix(self, identifier: str, alias: str | None = None) -> str | None:
        """Return the key of a security scheme, with its prefix if it has one."""
        if self.refresh_api_key_hook is not None:
            self.refresh_api_key_hook(self)
        key = self.api_key.get(identifier, self.api_key.get(alias) if alias else None)
        if not key:
            return None
        key = trimmed(key)
        prefix = self.api_key_prefix.get(identifier)
        return f"{prefix} {key}" if prefix else key

    def get_basic_auth_token(self) -> str:
        """Return the ``Authorization`` header for the access key pair."""
        pair = f"{trimmed(self.username or '')}:{trimmed(self.password or '')}"
        try:
            return "Basic " + b64encode(pair.encode()).decode("ascii")
        except UnicodeEncodeError:
            pair = ""  # which tools that show variables would quote
            # Without the cause, which quotes the password.
            text = "Configuration.username and password must be encodable as UTF-8"
            raise ApiValueError(text) from None

    def auth_settings(self) -> dict[str, dict[str, str | None]]:
        """Return the security schemes that have credentials, by name."""
        settings: dict[str, dict[str, str | None]] = {}
        header = {"in": "header", "key": "Authorization"}
        if self.username is not None and self.password is not None:
            token = self.get_basic_auth_token()
            settings["basic_auth"] = {"type": "basic", **header, "value": token}
        if self.access_token is not None:
            token = f"Bearer {trimmed(self.access_token)}"
            settings["jwt_token"] = {"type": "bearer", "format": "JWT", **header, "value": token}
        for name, cookie in SESSION_COOKIES.items():
            if name in self.api_key:
                key = self.get_api_key_with_prefix(name)
                settings[name] = {"type": "api_key", "in": "cookie", "key": cookie, "value": key}
        return settings

    def s3_gateway(
        self, *, endpoint_url: str | None = None, region: str = "us-east-1"
    ) -> S3Gateway:
        """Return the options of boto3, s3fs, deltalake, polars, DuckDB and pyarrow for lakeFS.

        Args:
            endpoint_url: The gateway's address if it has one of its own; by default the host's.
            region: The region that requests are signed for.

        Raises:
            ApiValueError: There is no access key pair, which the gateway needs.
        """
        from lakefs_client.gateway import S3Gateway

        if not self.username or not self.password:
            text = "the S3 gateway takes access keys alone: give username and password"
            raise ApiValueError(text)
        if endpoint_url is None:
            endpoint_url = "{0.scheme}://{0.netloc}".format(urlsplit(self.host))
        verify = (self.ssl_ca_cert or True) if self.verify_ssl else False
        return S3Gateway(
            endpoint_url.rstrip("/"), self.username, self.password, region=region, verify=verify
        )

    def get_host_settings(self) -> list[dict[str, Any]]:
        """Return the servers of the API document."""
        return [{"url": BASE_PATH, "description": "A lakeFS server"}]

    def get_host_from_settings(
        self,
        index: int | None,
        variables: Mapping[str, str] | None = None,
        servers: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """Return the address of one of the servers, with its placeholders filled in.

        Args:
            index: Index in the list. None for the configured host.
            variables: Values of placeholders. The server's defaults apply to the others.
            servers: List of servers. Default `get_host_settings`.

        Raises:
            ValueError: The server does not exist, or a value is not allowed.
        """
        if index is None:
            return self._host
        if servers is None:
            servers = self.get_host_settings()
        if not 0 <= index < len(servers):
            raise ApiValueError(f"Invalid index {index}: there are {len(servers)} servers")
        server = servers[index]
        url: str = server["url"]
        given = self.server_variables if variables is None else variables
        for name, variable in server.get("variables", {}).items():
            value = given.get(name, variable["default_value"])
            allowed = variable.get("enum_values")
            if allowed and value not in allowed:
                text = f"The variable `{name}` in the host URL has invalid value {value}."
                raise ApiValueError(f"{text} Must be {allowed}.")
            url = url.replace(f"{{{name}}}", str(value))
        return DEFAULT_HOST if url == BASE_PATH else url

    def to_debug_report(self) -> str:
        """Return the versions and the platform for a bug report, without credentials."""
        import platform

        return (
            f"Python SDK Debug Report:\nOS: {platform.platform()}\n"
            f"Python Version: {platform.python_version()}\nSDK Package Version: {__version__}"
        )

    @property
    def logger(self) -> dict[str, logging.Logger]:
        """The package's logger, as ``{"package_logger": …}``."""
        import logging

        return {"package_logger": logging.getLogger("lakefs_client")}

    if not TYPE_CHECKING:
        # Hidden from checkers, for which every name could be set.

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name in ("debug", "logger_file", "logger_format"):
                self._log()

    def _log(self) -> None:
        import logging

        logger = self.logger["package_logger"]
        logger.setLevel(logging.DEBUG if self.debug else logging.NOTSET)
        for handler in list(logger.handlers):
            if handler.name == _LOG_FILE:
                logger.removeHandler(handler)
                handler.close()
        if self.logger_file:
            handler = logging.FileHandler(self.logger_file)
            handler.name = _LOG_FILE
            handler.setFormatter(logging.Formatter(self.logger_format))
            logger.addHandler(handler)

    def __deepcopy__(self, memo: dict[int, Any]) -> Configuration:
        clone: Configuration = type(self).__new__(type(self))
        memo[id(self)] = clone
        # A hook or a provider may hold anything, a lock included: it is shared, not copied.
        shared = {"refresh_api_key_hook", "retries", "token_provider"}
        for name, value in self.__dict__.items():
            clone.__dict__[name] = value if name in shared else copy.deepcopy(value, memo)
        return clone


def trimmed(value: str) -> str:
    """Return a credential without line feeds at its end, as files with mounted secrets have."""
    return value.rstrip("\r\n") if isinstance(value, str) else value


def normalize_host(value: str) -> str:
    """Complete a server's address: scheme and base path where missing, no slash at the end."""
    if not isinstance(value, str):
        raise ApiTypeError(f"Configuration.host must be a str, not {type(value).__name__}")
    host = value.strip()
    if re.search(r"[\x00-\x20\x7f\\]", host) or not host:
        raise ApiValueError("Configuration.host must be an address like https://lakefs.example.com")
    if "://" not in host:
        # An API path alone is what the old package had for a default.
        host = DEFAULT_HOST if host.rstrip("/") == BASE_PATH else f"http://{host}"
    host = host.rstrip("/")
    try:
        parts = urlsplit(host)
        # A colon without a port is what a mistyped scheme leaves: "http:/lakefs".
        complete = parts.hostname and parts.port != 0 and not parts.netloc.endswith(":")
        if not complete or parts.scheme not in ("http", "https"):
            raise ValueError
    except ValueError:
        raise ApiValueError(
            "Configuration.host must be an http or https address like https://lakefs.example.com"
        ) from None
    if "@" in parts.netloc:
        text = "Configuration.host must not carry credentials; give username and password"
        raise ApiValueError(text)
    if parts.query or parts.fragment:
        raise ApiValueError("Configuration.host must not have a query or a fragment")
    return host if parts.path.rstrip("/") else host + BASE_PATH
