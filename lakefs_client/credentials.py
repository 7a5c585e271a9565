"""Discovery of a server's address and credentials: arguments, environment, lakectl's file.

Each value comes from the first place that has it: explicit arguments, then the ``LAKECTL_*``
variables, then the file that ``LAKECTL_CONFIG_FILE`` names, else ``~/.lakectl.yaml``. The names are
lakectl's and those of the ``lakefs`` package. Nothing is ever written to the file: lakectl refuses
keys that it does not know.
"""

from __future__ import annotations

import json
import os
import re
import stat
import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client._redact import HIDDEN
from lakefs_client.auth import require_header_safe
from lakefs_client.configuration import Configuration, normalize_host
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from typing_extensions import Unpack

    from lakefs_client.configuration import Options

    C = TypeVar("C", bound=Configuration)

FILE_VARIABLE = "LAKECTL_CONFIG_FILE"

ENDPOINT = "server.endpoint_url"
ACCESS_KEY_ID = "credentials.access_key_id"
SECRET_ACCESS_KEY = "credentials.secret_access_key"
SESSION_TOKEN = "credentials.session_token"
PROVIDER = "credentials.provider.type"

# The lakefs package reads a token from the environment alone; in the file lakectl refuses the key.
_NOT_IN_FILE = (SESSION_TOKEN,)

_SECRET = ("password", "access_token", "api_key")
_ARGUMENT = "argument"


class Setting(NamedTuple):
    """One discovered setting, as it may be shown.

    Attributes:
        name: Name of the attribute of `Configuration`.
        value: The value as text; a secret is masked.
        origin: ``argument``, the name of a variable, or a file and the key in it.
    """

    name: str
    value: str
    origin: str


class Found(NamedTuple):
    """A value and its origin, such as a variable's name."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Discovery:
    """The result of `discover`.

    Attributes:
        settings: Every setting that was found, secrets masked.
        searched: Where lakectl's keys were looked for, by key.
    """

    settings: list[Setting]
    searched: Mapping[str, str] = field(repr=False)
    _values: Mapping[str, Any] = field(repr=False)

    def configuration(self) -> Configuration:
        """Return a configuration with these settings.

        Raises:
            ApiValueError: No server's address or no credentials were found.
        """
        return self.instantiate(Configuration)

    def instantiate(self, cls: type[C]) -> C:
        """Return an instance of `Configuration` or its subclass `cls` with these settings."""
        arguments = dict(self._values)
        attributes = {name: arguments.pop(name, None) for name in ("retries", "token_provider")}
        if "host" not in arguments:
            places = self.searched[ENDPOINT]
            raise ApiValueError(f"no lakeFS server found. Give host, or set {places}.")
        given = arguments.keys() & {"username", "access_token", "api_key"}
        if not given and not attributes["token_provider"]:
            keys = f"{self.searched[ACCESS_KEY_ID]}, and {self.searched[SECRET_ACCESS_KEY]}"
            raise ApiValueError(
                f"no lakeFS credentials found. Give username and password, or set {keys}."
            )
        configuration = cls(**arguments)
        for name, value in attributes.items():
            setattr(configuration, name, value)
        return configuration


def discover(**explicit: Unpack[Options]) -> Discovery:
    """Look for the settings of a configuration, and remember where each of them was found.

    A token wins over an access key pair, and the pair over a login with an AWS identity
    (``credentials.provider``). Credentials among the arguments win over those found. An empty
    variable or key counts as absent. Of lakectl's file ``server.endpoint_url``, ``server.retries``
    and ``credentials`` are read.

    Args:
        explicit: Arguments of `Configuration`, which win over what is found. None is absent.

    Raises:
        ApiTypeError: A value in the file has the wrong type.
        ApiValueError: A value cannot be used, half a pair of credentials was found, or the file is
            empty or no YAML.
        OSError: The file exists and cannot be read, or a file that ``LAKECTL_CONFIG_FILE`` names
            does not exist.
        ImportError: There is a file and PyYAML is missing, the extra ``[yaml]``.
    """
    given = {name: Found(value, _ARGUMENT) for name, value in explicit.items() if value is not None}
    places = _Places()
    found = dict(given)
    if "host" not in given and (endpoint := places.text(ENDPOINT)):
        found["host"] = _usable(endpoint, normalize_host)
    if not given.keys() & {"access_token", "api_key"}:
        found |= _credentials(places, given)
    if retries := _retries(places):
        found["retries"] = retries
    places.warn_if_exposed(found.values())
    settings = [
        Setting(name, HIDDEN if name in _SECRET else str(item.value), item.origin)
        for name, item in found.items()
    ]
    searched = {key: places.describe(key) for key in (ENDPOINT, ACCESS_KEY_ID, SECRET_ACCESS_KEY)}
    return Discovery(settings, searched, {name: item.value for name, item in found.items()})


def _credentials(places: _Places, given: Mapping[str, Found]) -> dict[str, Found]:
    """Return a token, an access key pair, or a login; one half of the pair may be given."""
    paired = given.keys() & {"username", "password"}
    token = None if paired else places.text(SESSION_TOKEN)
    if token:
        return {"access_token": token}
    found = {}
    for name, key in (("username", ACCESS_KEY_ID), ("password", SECRET_ACCESS_KEY)):
        if item := given.get(name) or places.text(key):
            found[name] = item
    if len(found) == 1:
        (here,) = found.values()
        has, lacks = ACCESS_KEY_ID, SECRET_ACCESS_KEY
        if "password" in found:
            has, lacks = lacks, has
        raise ApiValueError(
            f"half a pair of credentials: found {has} ({here.origin}), "
            f"but no {lacks}. Set {places.describe(lacks)}."
        )
    if not found and (provider := _provider(places)):
        return {"token_provider": provider}
    return found


def _provider(places: _Places) -> Found | None:
    """Return the login that lakectl's provider settings ask for; None without such settings."""
    kind = places.text(PROVIDER)
    if kind is None:
        return None
    if kind.value != "aws_iam":
        raise ApiValueError(f"{kind.origin}: got {_shown(kind.value)}, expected 'aws_iam'.")
    from lakefs_client.tokens import AwsIamLogin

    prefix = "credentials.provider.aws_iam."
    # The lakefs package has another name for the second variable.
    alias = _variable(prefix + "presigned_url_ttl_seconds")
    options = {}
    for name, aliases, convert in (
        ("token_ttl_seconds", (), _seconds),
        ("url_presign_ttl_seconds", (alias,), _seconds),
        ("token_request_headers", (), _headers),
    ):
        if found := places.value(prefix + name, *aliases):
            options[name] = _usable(found, convert)
    origin = ", ".join(dict.fromkeys(item.origin for item in (kind, *options.values())))
    return Found(AwsIamLogin(**{name: item.value for name, item in options.items()}), origin)


def _retries(places: _Places) -> Found | None:
    """Return the policy that lakectl's retry settings amount to; None without such settings."""
    prefix = "server.retries."
    names = ("enabled", "max_attempts", "min_wait_interval", "max_wait_interval")
    enabled, attempts, *waits = (places.value(prefix + name, optional=True) for name in names)
    present = [item for item in (enabled, attempts, *waits) if item]
    if not present:
        return None
    origin = ", ".join(dict.fromkeys(item.origin for item in present))
    if enabled and not _usable(enabled, _boolean).value:
        return Found(RetryPolicy(attempts=1), origin)
    changes: dict[str, Any] = {}
    if attempts:
        # lakectl counts the repetitions alone.
        changes["attempts"] = 1 + _usable(attempts, _count).value
    for name, wait in zip(("min_wait", "max_wait"), waits):
        if wait:
            changes[name] = _usable(wait, _interval).value
    return Found(RetryPolicy(**changes), origin)


class _Places:
    """The environment and lakectl's file, where values are looked up by lakectl's keys."""

    def __init__(self) -> None:
        self.path, self._named = _config_file()
        self._content: Any = None
        self._was_read = False
        self._exposed = False

    def value(self, key: str, *aliases: str, optional: bool = False) -> Found | None:
        """Return a key's value from the environment, else from the file.

        Args:
            key: The dotted key, such as ``server.endpoint_url``.
            aliases: More names of its variable.
            optional: True to pass over the file if it is still unread and PyYAML is missing.
        """
        for name in (_variable(key), *aliases):
            if value := os.environ.get(name, "").strip():
                return Found(value, name)
        if key in _NOT_IN_FILE:
            return None
        value = self._from_file(key, optional=optional)
        return None if value is None or value == "" else Found(value, f"{key} in {self.path}")

    def text(self, key: str) -> Found | None:
        """Return a value that must be a string; the file's must be one in YAML, as for lakectl."""
        found = self.value(key)
        if found and not isinstance(found.value, str):
            raise ApiTypeError(
                f"{found.origin} must be a string, not {type(found.value).__name__}. "
                "Put the value in quotes."
            )
        return found

    def describe(self, key: str) -> str:
        """Name the places of a key, for messages."""
        places = [_variable(key)]
        if self.path is not None and key not in _NOT_IN_FILE:
            places.append(f"{key} in {self.path}")
        return " or ".join(places)

    def warn_if_exposed(self, found: Iterable[Found]) -> None:
        """Warn if a secret came from a file that every user of the machine may read."""
        secret = f"{SECRET_ACCESS_KEY} in {self.path}"
        if self._exposed and os.name == "posix" and any(item.origin == secret for item in found):
            text = f"{self.path} holds a secret, and every user of this machine may read it. "
            warnings.warn(f"{text}Run: chmod 600 {self.path}", stacklevel=4)

    def _from_file(self, key: str, *, optional: bool) -> Any:
        if not self._was_read:
            if optional and find_spec("yaml") is None:
                return None  # the environment alone says enough
            self._content, self._was_read = self._read(), True
        node = self._content
        walked: list[str] = []
        for step in key.split("."):
            if node is None:
                return None
            if not isinstance(node, dict):
                place = f"{'.'.join(walked)} in {self.path}" if walked else str(self.path)
                raise ApiTypeError(f"{place} must be a mapping, not {type(node).__name__}.")
            # lakectl takes the names of keys in any case.
            node = next((value for name, value in node.items() if str(name).lower() == step), None)
            walked.append(step)
        return node

    def _read(self) -> Any:
        """Return the content of the file; None if there is none to read."""
        if self.path is None:
            return None
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                self._exposed = bool(os.fstat(file.fileno()).st_mode & stat.S_IROTH)
                text = file.read()
        except OSError as error:
            # A default file that cannot even be looked for, as in another user's home, is absent.
            if not self._named and not os.path.exists(self.path):
                return None
            label = f"cannot read lakectl's configuration file ({FILE_VARIABLE})"
            raise type(error)(error.errno, f"{label}: {error.strerror}", str(self.path)) from None
        except UnicodeDecodeError:
            raise ApiValueError(f"{self.path} is not UTF-8 text.") from None
        content = _parse(text, self.path)
        if content is None:
            raise ApiValueError(
                f"{self.path} is empty. Write {ENDPOINT} and credentials to it, or "
                f"{f'unset {FILE_VARIABLE}' if self._named else 'remove it'}."
            )
        return content


def _config_file() -> tuple[Path | None, bool]:
    """Return the path of lakectl's file, and True if the environment names it.

    The path is None without a home directory, or if the null device is named.
    """
    if named := os.environ.get(FILE_VARIABLE, ""):
        return (None if named == os.devnull else Path(named).expanduser()), True
    try:
        return Path.home() / ".lakectl.yaml", False
    except RuntimeError:  # there is neither a variable nor an account to tell the home directory
        return None, False


def _parse(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise ImportError(
            f"reading {path} needs PyYAML. Install it with: pip install 'lakefs_client[yaml]'. "
            f"Or set {_variable(ENDPOINT)}, {_variable(ACCESS_KEY_ID)} and "
            f"{_variable(SECRET_ACCESS_KEY)}, and {FILE_VARIABLE}={os.devnull}.",
            name="yaml",
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        # PyYAML's own text quotes the line, with whatever secret is in it.
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    except (RecursionError, ValueError):  # a date such as 2026-99-99, or endless nesting
        place = ""
    raise ApiValueError(f"{path} is not valid YAML{place}.")


def _variable(key: str) -> str:
    return "LAKECTL_" + key.upper().replace(".", "_")


def _usable(found: Found, convert: Callable[[Any], Any]) -> Found:
    """Return a converted value, or raise an error that names its origin."""
    try:
        return Found(convert(found.value), found.origin)
    except ApiTypeError as error:
        raise ApiTypeError(f"{found.origin}: {error}") from None
    except ApiValueError as error:
        raise ApiValueError(f"{found.origin}: {error}") from None


_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


def _boolean(value: Any) -> bool:
    if str(value).lower() in (*_TRUE, *_FALSE):
        return str(value).lower() in _TRUE
    raise ApiTypeError(f"must be true or false, not {_shown(value)}.")


def _count(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,9}", str(value), re.ASCII):
        raise ApiTypeError(f"must be a whole number, not {_shown(value)}.")
    return int(value)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LONGEST = 2**63 * 1e-9  # in seconds; Go counts nanoseconds in 64 bits
_STEP = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(_UNITS)})")


def _interval(value: Any) -> float:
    """Parse a duration in Go's notation, such as ``1h30m`` or ``200ms``, as seconds."""
    text = str(value)
    if text == "0":
        return 0.0
    steps = list(_STEP.finditer(text))
    seconds = sum(float(step[1]) * _UNITS[step[2]] for step in steps)
    if "".join(step[0] for step in steps) != text.removeprefix("+") or not steps:
        raise ApiValueError(f"must be a duration with a unit, such as 200ms, not {_shown(value)}.")
    if seconds > _LONGEST:
        raise ApiValueError("must be a duration below 292 years.")
    return seconds


def _seconds(value: Any) -> int:
    """Parse a time to live: a number of seconds, or a duration in Go's notation."""
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value, re.ASCII):
        seconds = int(value)  # as the lakefs package reads it; lakectl takes it for nanoseconds
    else:
        seconds = int(_interval(value))
    if not 1 <= seconds <= _LONGEST:
        raise ApiValueError(f"must be at least one second, not {_shown(value)}.")
    return seconds


def _headers(value: Any) -> dict[str, str]:
    """Parse headers: a mapping, its JSON (the lakefs package), or ``k=v,k=v`` (lakectl)."""
    if isinstance(value, str):
        text = value
        try:
            value = json.loads(text)
        except ValueError:
            pairs = [pair.partition("=") for pair in text.split(",")]
            value = {name.strip(): content for name, equals, content in pairs if equals and name}
            if len(value) != len(pairs):
                raise ApiValueError("must be a JSON object, or name=value,name=value.") from None
    if not isinstance(value, dict) or not all(isinstance(x, str) for x in chain(*value.items())):
        raise ApiTypeError("must map names of headers to strings.")
    for name, content in value.items():
        require_header_safe("a header's name", name)
        require_header_safe(f"the header {name}", content)
    return value


def _shown(value: Any) -> str:
    """Return a value's type, and the value itself if it is short and simple."""
    if isinstance(value, (str, bool, int, float)) and len(str(value)) <= 20:
        return repr(value)
    return type(value).__name__
