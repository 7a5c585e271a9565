"""Programs written for 1.44, run unchanged against the sandbox."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from lakefs_client.sandbox import Sandbox


def run(name: str, sandbox: Sandbox) -> dict[str, Any]:
    """Run a program and return its results."""
    program = import_module(f"legacy.programs.{name}")
    found: dict[str, Any] = program.main(
        sandbox.endpoint, sandbox.access_key_id, sandbox.secret_access_key
    )
    return found


def test_airflow_operators_commit_merge_and_report(sandbox: Sandbox) -> None:
    found = run("airflow_operators", sandbox)
    assert found["poked"] == [False, False, True]
    assert found["commit"]["id"] == found["committed"]
    assert found["commit"]["message"] == "from a task"
    assert found["commit"]["metadata"] == {"dag_id": "example"}
    assert found["merged"] == found["main"] != found["committed"]
    assert found["tested"] == (True, "Connection successfully tested")
    refused, text = found["refused"]
    assert not refused
    assert text.startswith("(401) list_repositories: error authenticating request\nReason: Unauth")


def test_prefect_block_uploads_and_commits(sandbox: Sandbox) -> None:
    found = run("prefect_block", sandbox)
    assert found["repository"]["id"] == "prefect"
    assert found["repository"]["default_branch"] == "main"
    assert found["message"] == "flow run"
    assert [path for _, path, _ in found["changes"]] == ["p/0.txt", "p/1.txt", "p/2.txt"]
    assert {kind for kind, _, _ in found["changes"]} == {"added"}
    assert [size for _, _, size in found["changes"]] == [0, 1, 2]
    assert found["branches"] == ["main"]


def test_dagster_resource_stores_and_loads(sandbox: Sandbox) -> None:
    assert run("dagster_resource", sandbox) == {
        "created": [True, False],
        "sizes": [9, 8],
        "loaded": [[1, 2, 3], {"a": 1}],
        "metadata": {"dagster/run_id": "1"},
        "last": True,
    }


def test_hooks_checker_gets_deprecation_warnings(sandbox: Sandbox) -> None:
    with pytest.warns(DeprecationWarning, match="_api") as caught:
        found = run("hooks_checker", sandbox)
    for name in ("refs", "branches", "objects"):
        assert any(f"{name}_api" in str(warning.message) for warning in caught)
    assert found["dirty"] == [
        "landing/a.tmp", "tables/a.csv", "tables/b.csv", "tables/c.parquet", "tables/d.json",
        "tables/empty.csv",
    ]  # fmt: skip
    assert found["format"] == ["tables/d.json"]
    assert found["header"] == ["tables/b.csv"]


def test_notebook_prints_models_and_listings(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run("notebook", sandbox)
    assert found["rows"] == [["added", "raw/numbers.csv"]]
    assert found["total"] == 6
    assert found["location"] == "s3://sandbox/notebook"
    assert found["tag"]["id"] == "v1"
    assert found["text"].startswith("{'commit_id': ")
    printed = capsys.readouterr().out
    assert "'storage_namespace': 's3://sandbox/notebook'" in printed
    assert "raw/numbers.csv 8 " in printed
    assert " python_api default\n" in printed


def test_smart_open_reader_reads_ranges(sandbox: Sandbox) -> None:
    assert run("smart_open_reader", sandbox) == {
        "lines": [f"line {n}" for n in range(20)],
        "tail": b"line 19\n",
        "middle": b"line 1",
        "empty": b"",
        "missing": 404,
        "same": True,
    }


def test_spec_filesystem_lists_reads_and_translates_errors(sandbox: Sandbox) -> None:
    found = run("spec_filesystem", sandbox)
    base = "spec/dev/data"
    assert found["root"] == [f"{base}/{name}" for name in ("a.txt", "c/", "d/", "f.txt", "g/")]
    assert found["types"] == ["file", "directory", "directory", "file", "directory"]
    assert found["deep"] == [f"{base}/d/e/3.txt"]
    assert found["info"]["name"] == f"{base}/c/1.txt"
    assert found["info"]["size"] == len("c/1.txt")
    assert found["exists"] == [True, False]
    assert found["read"] == b"a.txt"
    assert found["part"] == b"1.t"
    (missing, missing_text, cause), (no_repository, *_), (denied, denied_text, _) = found["errors"]
    assert (missing, cause, no_repository) == (
        "FileNotFoundError", "NotFoundException", "FileNotFoundError",
    )  # fmt: skip
    assert missing_text.startswith("404 Not Found: ")
    assert denied == "PermissionError"
    assert denied_text.startswith("401 Unauthorized: ")


def test_pipeline_is_repeatable(sandbox: Sandbox) -> None:
    found = run("pipeline", sandbox)
    assert found["created"] == found["branched"] == [True, False]
    assert found["sizes"] == [22, 10, 9, 0]
    assert found["rows"] == [["id", "value"], ["1", "10"], ["2", "20"]]
    assert found["metadata"] == {"rows": "2"}
    assert found["tag"] == {"id": "v1", "commit_id": found["merged"]}
    assert found["log"] == ["publish"]
    assert found["nothing"] == 400


def test_asynchronous_program_collects_results(sandbox: Sandbox) -> None:
    assert run("asynchronous", sandbox) == {
        "repository": "parallel",
        "sizes": [1] * 10 + [2] * 10,
        "contents": list(range(20)),
        "failure": 404,
        "status": 200,
    }


def test_streamer_uploads_and_downloads_large_object(sandbox: Sandbox) -> None:
    found = run("streamer", sandbox)
    assert found["digests"] == [found["expected"]] * 2
    assert found["names"] == ["big.bin"]
    assert found["part"]
    assert found["content_range"] == f"bytes 10-19/{3 << 20}"


def test_pool_tuning_uses_custom_pool_manager(sandbox: Sandbox) -> None:
    found = run("pool_tuning", sandbox)
    assert found == {
        "manager": True,
        "maxsize": 5,
        "same": 1,
        "branches": sorted(f"b{n}" for n in range(16)),
        "raw": 204,
        "pools": 1,
    }


def test_manually_built_exceptions_are_handled(sandbox: Sandbox) -> None:
    found = run("built_exceptions", sandbox)
    assert found["outcomes"] == [
        "True",
        "False",
        "False",
        "lakeFS said 500 Internal Server Error",
        "lakeFS said 503 Unavailable",
    ]
    assert found["text"] == "(404)\nReason: Not Found\n"
    assert found["forbidden"] == (403, "Forbidden", {"message": "no"})
    assert found["real"] is False
    assert found["unauthorized"]


def test_token_session_sends_token_and_headers(sandbox: Sandbox) -> None:
    found = run("token_session", sandbox)
    assert found["user"]
    assert found["status"] == (200, 200)
    assert found["type"].startswith("application/json")
    assert found["repositories"] == ["session"]
    sent = [request.headers for request in sandbox.requests if request.operation != "login"]
    assert {headers["user-agent"] for headers in sent} == {"session/1.0"}
    assert {headers["x-request-source"] for headers in sent} == {"session"}
    assert all(headers["authorization"].startswith("Bearer ") for headers in sent)
