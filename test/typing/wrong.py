"""Mistakes that type checkers must find.

This file is never executed. Each line names its errors in ignore comments. Both checkers report
unused ignore comments, so an undetected mistake fails the check.
"""

from __future__ import annotations

import lakefs_client
from lakefs_client import ApiClient, ApiException, Configuration, RetryPolicy, paginate
from lakefs_client.apis import (
    BranchesApi,
    CommitsApi,
    ExperimentalApi,
    ObjectsApi,
    PullsApi,
    RefsApi,
    RepositoriesApi,
)
from lakefs_client.client import LakeFSClient
from lakefs_client.models import (
    BranchCreation,
    CommitCreation,
    CompletePresignMultipartUpload,
    ExternalPrincipalCreation,
    ObjectStats,
    ObjectUserMetadata,
    PullRequestBasic,
    Ref,
    ResetCreation,
    UploadPart,
)
from lakefs_client.transfer import Transfer, TransferConfig


def misspelled_keywords(objects: ObjectsApi, repositories: RepositoriesApi) -> None:
    objects.list_objects("repo", "main", prefx="a/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    objects.stat_object(repo="repo", ref="main", path="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    objects.upload_object("repo", "main", "a", contents=b"x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    repositories.list_repositories(ammount=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    objects.stat_object("repo", "main", "a", _request_timeouts=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    objects.stat_object("repo", "main", "a", _preload=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def missing_arguments(branches: BranchesApi, commits: CommitsApi, api: ExperimentalApi) -> None:
    branches.get_branch("repo")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    branches.create_branch("repo")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    commits.commit(repository="repo", branch="main")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    api.upload_part("repo", "main", "id", "a", 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def positional_optional_arguments(objects: ObjectsApi, branches: BranchesApi) -> None:
    objects.list_objects("repo", "main", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    objects.upload_object("repo", "main", "a", b"x")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    branches.delete_branch("repo", "main", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def unlisted_values(pulls: PullsApi, refs: RefsApi) -> None:
    pulls.list_pull_requests("repo", status="opened")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    refs.diff_refs("repo", "main", "dev", type="three")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ResetCreation("everything")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PullRequestBasic(status="done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def arguments_of_the_wrong_type(objects: ObjectsApi, branches: BranchesApi) -> None:
    objects.list_objects(1, "main")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.list_objects("repo", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.list_objects("repo", "main", amount="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.list_objects("repo", "main", prefix=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.delete_object("repo", "main", "a", force="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.stat_object("repo", "main", "a", _request_timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.stat_object("repo", "main", "a", _request_timeout=(1, 2, 3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.stat_object("repo", "main", "a", async_req="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    branches.create_branch("repo", CommitCreation("message"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    branches.create_branch("repo", "dev")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    branches.create_branch("repo", {1: "dev"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def text_content(objects: ObjectsApi) -> None:
    objects.upload_object("repo", "main", "a", content="text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with open("a") as file:
        objects.upload_object("repo", "main", "a", content=file)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    objects.upload_object("repo", "main", "a", user_metadata={"run": 7})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def missing_attributes(objects: ObjectsApi, branches: BranchesApi) -> None:
    print(objects.stat_object("repo", "main", "a").sizebytes)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(objects.list_objects("repo", "main").items)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(objects.list_objects("repo", "main").results[0].name)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(branches.get_branch("repo", "main").commit)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(branches.create_branch("repo", BranchCreation("dev", "main")).id)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    objects.get_object("repo", "main", "a").read().splitline()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_result_types(objects: ObjectsApi, branches: BranchesApi) -> None:
    size: str = objects.stat_object("repo", "main", "a").size_bytes  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    names: list[str] = branches.list_branches("repo").results  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    text: str = objects.get_object("repo", "main", "a").read()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(size, names, text)


def invalid_models() -> None:
    Ref("main")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Ref("main", "1", "2")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Ref("main", commit="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Ref("main", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CommitCreation("message", {"run": "7"})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CommitCreation("message", metadata={"run": 7})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    CommitCreation("message", meta={"run": "7"})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    UploadPart("1", "etag")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CompletePresignMultipartUpload("address", [("1", "etag")])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    ExternalPrincipalCreation(settings="value")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ObjectUserMetadata(run=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def invalid_properties(stats: ObjectStats) -> None:
    stats.size_bytes = "3"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    stats.path_type = "folder"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    stats.sizebytes = 3  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print({stats})  # pyright: ignore[reportUnhashable]


def settings(config: Configuration) -> None:
    Configuration(user="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Configuration.from_environment(user="key")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Configuration(8000)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    config.verify_ssl = "no"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    config.read_timeout = "5"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    config.retries = "3"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    config.verify_tls = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    RetryPolicy(retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RetryPolicy(attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryPolicy().attempts = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    ApiClient(config, pool_threads="4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ApiClient("http://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def unknown_names(config: Configuration) -> None:
    client = LakeFSClient(config)
    client.object_api.list_objects("repo", "main")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    client.objects_api.list_object("repo", "main")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    lakefs_client.Client(config)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    lakefs_client.models.Reff("main", "1")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    lakefs_client.apis.ObjectApi()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def imports() -> None:
    from lakefs_client import Client  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from lakefs_client.apis import BranchApi  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from lakefs_client.exceptions import NotFoundError  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    from lakefs_client.models import BranchCreate  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    print(Client, BranchApi, NotFoundError, BranchCreate)


def transfers(client: ApiClient) -> None:
    TransferConfig(part_sze=8 << 20)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TransferConfig(part_size="8MiB")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TransferConfig(max_concurrency=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TransferConfig(retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TransferConfig().part_size = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    Transfer(client, {"part_size": 8 << 20})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    transfer = Transfer(client)
    transfer.upload_file("a", "repo", "main")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    transfer.upload_file(b"a", "repo", "main", "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    transfer.upload_file("a", "repo", "main", "a", "text/csv")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    transfer.upload_file("a", "repo", "main", "a", contenttype="text/csv")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    transfer.upload_file("a", "repo", "main", "a", user_metadata={"run": 7})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    transfer.upload_file("a", "repo", "main", "a", progress=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(transfer.upload_file("a", "repo", "main", "a").etag)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def pages(objects: ObjectsApi, branches: BranchesApi) -> None:
    paginate(objects.list_objects, "repo")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    paginate(objects.list_objects, "repo", "main", prefx="a/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    paginate(objects.stat_object, "repo", "main", "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(next(paginate(branches.list_branches, "repo")).path)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def errors() -> None:
    ApiException(code=404)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ApiException(status="404")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(ApiException(404).status_code)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(ApiException(404).body["message"])  # type: ignore[index]  # pyright: ignore[reportArgumentType, reportOptionalSubscript]
