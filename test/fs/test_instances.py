"""Cached instances of the file system, and their pickles."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from support.file_systems import arguments, create_repository

from lakefs_client.exceptions import ApiValueError
from lakefs_client.fs import LakeFSFileSystem
from lakefs_client.sandbox import Sandbox


@pytest.fixture(autouse=True)
def _no_cached_instances() -> Iterator[None]:
    LakeFSFileSystem.clear_instance_cache()
    yield
    LakeFSFileSystem.clear_instance_cache()


@pytest.fixture
def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Provide an environment with the sandbox's address and credentials."""
    options = arguments(sandbox)
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", options["host"])
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", options["username"])
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", options["password"])
    return options


def test_equal_arguments_and_environment_share_an_instance(
    environment: dict[str, Any],
) -> None:
    fs = LakeFSFileSystem()
    assert LakeFSFileSystem() is fs
    assert LakeFSFileSystem(environment["host"]) is not fs
    assert LakeFSFileSystem(use_listings_cache=False) is not fs
    assert LakeFSFileSystem.current() is not fs


def test_changed_environment_creates_another_instance(
    environment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = LakeFSFileSystem()
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "another")
    other = LakeFSFileSystem()
    assert other is not fs
    assert other != fs
    assert other.client.configuration.password == "another"


def test_explicit_credentials_ignore_the_environment(
    environment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SESSION_TOKEN", "token")
    fs = LakeFSFileSystem("http://other", "user", "secret")
    configuration = fs.client.configuration
    assert (configuration.host, configuration.username) == ("http://other/api/v1", "user")
    assert configuration.access_token is None


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKECTL_CONFIG_FILE", "/dev/null")
    with pytest.raises(ApiValueError, match="LAKECTL_SERVER_ENDPOINT_URL"):
        LakeFSFileSystem()


def test_pickle_contains_no_environment_secrets(environment: dict[str, Any]) -> None:
    fs = LakeFSFileSystem()
    data = pickle.dumps(fs)
    assert environment["password"].encode() not in data
    assert environment["username"].encode() not in data
    assert environment["password"] not in fs.to_json()
    assert environment["password"] not in repr(fs) + str(vars(fs))
    assert pickle.loads(data) is fs


def test_dask_token_is_equal_in_other_process(environment: dict[str, Any]) -> None:
    fs = LakeFSFileSystem()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(LakeFSFileSystem.__dask_tokenize__, fs).result() == fs._fs_token


def test_worker_processes_read_with_pickled_instance(
    sandbox: Sandbox, environment: dict[str, Any]
) -> None:
    create_repository(sandbox, "repo")
    fs = LakeFSFileSystem(verify_ssl=False)
    fs.pipe({f"repo/main/{i}": str(i).encode() for i in range(4)})
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert list(pool.map(fs.cat_file, fs.find("repo/main"))) == [b"0", b"1", b"2", b"3"]


def test_lakefs_spec_arguments_are_accepted(sandbox: Sandbox) -> None:
    fs = LakeFSFileSystem(
        "https://lakefs.example.com", "user", "secret", None, None, None, False, None,
        "http://proxy:3128", True, "dev", None, {"request_timeout": (3, 7)},
    )  # fmt: skip
    configuration = fs.client.configuration
    assert configuration.verify_ssl is False
    assert configuration.proxy == "http://proxy:3128"
    assert (configuration.connect_timeout, configuration.read_timeout) == (3, 7)
    assert (fs.create_branch_ok, fs.source_branch) == (True, "dev")
    assert LakeFSFileSystem("a.example", access_token="t").client.configuration.access_token == "t"
    keyed = LakeFSFileSystem("a.example", api_key="key", api_key_prefix="p").client.configuration
    assert keyed.get_api_key_with_prefix("cookie_auth") == "p key"
    with pytest.raises(TypeError):
        LakeFSFileSystem(*range(20))
