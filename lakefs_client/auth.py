"""Credentials of a request: the ``Authorization`` and ``Cookie`` headers."""

from __future__ import annotations

from lakefs_client._redact import Secret
from lakefs_client._security import SESSION_COOKIES
from lakefs_client.configuration import trimmed
from lakefs_client.exceptions import ApiTypeError, ApiValueError

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefs_client.configuration import Configuration


def require_header_safe(name: str, value: str) -> str:
    """Return a header's value if a header can carry it, in UTF-8.

    Raises:
        ApiTypeError: The value is not a str.
        ApiValueError: The value has control characters, which could start another header. The
            message does not repeat the value, which may be a secret.
    """
    if not isinstance(value, str):
        raise ApiTypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value.isprintable() and any((c < " " and c != "\t") or c == "\x7f" for c in value):
        raise ApiValueError(f"{name} must not hold control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ApiValueError(f"{name} must be encodable as UTF-8") from None
    return value


def missing_credentials(configuration: Configuration) -> str | None:
    """Return a hint if a configuration has no credentials, or half of a pair; else None."""
    half = {
        name: getattr(configuration, name) for name in ("username", "password")
    }  # fmt: skip
    given = [name for name, value in half.items() if value]
    if configuration.access_token or configuration.api_key or configuration.token_provider:
        return None
    if not given:
        return (
            "No credentials were sent: set username and password of the Configuration, or use "
            "Configuration.from_environment()"
        )
    if len(given) == 1:
        (lacking,) = half.keys() - given
        return f"No credentials were sent: the Configuration has a {given[0]} and no {lacking}"
    return None


def credentials(
    configuration: Configuration, names: Iterable[str], token: str | None
) -> dict[str, str]:
    """Return the ``Authorization`` and ``Cookie`` headers for the named security schemes.

    The token, the configuration's or a provider's, wins over user name and password. The cookies
    travel together, each with its name. A key of the form ``name=value`` is sent as it is.

    Raises:
        ApiTypeError: A credential is not a str.
        ApiValueError: A credential holds characters that no header can carry.
    """
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name in names:
        if name == "jwt_token":
            if token is not None:
                token = trimmed(token)
                require_header_safe("Configuration.access_token", token)
                headers["Authorization"] = Secret(f"Bearer {token}")
        elif name == "basic_auth":
            if configuration.username is not None and configuration.password is not None:
                headers.setdefault("Authorization", Secret(configuration.get_basic_auth_token()))
        elif name in configuration.api_key:
            key = configuration.get_api_key_with_prefix(name) or ""
            require_header_safe(f"Configuration.api_key[{name!r}]", key)
            cookie = SESSION_COOKIES.get(name, name)
            cookies.append(key if key.startswith(f"{cookie}=") else f"{cookie}={key}")
    if cookies:
        headers["Cookie"] = Secret("; ".join(cookies))
    return headers
