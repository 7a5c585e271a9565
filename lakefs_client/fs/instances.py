"""Instances of the file system: which arguments, environments and threads share one."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

from lakefs_client.configuration import Configuration
from lakefs_client.fs._fsspec import AbstractFileSystem, apply_config, tokenize

_ARGUMENTS = (
    "host", "username", "password", "api_key", "api_key_prefix", "access_token", "verify_ssl",
    "ssl_ca_cert", "proxy", "create_branch_ok", "source_branch", "pre_sign", "request_config",
)  # fmt: skip
_CONNECTION = ("host", "username", "password", "access_token", "ssl_ca_cert")


if TYPE_CHECKING:
    _Meta = type
else:
    _Meta = type(AbstractFileSystem)


class SharedInstances(_Meta):
    """Metaclass that keeps one instance for what its arguments and the environment resolve to.

    fsspec's own keeps one for its arguments alone, so that a change of credentials in the
    environment goes unnoticed, and one a thread, so that a write in one thread leaves another's
    listings stale.
    """

    _sharing = threading.Lock()
    _cache: dict[str, Any]
    _latest: str | None

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if len(args) > len(_ARGUMENTS):
            raise TypeError(f"{cls.__name__} takes at most {len(_ARGUMENTS)} positional arguments")
        options = {**dict(zip(_ARGUMENTS, args)), **apply_config(cls, options)}
        fresh = options.pop("skip_instance_cache", False)
        configuration = resolve(options)
        # Pickles hold the arguments given, so that instances differ by those too.
        given = sorted((n, None if n in _CONNECTION else v) for n, v in options.items())
        token = tokenize(cls.__name__, _fingerprint(configuration), given)
        with SharedInstances._sharing:
            instance = None if fresh else cls._cache.get(token)
            if instance is None:
                instance = super().__call__(
                    **options, configuration=configuration, skip_instance_cache=True
                )
                instance._fs_token_ = token
                # Older releases of fsspec would pickle the configuration with them.
                instance.storage_options = options
                if not fresh:
                    cls._cache[token] = instance
            cls._latest = token
        return instance


def resolve(options: dict[str, Any]) -> Configuration:
    """Return the configuration for arguments of the file system.

    If the server or the credentials are missing, they come from the environment.

    Raises:
        ApiValueError: A value is missing or cannot be used.
    """
    given: Any = {name: options[name] for name in _CONNECTION if options.get(name) is not None}
    for name in ("api_key", "api_key_prefix"):
        value = options.get(name)
        if value is not None:
            given[name] = {"cookie_auth": value} if isinstance(value, str) else value
    complete = "host" in given and (
        {"username", "password"} <= given.keys() or {"access_token", "api_key"} & given.keys()
    )
    configuration = Configuration(**given) if complete else Configuration.from_environment(**given)
    configuration.verify_ssl = options.get("verify_ssl", True)
    configuration.proxy = options.get("proxy")
    timeout = (options.get("request_config") or {}).get("request_timeout")
    if timeout is not None:
        pair = timeout if isinstance(timeout, (tuple, list)) else (timeout, timeout)
        configuration.connect_timeout, configuration.read_timeout = pair
    return configuration


def _fingerprint(configuration: Configuration) -> str:
    """Return a digest of whom the configuration talks to, and as whom."""
    values = [str(getattr(configuration, name)) for name in (*_CONNECTION, "retries")]
    values += map(str, sorted(configuration.api_key.items()))
    return hashlib.sha256("\0".join(values).encode()).hexdigest()
