"""Exceptions for errors of the server."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping

import pytest

from lakefs_client import ApiException, Configuration, OpenApiException
from lakefs_client.client import LakeFSClient
from lakefs_client.models import (
    AbortPresignMultipartUpload,
    BranchCreation,
    CommitCreation,
    CompletePresignMultipartUpload,
    StorageConfig,
    UploadPart,
)

from .support import Repo, Server, error_class, expect_error


def _unauthorized(server: Server, repo: Repo) -> None:
    with LakeFSClient(Configuration(server.endpoint)) as client:
        client.repositories_api.get_repository(repo.name)


def _bad_request(server: Server, repo: Repo) -> None:
    repo.branch("dev")
    repo.lakefs.refs_api.merge_into_branch(repo.name, "dev", "main", merge={"strategy": "none"})


def _forbidden(server: Server, repo: Repo) -> None:
    repo.lakefs.branches_api.delete_branch(repo.name, "main")


def _not_found(server: Server, repo: Repo) -> None:
    repo.stat("zz")


def _conflict(server: Server, repo: Repo) -> None:
    repo.branch("main")


def _precondition(server: Server, repo: Repo) -> None:
    repo.upload("a.txt")
    repo.upload("a.txt", if_none_match="*")


def _range(server: Server, repo: Repo) -> None:
    repo.upload("a.txt")
    repo.read("a.txt", range="bytes=100-200")


def _store_error(server: Server, repo: Repo) -> None:
    # A server without multipart uploads answers 501.
    api, place = repo.lakefs.experimental_api, (repo.name, "main")
    upload = api.create_presign_multipart_upload(*place, "mp.bin", parts=1)
    address = upload.physical_address
    try:
        api.complete_presign_multipart_upload(
            *place,
            upload.upload_id,
            "mp.bin",
            complete_presign_multipart_upload=CompletePresignMultipartUpload(
                address, [UploadPart(1, "0" * 32)]
            ),
        )
    finally:
        api.abort_presign_multipart_upload(
            *place,
            upload.upload_id,
            "mp.bin",
            abort_presign_multipart_upload=AbortPresignMultipartUpload(address),
        )


FAILING_CALLS: dict[int, Callable[[Server, Repo], None]] = {
    400: _bad_request,
    401: _unauthorized,
    403: _forbidden,
    404: _not_found,
    409: _conflict,
    412: _precondition,
    416: _range,
    500: _store_error,
}


@pytest.mark.parametrize("status", FAILING_CALLS)
def test_error_status_is_an_api_exception_with_details(
    lakefs_server: Server, repo: Repo, storage: StorageConfig, status: int
) -> None:
    call = FAILING_CALLS[status]
    if status == 500 and not storage.get("pre_sign_multipart_upload"):
        status = 501
    with pytest.raises(ApiException) as caught:
        call(lakefs_server, repo)
    error = caught.value
    assert type(error) is error_class(status)
    assert isinstance(error, OpenApiException)
    assert error.status == status
    assert error.reason
    assert isinstance(error.body, str)
    message = json.loads(error.body)["message"]
    assert message
    assert isinstance(error.headers, Mapping)
    assert error.headers["Content-Type"] == error.headers["content-type"] == "application/json"
    text = str(error)
    assert text.startswith(f"({status}) {error.operation}: ")
    assert f"\nReason: {error.reason}\n" in text
    assert "HTTP response body: " in text
    assert lakefs_server.secret_access_key not in text
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.status, copy.body) == (type(error), error.status, error.body)


MISSING: dict[str, Callable[[LakeFSClient, str], object]] = {
    "repository": lambda lakefs, name: lakefs.repositories_api.get_repository(f"{name}-x"),
    "branches": lambda lakefs, name: lakefs.branches_api.list_branches(f"{name}-x"),
    "metadata": lambda lakefs, name: lakefs.repositories_api.get_repository_metadata(f"{name}-x"),
    "branch": lambda lakefs, name: lakefs.branches_api.get_branch(name, "none"),
    "branch to write to": lambda lakefs, name: lakefs.commits_api.commit(
        name, "none", CommitCreation("x")
    ),
    "branch to start from": lambda lakefs, name: lakefs.branches_api.create_branch(
        name, BranchCreation("dev", "none")
    ),
    "uncommitted changes": lambda lakefs, name: lakefs.branches_api.diff_branch(name, "none"),
    "commit": lambda lakefs, name: lakefs.commits_api.get_commit(name, "abcdef0123"),
    "log": lambda lakefs, name: lakefs.refs_api.log_commits(name, "none"),
    "tag": lambda lakefs, name: lakefs.tags_api.get_tag(name, "none"),
    "object": lambda lakefs, name: lakefs.objects_api.stat_object(name, "main", "none"),
    "objects": lambda lakefs, name: lakefs.objects_api.list_objects(name, "none"),
    "rules": lambda lakefs, name: lakefs.repositories_api.get_gc_rules(name),
    "run": lambda lakefs, name: lakefs.actions_api.get_run(name, "none"),
    "import": lambda lakefs, name: lakefs.import_api.import_status(name, "main", "none"),
}


@pytest.mark.parametrize("resource", MISSING)
def test_missing_resource_is_not_found(lakefs: LakeFSClient, repo: Repo, resource: str) -> None:
    with expect_error(404) as caught:
        MISSING[resource](lakefs, repo.name)
    assert json.loads(caught.value.body)["message"]
