"""Discovery of settings: precedence of sources, formats, errors that name the source."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefs_client import ApiClient, ApiTypeError, ApiValueError, Configuration, RetryPolicy
from lakefs_client.apis import AuthApi
from lakefs_client.client import LakeFSClient
from lakefs_client.credentials import Discovery, _interval, discover
from lakefs_client.sandbox import Sandbox
from lakefs_client.tokens import AwsIamLogin

ENDPOINT = "LAKECTL_SERVER_ENDPOINT_URL"
KEY_ID = "LAKECTL_CREDENTIALS_ACCESS_KEY_ID"
SECRET = "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"
TOKEN = "LAKECTL_CREDENTIALS_SESSION_TOKEN"

FILE = """\
credentials:
  access_key_id: file-id
  secret_access_key: file-secret
server:
  endpoint_url: https://file.example.com
"""

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty home directory, and an environment without lakectl's variables."""
    for name in list(os.environ):
        if name.startswith("LAKECTL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def write(home: Path) -> Write:
    """Provide a function that writes lakectl's file, readable by its owner only."""

    def write(text: str = FILE, name: str = ".lakectl.yaml", mode: int = 0o600) -> Path:
        path = home / name
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return path

    return write


def origins(found: Discovery) -> dict[str, tuple[str, str]]:
    return {setting.name: (setting.value, setting.origin) for setting in found.settings}


def test_default_file_gives_server_and_keys(write: Write) -> None:
    write()
    configuration = Configuration.from_environment()
    assert configuration.host == "https://file.example.com/api/v1"
    assert (configuration.username, configuration.password) == ("file-id", "file-secret")
    assert configuration.retries is None


def test_plain_configuration_discovers_nothing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    monkeypatch.setenv(KEY_ID, "x")
    configuration = Configuration()
    assert (configuration.host, configuration.username) == ("http://localhost/api/v1", None)


def test_named_file_replaces_default_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    named = write(FILE.replace("file-id", "other-id"), "other.yaml")
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", str(named))
    assert Configuration.from_environment().username == "other-id"
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", "~/other.yaml")
    assert Configuration.from_environment().username == "other-id"
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", "")
    assert Configuration.from_environment().username == "file-id"


def test_argument_precedes_environment_and_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    monkeypatch.setenv(KEY_ID, "env-id")
    monkeypatch.setenv("LAKECTL_SERVER_RETRIES_MAX_ATTEMPTS", "7")
    found = discover(host="lakefs.example.com", ssl_ca_cert="ca.pem")
    assert origins(found) == {
        "host": ("lakefs.example.com", "argument"),
        "ssl_ca_cert": ("ca.pem", "argument"),
        "username": ("env-id", KEY_ID),
        "password": ("***", f"credentials.secret_access_key in {path}"),
        "retries": (repr(RetryPolicy(attempts=8)), "LAKECTL_SERVER_RETRIES_MAX_ATTEMPTS"),
    }
    configuration = found.configuration()
    assert configuration.host == "http://lakefs.example.com/api/v1"
    assert (configuration.username, configuration.password) == ("env-id", "file-secret")
    assert configuration.ssl_ca_cert == "ca.pem"
    assert configuration.retries == RetryPolicy(attempts=8)


def test_empty_variable_is_absent(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    for name in (ENDPOINT, KEY_ID, SECRET, TOKEN):
        monkeypatch.setenv(name, "")
    assert Configuration.from_environment().username == "file-id"


def test_trailing_line_feed_of_variable_is_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ((ENDPOINT, "http://h\n"), (KEY_ID, "id\n"), (SECRET, "secret\r\n")):
        monkeypatch.setenv(name, value)
    configuration = Configuration.from_environment()
    assert (configuration.username, configuration.password) == ("id", "secret")


def test_session_token_precedes_file_keys(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    monkeypatch.setenv(TOKEN, "env-token")
    configuration = Configuration.from_environment()
    assert (configuration.access_token, configuration.username) == ("env-token", None)
    assert origins(discover())["access_token"] == ("***", TOKEN)


@pytest.mark.parametrize(
    ("explicit", "expected"),
    [
        ({"username": "u", "password": "p"}, ("u", "p", None)),
        ({"username": "u"}, ("u", "file-secret", None)),
        ({"access_token": "t"}, (None, None, "t")),
        ({"api_key": {"cookie_auth": "c"}}, (None, None, None)),
        ({"username": None, "access_token": None}, (None, None, "env-token")),
    ],
)
def test_explicit_credentials_precede_discovered_ones(
    write: Write, monkeypatch: pytest.MonkeyPatch, explicit: Any, expected: tuple[Any, ...]
) -> None:
    write()
    monkeypatch.setenv(TOKEN, "env-token")
    found = Configuration.from_environment(**explicit)
    assert (found.username, found.password, found.access_token) == expected


def test_session_token_in_file_is_ignored(write: Write) -> None:
    write(FILE.replace("access_key_id: file-id", "session_token: t"))
    with pytest.raises(ApiValueError, match="half a pair"):
        discover()


@pytest.mark.parametrize("endpoint", ["https://h", "https://h/", "https://h/api/v1", "https://h/x"])
def test_endpoint_without_path_gets_base_path(write: Write, endpoint: str) -> None:
    write(FILE.replace("https://file.example.com", endpoint))
    suffix = "/x" if endpoint.endswith("x") else "/api/v1"
    assert Configuration.from_environment().host == f"https://h{suffix}"


def test_file_keys_are_case_insensitive(write: Write) -> None:
    write(FILE.replace("credentials", "Credentials").replace("access_key_id", "ACCESS_KEY_ID"))
    assert Configuration.from_environment().username == "file-id"


def test_unknown_keys_are_ignored(write: Write) -> None:
    write(FILE + "options:\n  parallelism: 3\nmetastore: {}\nnetwork:\n")
    assert Configuration.from_environment().username == "file-id"


def test_clients_use_discovered_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox() as sandbox:
        monkeypatch.setenv(ENDPOINT, sandbox.endpoint)
        monkeypatch.setenv(KEY_ID, sandbox.access_key_id)
        monkeypatch.setenv(SECRET, sandbox.secret_access_key)
        with ApiClient.from_environment() as client:
            assert AuthApi(client).get_current_user().user.id == "admin"
        with LakeFSClient.from_environment(host=sandbox.endpoint) as groups:
            assert groups.auth_api.get_current_user().user.id == "admin"


def test_from_environment_returns_the_subclass(write: Write) -> None:
    class Mine(Configuration):
        pass

    write()
    assert type(Mine.from_environment()) is Mine


# Retries


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("enabled: true", RetryPolicy()),
        ("enabled: false\n    max_attempts: 9", RetryPolicy(attempts=1)),
        ('enabled: "f"', RetryPolicy(attempts=1)),
        ("max_attempts: 4", RetryPolicy(attempts=5)),
        ("max_attempts: 0", RetryPolicy(attempts=1)),
        (
            "min_wait_interval: 200ms\n    max_wait_interval: 1m30s",
            RetryPolicy(min_wait=0.2, max_wait=90.0),
        ),
        ("min_wait_interval: 0", RetryPolicy(min_wait=0.0)),
    ],
)
def test_lakectl_retries_become_a_retry_policy(
    write: Write, text: str, policy: RetryPolicy
) -> None:
    write(f"{FILE}  retries:\n    {text}\n")
    assert Configuration.from_environment().retries == policy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("enabled", "maybe"),
        ("enabled", "[1]"),
        ("max_attempts", "-1"),
        ("max_attempts", "true"),
        ("max_attempts", "1.5"),
        ("min_wait_interval", "200"),
        ("min_wait_interval", "200 ms"),
        ("min_wait_interval", "-3s"),
        ("max_wait_interval", "soon"),
        ("max_wait_interval", "{}"),
        ("max_wait_interval", "9" * 63 + "h"),
    ],
)
def test_invalid_retry_setting_names_file_and_key(write: Write, key: str, value: str) -> None:
    path = write(f"{FILE}  retries:\n    {key}: {value}\n")
    with pytest.raises((ApiTypeError, ApiValueError)) as caught:
        discover()
    assert str(caught.value).startswith(f"server.retries.{key} in {path}: must be ")


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms", "us"]))))
def test_duration_is_the_sum_of_its_units(steps: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in steps[:8]) or "0"
    seconds = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6}
    assert _interval(text) == pytest.approx(sum(n * seconds[unit] for n, unit in steps[:8]))


@given(st.text("0123456789.hmsnuµ +-e", max_size=12))
def test_arbitrary_duration_is_parsed_or_rejected(text: str) -> None:
    try:
        assert _interval(text) >= 0
    except ApiValueError:
        pass


# Login with an AWS identity

IAM = "LAKECTL_CREDENTIALS_PROVIDER_AWS_IAM_"
TYPE = "LAKECTL_CREDENTIALS_PROVIDER_TYPE"
PROVIDER_FILE = """\
server: {endpoint_url: "https://file.example.com"}
credentials:
  provider:
    type: aws_iam
    aws_iam:
"""


def provider() -> dict[str, Any]:
    """Return the arguments of the discovered provider."""
    found = Configuration.from_environment(host="http://h").token_provider
    assert isinstance(found, AwsIamLogin)
    state = found.__getstate__()
    return {
        "ttl": state["_token_ttl"],
        "presign": state["_proof_ttl"],
        "headers": state["_headers"],
    }


DEFAULTS = {"ttl": 3600, "presign": 60, "headers": None}


def test_provider_in_file_is_discovered(write: Write) -> None:
    path = write(PROVIDER_FILE)
    assert provider() == DEFAULTS
    found = origins(discover())["token_provider"]
    assert found == ("AwsIamLogin(3600, 60)", f"credentials.provider.type in {path}")


@pytest.mark.parametrize(
    ("lines", "changes"),
    [
        ("token_ttl_seconds: 600", {"ttl": 600}),
        ("token_ttl_seconds: 60m", {"ttl": 3600}),
        ("token_ttl_seconds: '90'", {"ttl": 90}),
        ("url_presign_ttl_seconds: 1m30s", {"presign": 90}),
        ("token_request_headers: {X-A: b}", {"headers": {"X-A": "b"}}),
        ("token_request_headers: {}", {"headers": {}}),
        ("refresh_interval: 3m", {}),
    ],
)
def test_provider_settings_are_read_from_file(
    write: Write, lines: str, changes: dict[str, Any]
) -> None:
    write(f"{PROVIDER_FILE}      {lines}\n")
    assert provider() == {**DEFAULTS, **changes}


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("TOKEN_TTL_SECONDS", "600", {"ttl": 600}),
        ("TOKEN_TTL_SECONDS", "1h30m", {"ttl": 5400}),
        ("URL_PRESIGN_TTL_SECONDS", "2m", {"presign": 120}),
        ("PRESIGNED_URL_TTL_SECONDS", "120", {"presign": 120}),
        ("TOKEN_REQUEST_HEADERS", '{"X-A": "b"}', {"headers": {"X-A": "b"}}),
        ("TOKEN_REQUEST_HEADERS", "X-A=b,X-C=d=e", {"headers": {"X-A": "b", "X-C": "d=e"}}),
    ],
)
def test_provider_settings_are_read_from_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, changes: dict[str, Any]
) -> None:
    monkeypatch.setenv(TYPE, "aws_iam")
    monkeypatch.setenv(IAM + name, value)
    assert provider() == {**DEFAULTS, **changes}


def test_file_keys_precede_environment_provider(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    monkeypatch.setenv(TYPE, "aws_iam")
    configuration = Configuration.from_environment()
    assert (configuration.username, configuration.token_provider) == ("file-id", None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("TOKEN_TTL_SECONDS", "soon"),
        ("TOKEN_TTL_SECONDS", "0"),
        ("TOKEN_TTL_SECONDS", "999ms"),
        ("TOKEN_TTL_SECONDS", "1.5"),
        ("TOKEN_REQUEST_HEADERS", "precious"),
        ("TOKEN_REQUEST_HEADERS", '["precious"]'),
        ("TOKEN_REQUEST_HEADERS", '{"X-A": 1}'),
        ("TOKEN_REQUEST_HEADERS", "X-A=precious\x01"),
        ("TOKEN_REQUEST_HEADERS", "X-A=b,precious"),
    ],
)
def test_invalid_provider_setting_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    monkeypatch.setenv(TYPE, "aws_iam")
    monkeypatch.setenv(IAM + key, value)
    with pytest.raises((ApiTypeError, ApiValueError), match=f"^{IAM}{key}: ") as caught:
        discover()
    assert "precious" not in str(caught.value)


@pytest.mark.parametrize("value", ["true", "[1]", "null_is_text", "-5"])
def test_invalid_token_ttl_names_its_key(write: Write, value: str) -> None:
    path = write(f"{PROVIDER_FILE}      token_ttl_seconds: {value}\n")
    prefix = f"credentials.provider.aws_iam.token_ttl_seconds in {path}: must be"
    with pytest.raises(ApiValueError) as caught:
        discover()
    assert str(caught.value).startswith(prefix)


def test_unknown_provider_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TYPE, "kerberos")
    with pytest.raises(ApiValueError, match=f"{TYPE}: got 'kerberos', expected 'aws_iam'"):
        discover()


# Errors


def test_missing_settings_error_names_every_source(home: Path) -> None:
    found = discover()
    assert found.settings == []
    with pytest.raises(ApiValueError) as caught:
        found.configuration()
    for source in (ENDPOINT, f"server.endpoint_url in {home / '.lakectl.yaml'}"):
        assert source in str(caught.value)
    with pytest.raises(ApiValueError) as caught:
        Configuration.from_environment(host="http://h")
    for source in (KEY_ID, SECRET, "credentials.access_key_id in", "secret_access_key in"):
        assert source in str(caught.value)


@pytest.mark.parametrize(
    ("has", "lacks", "key"),
    [(KEY_ID, SECRET, "secret_access_key"), (SECRET, KEY_ID, "access_key_id")],
)
def test_incomplete_key_pair_names_the_sources(
    monkeypatch: pytest.MonkeyPatch, home: Path, has: str, lacks: str, key: str
) -> None:
    monkeypatch.setenv(has, "precious")
    with pytest.raises(ApiValueError, match="half a pair of credentials") as caught:
        discover(host="http://h")
    text = str(caught.value)
    assert has in text
    assert f"{lacks} or credentials.{key} in {home / '.lakectl.yaml'}" in text
    assert "precious" not in text


def test_missing_named_file_is_an_error(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", str(home / "missing.yaml"))
    with pytest.raises(FileNotFoundError, match=r"LAKECTL_CONFIG_FILE.*missing\.yaml"):
        discover()


def test_directory_in_place_of_the_file_is_an_error(home: Path) -> None:
    (home / ".lakectl.yaml").mkdir()
    with pytest.raises(OSError, match=r"lakectl's configuration file.*\.lakectl\.yaml"):
        discover()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_unreadable_file_is_an_error(write: Write) -> None:
    write(mode=0o000)
    with pytest.raises(PermissionError, match=r"lakectl's configuration file.*\.lakectl\.yaml"):
        discover()


@pytest.mark.skipif(os.name != "posix", reason="null device of POSIX")
def test_home_without_directory_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    assert discover().settings == []


def test_unknown_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    found = discover()
    assert found.settings == []
    with pytest.raises(ApiValueError, match=rf"set {ENDPOINT}\.$"):
        found.configuration()


def test_null_device_disables_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", os.devnull)
    assert discover().settings == []


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "null\n"])
def test_empty_file_is_an_error(write: Write, text: str) -> None:
    path = write(text)
    with pytest.raises(ApiValueError, match="is empty") as caught:
        discover()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "credentials: [precious",
        "credentials:\n  secret_access_key: 'precious\n",
        "credentials:\n  secret_access_key: *precious\n",
        "credentials: !!python/object/apply:os.system [precious]\n",
        "secret_access_key: precious\n\tx: y\n",
        "a: 2026-99-99 # precious\n",
        "precious\x00",
        "[" * 5000,
    ],
)
def test_invalid_yaml_error_names_file_and_hides_secrets(write: Write, text: str) -> None:
    path = write(text)
    with pytest.raises(ApiValueError, match="is not valid YAML") as caught:
        discover()
    assert str(path) in str(caught.value)
    assert "precious" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_undecodable_file_is_an_error(home: Path) -> None:
    (home / ".lakectl.yaml").write_bytes(b"credentials: \xff\xfe")
    with pytest.raises(ApiValueError, match="is not UTF-8 text"):
        discover()


def test_byte_order_mark_is_skipped(write: Write) -> None:
    write("\ufeff" + FILE)
    assert Configuration.from_environment().username == "file-id"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("credentials: 5\n", "credentials in"),
        ("credentials: [a]\n", "credentials in"),
        ("server: precious\n", "server in"),
        ("- a\n", ""),
        ("credentials:\n  access_key_id: 17\n", "credentials.access_key_id in"),
        ("credentials:\n  secret_access_key: 1e9\n", "credentials.secret_access_key in"),
        ("server:\n  endpoint_url: [precious]\n", "server.endpoint_url in"),
    ],
)
def test_wrong_type_names_file_and_key(write: Write, text: str, place: str) -> None:
    path = write(text.replace("1e9", "100000000000000000000"))
    with pytest.raises(ApiTypeError) as caught:
        discover()
    assert str(caught.value).startswith(f"{place} {path} must be a ".lstrip())
    assert "precious" not in str(caught.value)
    assert "0000" not in str(caught.value)


def test_invalid_endpoint_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "ftp://user:precious@h")
    with pytest.raises(ApiValueError, match=f"^{ENDPOINT}: ") as caught:
        discover()
    assert "precious" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_file_readable_by_others_warns(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(mode=0o644)
    with pytest.warns(UserWarning, match="every user of this machine may read") as caught:
        Configuration.from_environment()
    assert caught[0].filename == __file__
    assert f"chmod 600 {path}" in str(caught[0].message)
    monkeypatch.setenv(SECRET, "elsewhere")
    Configuration.from_environment()  # no warning: the file's secret is not used


def test_discovery_repr_hides_secrets(write: Write) -> None:
    write()
    assert "file-secret" not in repr(discover(api_key={"cookie_auth": "file-secret"}))
    assert "file-secret" not in repr(discover())


# The optional dependency PyYAML


def test_missing_pyyaml_error_names_extra_and_variables(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"lakefs_client\[yaml\]") as caught:
        Configuration.from_environment()
    for text in (str(path), ENDPOINT, KEY_ID, SECRET):
        assert text in str(caught.value)


def test_environment_alone_needs_no_pyyaml(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ApiValueError, match="no lakeFS server"):
        Configuration.from_environment()
    write()
    for name, value in ((ENDPOINT, "http://h"), (KEY_ID, "id"), (SECRET, "secret")):
        monkeypatch.setenv(name, value)
    assert Configuration.from_environment().username == "id"


def test_discovery_without_a_file_does_not_import_yaml() -> None:
    code = (
        "import sys; from lakefs_client import Configuration; "
        "Configuration.from_environment(host='h', username='u', password='p'); "
        "sys.exit('yaml' in sys.modules or 'urllib3' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
