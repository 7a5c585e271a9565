"""The client: it encodes calls, sends them, and decodes the responses."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

from lakefs_client import _body, _encode, _process, auth, models
from lakefs_client._annotations import kind_of
from lakefs_client._answer import read_stored
from lakefs_client._connection import current
from lakefs_client._kinds import Decoding, File, Primitive
from lakefs_client._redact import Secret, redact
from lakefs_client._request import OPTIONS, PreparedCall, bind
from lakefs_client._version import __version__
from lakefs_client.configuration import Configuration
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    InvalidAnswerError,
    MergeConflictError,
    UnauthorizedException,
)
from lakefs_client.rest import Message, RESTClientObject, RESTResponse
from lakefs_client.retry import retry_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from multiprocessing.pool import ApplyResult, ThreadPool

    import urllib3
    from typing_extensions import Self, Unpack

    from lakefs_client._kinds import Kind
    from lakefs_client._operation import Operation
    from lakefs_client.configuration import Options
    from lakefs_client.rest import RequestTimeout

# Maximum size of a download in memory. Larger ones are buffered on disk.
_IN_MEMORY = 1 << 20
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PATCH", "PUT", "DELETE")


class ApiClient:
    """A client of a lakeFS server. Threads may share it, and it works after a fork.

    Args:
        configuration: Address, credentials and settings. Default: a copy of the default
            configuration. It may change later.
        header_name: Name of a header to send with every request.
        header_value: Value of that header.
        cookie: Cookie to send with every request, as ``name=value``.
        pool_threads: Number of threads for calls with ``async_req=True``. They start with the
            first such call.

    Attributes:
        rest_client: Connections to the server.
        store_client: Connections to object stores, without lakeFS's credentials.
        default_headers: Headers of every request.
        last_response: Response to the last call of any thread.

    Raises:
        ApiTypeError: The configuration is a str.
        ApiValueError: A header or the cookie has control characters.
    """

    def __init__(
        self,
        configuration: Configuration | None = None,
        header_name: str | None = None,
        header_value: str | None = None,
        cookie: str | None = None,
        pool_threads: int = 1,
    ) -> None:
        if configuration is None:
            configuration = Configuration.get_default_copy()
        if isinstance(configuration, (str, bytes)):
            raise ApiTypeError(
                "configuration must be a Configuration, not "
                f"{type(configuration).__name__}: give Configuration(host=…)"
            )
        self.configuration = configuration
        self.rest_client = RESTClientObject(configuration)
        self.store_client = RESTClientObject(configuration, for_store=True)
        self.default_headers: dict[str, str] = {}
        self._checked_headers: dict[str, str] = {}
        if header_name is not None:
            self.set_default_header(header_name, header_value or "")
        self.cookie = cookie and auth.require_header_safe("cookie", cookie)
        self.pool_threads = pool_threads
        self.last_response: RESTResponse | None = None
        self.user_agent = f"lakefs-client-python/{__version__}"
        self._lock = threading.Lock()
        self._pool: ThreadPool | None = None
        _process.register(self)

    @classmethod
    def from_environment(cls, **explicit: Unpack[Options]) -> Self:
        """Return a client for lakectl's settings; see `Configuration.from_environment`."""
        return cls(Configuration.from_environment(**explicit))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.configuration!r}>"

    def __getstate__(self) -> dict[str, Any]:
        fresh = {"_lock", "_pool", "last_response"}
        return {name: value for name, value in self.__dict__.items() if name not in fresh}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._pool, self.last_response = threading.Lock(), None, None
        _process.register(self)

    def abandon(self) -> object:
        """Leave the threads of asynchronous calls to the parent process."""
        old = self._lock, self._pool
        self._lock, self._pool = threading.Lock(), None
        return old

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for asynchronous calls and close every connection. The next call opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
            pool.join()
        self.rest_client.close()
        self.store_client.close()

    @property
    def pool(self) -> ThreadPool:
        """Threads of asynchronous calls, from first use until the client is closed."""
        with self._lock:
            if self._pool is None:
                from multiprocessing.pool import ThreadPool

                self._pool = ThreadPool(self.pool_threads)
                weakref.finalize(self, _terminate, self._pool, os.getpid())
            return self._pool

    @property
    def user_agent(self) -> str:
        """The ``User-Agent`` of every request."""
        return self.default_headers["User-Agent"]

    @user_agent.setter
    def user_agent(self, value: str) -> None:
        self.set_default_header("User-Agent", value)

    def set_default_header(self, header_name: str, header_value: str) -> None:
        """Send a header with every request. Headers of a call and credentials take precedence.

        Raises:
            ApiValueError: The name or the value holds control characters.
        """
        auth.require_header_safe("header_name", header_name)
        auth.require_header_safe(f"the header {header_name}", header_value)
        for known in self.default_headers:
            if known.lower() == header_name.lower():
                header_name = known
        self.default_headers[header_name] = header_value

    def call(self, operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call an operation, as the methods of the groups do."""
        return self.perform(bind(operation, args, kwargs, self.configuration))

    def perform(self, request: PreparedCall) -> Any:
        """Send a prepared call and return the result.

        Raises:
            ApiException: The server answered with an error, not at all, or with an invalid
                response.
        """
        options = request.options
        if options["async_req"]:
            request.options = {**options, "async_req": False}
            return self._start(request)
        host = request.host or self.configuration.get_host_from_settings(options["_host_index"])
        preload = options["_preload_content"]
        download = preload and isinstance(request.kind, File)

        response: Any = None
        for renewed in (False, True):
            try:
                response = self.rest_client.send(
                    lambda: self._message(request, host),
                    safety=request.safety,
                    policy=request.policy or retry_policy(self.configuration.retries),
                    timeout=options["_request_timeout"],
                    preload=preload and not download,
                    elsewhere=self.store_client,
                    receive=self._download if download else None,
                )
                break
            except ApiException as error:
                rejected = isinstance(error, UnauthorizedException) and not renewed
                if rejected and self._rejected(request, error):
                    continue  # with a new token, once
                self._describe(error, request, host)
                raise
        if not preload:
            if isinstance(request.kind, File):
                response.decode_content = False  # a content coding belongs to the object
            return response
        if download:
            response, data = response
            answer = RESTResponse(response)
        else:
            answer = RESTResponse(response)
            check = options["_check_return_type"]
            nothing = answer.status == 204 and not request.documented
            kind = None if nothing else request.kind
            data = self._decoded(answer, kind, check, request.operation)
        self.last_response = answer
        if options["_return_http_data_only"]:
            return data
        return data, answer.status, answer.headers

    def _describe(self, error: ApiException, request: PreparedCall, host: str) -> None:
        """Add to an error what the network layer does not know of the call."""
        error.operation, error.method = request.operation, request.method
        error.url = redact(host + request.path.partition("?")[0])
        if isinstance(error, UnauthorizedException) and request.auth and not error.hint:
            error.hint = auth.missing_credentials(self.configuration)
        if isinstance(error, MergeConflictError):
            from lakefs_client._conflicts import conflicting_paths

            error._find_paths = lambda: conflicting_paths(self.call_api, request.path, host)

    def _start(self, request: PreparedCall) -> ApplyResult[Any]:
        """Perform a call in a thread of the client's pool, or at once while the program ends."""
        result: Any = None
        # Nothing ends the threads of a pool that is made once the main thread has ended.
        if self._pool is not None or threading.main_thread().is_alive():
            with suppress(RuntimeError, ValueError):  # the pool has ended, or no thread can start
                result = self.pool.apply_async(self.perform, (request,))
        if result is None:
            result = _completed(lambda: self.perform(request))
        result.client = self  # whose end would end the threads before the result is there
        return result  # type: ignore[no-any-return]

    def _decoded(self, response: Any, kind: Kind | None, check: bool, operation: str) -> Any:
        """Return the result of a response with a 2xx status, or raise an error."""
        if kind is None:
            return None
        try:
            if isinstance(kind, Primitive) and kind.classes == (str,):
                return _plain_text(response)
            data = json.loads(_text(response))
            decoding = Decoding(True, self.configuration.discard_unknown_keys, check)
            return kind.load(data, ("received_data",), decoding)
        except ApiTypeError as error:
            raise InvalidAnswerError(response, operation, error) from None
        except (ValueError, LookupError, RecursionError) as error:
            found = "an empty body"
            if response.data:
                media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
                media_type = media_type or "no content type"
                found = f"{len(response.data)} bytes of {media_type}"
            problem = ApiTypeError(f"expected JSON, got {found}")
            raise InvalidAnswerError(response, operation, problem) from error

    def _token(self, request: PreparedCall) -> str | None:
        """Return the bearer token for a request: the configured one, else a provider's."""
        configuration = self.configuration
        provider = configuration.token_provider
        if configuration.access_token is None and provider and "jwt_token" in request.auth:
            request.token = provider.token(self)
            return request.token
        return configuration.access_token

    def _rejected(self, request: PreparedCall, error: ApiException) -> bool:
        """Drop the provider's token after a 401. Return False if a new one would not help."""
        provider = self.configuration.token_provider
        if provider is None or request.token is None:
            return False
        # The server answers 401 also to what the user may not do, whatever the token.
        if "insufficient permissions" in (error.body or ""):
            return False
        provider.reject(request.token)
        return request.body is None or request.body.repeatable

    def _message(self, request: PreparedCall, host: str) -> Message:
        current.operation = request.operation
        credentials = auth.credentials(self.configuration, request.auth, self._token(request))
        if self.cookie and request.auth:
            auth.require_header_safe("cookie", self.cookie)
            cookies = filter(None, (self.cookie, credentials.get("Cookie")))
            credentials["Cookie"] = Secret("; ".join(cookies))
        of_file = isinstance(request.kind, File)
        accept = "application/octet-stream, */*" if of_file else "application/json"
        headers = {"Accept": accept, **request.headers, **credentials}
        body = request.body
        if body is not None:
            headers.setdefault("Content-Type", body.content_type)
        defaults = self.default_headers
        if defaults != self._checked_headers:
            # The dict is open to everyone, so that only a look at sending counts.
            for name, value in defaults.items():
                auth.require_header_safe("default_headers", name)
                auth.require_header_safe(f"default_headers[{name!r}]", value)
            self._checked_headers = dict(defaults)
        if len(defaults) > 1:  # any but the user agent, in whatever case
            taken = {name.lower() for name in headers}
            if not request.auth:
                taken |= {"authorization", "cookie"}
            defaults = {n: v for n, v in defaults.items() if n.lower() not in taken}
        headers = {**defaults, **headers}
        if body is None:
            return Message(request.method, host + request.path, headers)
        if body.length is not None:
            headers["Content-Length"] = str(body.length)
        url = host + request.path
        return Message(request.method, url, headers, body.open(), request.secrets)

    def _download(
        self, response: urllib3.BaseHTTPResponse
    ) -> tuple[urllib3.BaseHTTPResponse, BinaryIO]:
        """Read an object into a temporary file without a name, which its closing deletes."""
        length = response.headers.get("Content-Length", "")
        small = length.isdecimal() and int(length) <= _IN_MEMORY
        folder = self.configuration.temp_folder_path
        file: Any = io.BytesIO() if small else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        try:
            while window := read_stored(response, _body.WINDOW):
                file.write(window)
        except BaseException:
            file.close()
            response.close()
            raise
        file.seek(0)
        return response, file

    def call_api(
        self,
        resource_path: str,
        method: str,
        path_params: Mapping[str, Any] | None = None,
        query_params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        header_params: Mapping[str, Any] | None = None,
        body: Any = None,
        post_params: Iterable[tuple[str, Any]] | None = None,
        files: Mapping[str, Any] | None = None,
        response_type: Any = None,
        auth_settings: Sequence[str] | None = None,
        async_req: bool | None = None,
        _return_http_data_only: bool | None = None,
        collection_formats: Mapping[str, str] | None = None,
        _preload_content: bool = True,
        _request_timeout: RequestTimeout = None,
        _host: str | None = None,
        _check_type: bool | None = None,
    ) -> Any:
        """Call a path without a method.

        Args:
            resource_path: Path below the host; names in braces are filled in.
            method: HTTP method.
            path_params: Values for the braces.
            query_params: The query, as pairs or a dict.
            header_params: Headers.
            body: Sent as JSON; bytes and binary files as they are.
            post_params: Fields of a form, in place of `body`.
            files: Open files of a form by field name, in place of `body`.
            response_type: Type of the answer's JSON, for instance ``(Repository,)``.
            auth_settings: Allowed security schemes; none by default.
            async_req: As for every method, like `_preload_content` and `_request_timeout`.
            _return_http_data_only: Return the result alone. Default: a tuple of result, status
                and headers.
            collection_formats: Accepted for compatibility: lists repeat their name.
            _host: Address to call instead of the configured one.
            _check_type: False: do not check the types in the answer. Default True.

        Raises:
            ApiException: As for every method.
            ApiValueError: An argument cannot be sent.
        """
        if method.upper() not in _METHODS:
            raise ApiValueError(f"method must be one of {', '.join(_METHODS)}: got {method!r}")
        safe = self.configuration.safe_chars_for_path_param
        path = resource_path
        for name, value in (path_params or {}).items():
            path = path.replace(f"{{{name}}}", _encode.path_segment(name, value, safe))
        if query_params:
            given = query_params
            pairs: Any = given.items() if isinstance(given, Mapping) else given
            path += ("&" if "?" in path else "?") + _encode.query(pairs)
        headers = {
            # Names in one spelling, so that none is sent twice.
            name.title(): auth.require_header_safe(name, str(value))
            for name, value in (header_params or {}).items()
        }
        request = PreparedCall(
            operation=f"{method} {resource_path}",
            method=method.upper(),
            path=path,
            headers=headers,
            body=_any_body(body, post_params, files),
            auth=auth_settings or (),
            kind=kind_of(response_type, _model) if response_type else None,
            safety="idempotent" if method.upper() in ("GET", "HEAD") else "unsent",
            options={
                **OPTIONS,
                "async_req": bool(async_req),
                "_return_http_data_only": bool(_return_http_data_only),
                "_preload_content": _preload_content,
                "_request_timeout": _request_timeout,
                "_check_return_type": _check_type is not False,
            },
            host=_host,
            value=[body, dict(post_params or ())],
            documented=False,
        )
        return self.perform(request)

    @classmethod
    def sanitize_for_serialization(cls, obj: Any) -> Any:
        """Return the JSON of a value: models as dicts with their JSON names, dates as text.

        Raises:
            ApiValueError: The value has no JSON form.
        """
        return json.loads(_encode.to_json(obj))

    def deserialize(self, response: Any, response_type: Any, _check_type: bool = True) -> Any:
        """Read the JSON in ``response.data`` as a type, for instance ``(Repository,)``.

        Raises:
            ApiTypeError: The JSON has another type.
        """
        answer = SimpleNamespace(status=200, reason="OK", headers={}, data=response.data)
        return self._decoded(answer, kind_of(response_type, _model), _check_type, "deserialize")


def _model(name: str) -> Any:
    return getattr(models, name)


def _terminate(pool: ThreadPool, pid: int) -> None:
    if os.getpid() == pid:  # a forked child has the object, but not its threads
        pool.terminate()


def _completed(call: Callable[[], Any]) -> Any:
    """Return the result of an asynchronous call that is made at once."""
    from multiprocessing.pool import ApplyResult

    result: Any = ApplyResult(SimpleNamespace(_cache={}), None, None)  # type: ignore[arg-type]
    try:
        outcome: tuple[bool, Any] = (True, call())
    except Exception as error:
        outcome = (False, error)
    result._set(0, outcome)
    return result


def _any_body(body: Any, fields: Any, files: Any) -> _body.RequestBody | None:
    if fields or files:
        if body is not None:
            raise ApiValueError("call_api takes either body or post_params and files")
        return _body.of_form(fields or (), files or {})
    if body is None:
        return None
    if isinstance(body, (bytes, bytearray, memoryview)) or hasattr(body, "read"):
        return _body.of_upload(body, "body")
    return _body.of_json(body)


def _text(response: Any) -> Any:
    """Return the body for `json`, which detects the UTF unless the header names a charset."""
    content_type = response.headers.get("Content-Type") or ""
    named = re.search(r"charset=[\"']?([\w.:-]+)", content_type, re.IGNORECASE)
    if named is None or isinstance(response.data, str) or named[1].lower() in ("utf-8", "utf8"):
        return response.data
    return response.data.decode(named[1])


def _plain_text(response: Any) -> str:
    body = _text(response)
    text: str = body if isinstance(body, str) else body.decode()
    if "json" in (response.headers.get("Content-Type") or ""):
        value = json.loads(text)
        if isinstance(value, str):
            return value
    return text
