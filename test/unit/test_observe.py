"""Hooks and log lines of requests and transfers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, ApiException, observe
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.observe import RequestEvent, TransferEvent
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig

MIB = 1 << 20


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """Provide a list that collects finished events."""
    ended: list[Any] = []
    remove = observe.add_hook(lambda event: ended.append)
    yield ended
    remove()


@pytest.fixture
def repo_client(sandbox: Sandbox, client: ApiClient) -> ApiClient:
    """Provide a client of a sandbox with the repository `repo`."""
    RepositoriesApi(client).create_repository(
        RepositoryCreation("repo", f"{sandbox.storage_namespace}repo")
    )
    return client


def test_removed_hook_gets_no_events(repo_client: ApiClient) -> None:
    before: list[tuple[Any, ...]] = []

    def hook(event: RequestEvent) -> None:
        before.append((event.method, event.operation, event.attempt, event.status))

    remove = observe.add_hook(hook)
    ObjectsApi(repo_client).upload_object("repo", "main", "a", content=b"12345")
    remove()
    ObjectsApi(repo_client).get_object("repo", "main", "a").close()
    assert before == [("POST", "upload_object", 1, None)]


def test_event_describes_the_answer(repo_client: ApiClient, events: list[Any]) -> None:
    ObjectsApi(repo_client).upload_object("repo", "main", "a", content=b"12345")
    with pytest.raises(ApiException):
        ObjectsApi(repo_client).stat_object("repo", "main", "missing")
    uploaded, missing = events
    assert uploaded.status == 201
    assert uploaded.sent_bytes == 5
    assert uploaded.received_bytes > 0
    assert uploaded.duration >= 0
    assert (missing.status, missing.error) == (404, None)


def test_each_attempt_is_an_event(
    repo_client: ApiClient, sandbox: Sandbox, events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.faults.add("stat_object", "status", status=503)
    timing = repo_client.rest_client.timing
    monkeypatch.setattr(repo_client.rest_client, "timing", timing._replace(sleep=lambda _: None))
    ObjectsApi(repo_client).upload_object("repo", "main", "a", content=b"1")
    events.clear()
    ObjectsApi(repo_client).stat_object("repo", "main", "a")
    assert [(event.attempt, event.status) for event in events] == [(1, 503), (2, 200)]


def test_event_contains_network_error(events: list[Any]) -> None:
    with ApiClient() as client:
        client.configuration.host = "http://127.0.0.1:9"
        client.configuration.retries = False
        with pytest.raises(ApiException):
            RepositoriesApi(client).list_repositories()
    (event,) = events
    assert event.status is None
    assert isinstance(event.error, ApiException)


def test_transfer_event_ends_after_its_requests(
    repo_client: ApiClient, events: list[Any], tmp_path: Path
) -> None:
    source = tmp_path / "file"
    source.write_bytes(bytes(11 * MIB))
    Transfer(repo_client, TransferConfig(part_size=5 * MIB)).upload_file(
        source, "repo", "main", "a"
    )
    assert isinstance(events[-1], TransferEvent)
    assert events[-1].description.startswith("upload of ")
    parts = [event for event in events if getattr(event, "operation", "") == "store"]
    assert sorted(event.sent_bytes for event in parts) == [MIB, 5 * MIB, 5 * MIB]


def test_events_and_logs_hide_secrets(
    repo_client: ApiClient, events: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "file").write_bytes(b"1")
    Transfer(repo_client).upload_file(tmp_path / "file", "repo", "main", "a")
    Transfer(repo_client).download_file("repo", "main", "a", tmp_path / "copy")
    password = repo_client.configuration.password or ""
    everything = repr(events) + repr([vars(record) for record in caplog.records])
    assert not re.search(r"Signature=(?!\*)", everything)
    assert password
    assert password not in everything


def test_log_records_have_structured_extra(
    server: ScriptedServer, api: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    page = {"has_more": False, "next_offset": "", "results": 0, "max_per_page": 1000}
    answer = {"pagination": page, "results": []}
    server.script(Answer(json=answer, headers={"X-Request-Id": "r-7"}))
    with caplog.at_level(logging.DEBUG, "lakefs_client.api"):
        ObjectsApi(api).list_objects("repo", "main")
    sent, answered = caplog.records
    assert sent.getMessage().startswith("GET http://127.0.0.1")
    extra = vars(answered)["lakefs"]
    assert (extra["operation"], extra["status"], extra["attempt"]) == ("list_objects", 200, 1)
    assert extra["request_id"] == "r-7"
    assert answered.getMessage().endswith("request id r-7")


@pytest.mark.parametrize("place", ["before", "after"])
def test_failing_hook_is_logged_and_ignored(
    repo_client: ApiClient, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Any) -> Any:
        raise RuntimeError("the hook's own")

    hooks: dict[str, Callable[[Any], Any]] = {"before": fail, "after": lambda event: fail}
    remove = observe.add_hook(hooks[place])
    ObjectsApi(repo_client).list_objects("repo", "main")
    remove()
    assert "a hook failed" in caplog.text
