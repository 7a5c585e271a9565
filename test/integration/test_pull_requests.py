"""Pull requests."""

from __future__ import annotations

from datetime import datetime

import pytest

from lakefs_client.client import LakeFSClient
from lakefs_client.models import PullRequestBasic, PullRequestCreation

from .support import Repo, expect_error, walk


@pytest.fixture
def forked(repo: Repo) -> Repo:
    """Provide a repository whose branch `dev` is a commit ahead of `main`."""
    repo.branch("dev")
    repo.change("dev.txt", b"dev", "dev")
    return repo


def open_pull_request(repo: Repo, title: str = "a title", **creation: str) -> str:
    """Open a pull request from `dev` to `main`; return its id."""
    return repo.lakefs.experimental_api.create_pull_request(
        repo.name, PullRequestCreation(title, "dev", "main", **creation)
    ).id


def test_new_pull_request_is_open(lakefs: LakeFSClient, forked: Repo) -> None:
    identifier = open_pull_request(forked, description="a description")
    pull = lakefs.experimental_api.get_pull_request(forked.name, identifier)
    assert (pull.id, pull.status, pull.title) == (identifier, "open", "a title")
    assert pull.description == "a description"
    assert (pull.source_branch, pull.destination_branch) == ("dev", "main")
    assert pull.author
    assert isinstance(pull.creation_date, datetime)
    assert not pull.get("closed_date")
    assert not pull.get("merged_commit_id")


def test_branches_may_have_several_pull_requests(lakefs: LakeFSClient, forked: Repo) -> None:
    created = {open_pull_request(forked) for _ in range(3)}
    assert len(created) == 3
    listed = walk(lakefs.experimental_api.list_pull_requests, forked.name, status="all", amount=2)
    assert {pull.id for pull in listed} == created
    assert {pull.title for pull in listed} == {"a title"}


def test_list_of_open_pull_requests_excludes_closed(lakefs: LakeFSClient, forked: Repo) -> None:
    api = lakefs.experimental_api
    closed, remaining = open_pull_request(forked), open_pull_request(forked)
    assert api.update_pull_request(forked.name, closed, PullRequestBasic(status="closed")) is None
    assert api.get_pull_request(forked.name, closed).status == "closed"
    listed = api.list_pull_requests(forked.name, status="open").results
    assert [pull.id for pull in listed] == [remaining]


def test_update_changes_given_properties_only(lakefs: LakeFSClient, forked: Repo) -> None:
    identifier = open_pull_request(forked, description="a description")
    api = lakefs.pulls_api
    assert api.update_pull_request(forked.name, identifier, PullRequestBasic(title="new")) is None
    pull = api.get_pull_request(forked.name, identifier)
    assert (pull.title, pull.description, pull.status) == ("new", "a description", "open")


def test_merge_closes_the_pull_request(lakefs: LakeFSClient, forked: Repo) -> None:
    api = lakefs.experimental_api
    identifier = open_pull_request(forked)
    merge_commit = api.merge_pull_request(forked.name, identifier).reference
    assert forked.head() == merge_commit
    assert forked.read("dev.txt") == b"dev"
    pull = api.get_pull_request(forked.name, identifier)
    assert (pull.status, pull.merged_commit_id) == ("merged", merge_commit)
    assert isinstance(pull.closed_date, datetime)


def test_merged_pull_request_cannot_be_merged_again(lakefs: LakeFSClient, forked: Repo) -> None:
    identifier = open_pull_request(forked)
    lakefs.experimental_api.merge_pull_request(forked.name, identifier)
    with expect_error(400, "bad pull request status"):
        lakefs.experimental_api.merge_pull_request(forked.name, identifier)


def test_invalid_pull_request_id_is_rejected(lakefs: LakeFSClient, repo: Repo) -> None:
    with expect_error(400, "pull request id: invalid value"):
        lakefs.experimental_api.get_pull_request(repo.name, "none")
