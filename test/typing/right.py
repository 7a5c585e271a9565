"""Calls that type checkers must accept, and the types that they must infer.

mypy and pyright check this file. It is never executed.
"""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from typing_extensions import assert_type

import lakefs_client
from lakefs_client import (
    ApiClient,
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    Configuration,
    RetryPolicy,
    models,
    paginate,
)
from lakefs_client.api import experimental_api, objects_api
from lakefs_client.apis import (
    ActionsApi,
    AuthApi,
    BranchesApi,
    CommitsApi,
    ConfigApi,
    ExperimentalApi,
    ExternalApi,
    HealthCheckApi,
    ImportApi,
    InternalApi,
    MetadataApi,
    ObjectsApi,
    PullsApi,
    RefsApi,
    RepositoriesApi,
    StagingApi,
    TagsApi,
)
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import (
    ConflictException,
    ForbiddenException,
    NotFoundException,
    ServiceException,
    TransferError,
    UnauthorizedException,
)
from lakefs_client.model.commit import Commit
from lakefs_client.models import (
    BranchCreation,
    BranchProtectionRule,
    CommitCreation,
    CompletePresignMultipartUpload,
    Config,
    Credentials,
    Diff,
    DiffList,
    ExternalPrincipalCreation,
    ExternalPrincipalSettings,
    ImportCreation,
    ImportLocation,
    LoginInformation,
    Merge,
    ObjectStats,
    ObjectStatsList,
    ObjectUserMetadata,
    Pagination,
    PathList,
    PullRequest,
    PullRequestBasic,
    PullRequestCreation,
    Ref,
    Repository,
    RepositoryCreation,
    ResetCreation,
    StorageConfig,
    TagCreation,
    UploadPart,
    UploadPartFrom,
    User,
    VersionConfig,
)
from lakefs_client.transactions import TransactionResult
from lakefs_client.transfer import Transfer, TransferConfig


def configuration() -> ApiClient:
    config = Configuration(
        "https://lakefs.example.com", {"cookie_auth": "x"}, username="key", password="secret"
    )
    config.verify_ssl = False
    config.ssl_ca_cert = "ca.pem"
    config.read_timeout = 5
    config.retries = RetryPolicy(attempts=3, deadline=60)
    config.retries = 2
    config.retries = False
    config.access_token = None
    config.token_provider = lakefs_client.tokens.AccessKeyLogin("key", "secret")
    config.token_provider = lakefs_client.tokens.StsLogin(lambda: {"code": "c"})
    config.token_provider = lakefs_client.tokens.AwsIamLogin(token_ttl_seconds=600)
    config.token_provider = None
    config.refresh_api_key_hook = lambda c: c.api_key.update(cookie_auth="y")
    Configuration.set_default(config)
    assert_type(Configuration.get_default_copy(), Configuration)
    assert_type(Configuration.from_environment(host="h", password=None), Configuration)
    assert_type(ApiClient.from_environment(), ApiClient)
    found = lakefs_client.credentials.discover(host="lakefs.example.com")
    assert_type(found.configuration(), Configuration)
    assert_type(found.settings[0].origin, str)
    assert_type(config.host, str)
    with ApiClient(config, header_name="X-Team", header_value="data", pool_threads=4) as client:
        client.set_default_header("X-Run", "7")
        assert_type(client, ApiClient)
        assert_type(client.default_headers, dict[str, str])
    return ApiClient()


def package_attributes() -> None:
    client = lakefs_client.ApiClient(lakefs_client.Configuration(host="localhost:8000"))
    assert_type(lakefs_client.models.Ref("main", "1"), Ref)
    assert_type(lakefs_client.apis.ObjectsApi(client), ObjectsApi)
    assert_type(objects_api.ObjectsApi(client), ObjectsApi)
    assert_type(experimental_api.ExperimentalApi(client), ExperimentalApi)
    assert_type(lakefs_client.client.LakeFSClient(), LakeFSClient)
    assert_type(lakefs_client.client.LakeFSClient.from_environment(), LakeFSClient)
    assert_type(lakefs_client.transfer.Transfer(client), Transfer)
    assert_type(lakefs_client.exceptions.NotFoundException(status=404), NotFoundException)
    assert_type(lakefs_client.__version__, str)
    with lakefs_client.transaction(client, "repo", "main", message="m", on_error="keep") as tx:
        assert_type(tx.branch, str)
    assert_type(tx.result, TransactionResult | None)


def repositories(api: RepositoriesApi) -> None:
    body = RepositoryCreation("repo", "s3://lake/repo", default_branch="main", sample_data=False)
    assert_type(api.create_repository(body), Repository)
    assert_type(api.create_repository(repository_creation=body, bare=True), Repository)
    api.create_repository({"name": "repo", "storage_namespace": "s3://lake/repo"})
    repository = api.get_repository("repo")
    assert_type(repository.default_branch, str)
    assert_type(repository.creation_date, int)
    assert_type(repository.read_only, bool)
    assert_type(api.list_repositories(prefix="a", amount=10).results, list[Repository])
    assert_type(api.get_branch_protection_rules("repo"), list[BranchProtectionRule])
    api.set_branch_protection_rules("repo", [BranchProtectionRule("main")], if_match="*")
    api.set_branch_protection_rules("repo", [{"pattern": "main"}])
    assert_type(api.get_repository_metadata("repo"), models.RepositoryMetadata)
    assert_type(api.dump_submit("repo").id, str)
    assert_type(api.dump_status("repo", "task").refs.branches_meta_range_id, str)
    api.delete_repository("repo", force=True)


def branches(api: BranchesApi) -> None:
    assert_type(api.create_branch("repo", BranchCreation("dev", "main")), str)
    assert_type(api.create_branch("repo", BranchCreation(name="dev", source="main")), str)
    api.create_branch("repo", branch_creation={"name": "dev", "source": "main"})
    api.create_branch(repository="repo", branch_creation=BranchCreation("dev", source="main"))
    ref = api.get_branch("repo", "dev")
    assert_type(ref, Ref)
    assert_type(ref.commit_id, str)
    assert_type(ref["commit_id"], Any)
    assert_type(ref.get("commit_id", "none"), Any)
    assert_type("id" in ref, bool)
    assert_type(ref.to_dict(), dict[str, Any])
    listing = api.list_branches("repo", after="a", show_hidden=True)
    assert_type(listing.results, list[Ref])
    assert_type(listing.pagination, Pagination)
    changes = api.diff_branch("repo", "dev", delimiter="/")
    assert_type(changes, DiffList)
    for change in changes.results:
        assert_type(
            change.type, Literal["added", "removed", "changed", "conflict", "prefix_changed"]
        )
    api.reset_branch("repo", "dev", ResetCreation("common_prefix", path="a/"))
    api.revert_branch("repo", "dev", {"ref": "main~1", "parent_number": 0})
    assert_type(api.cherry_pick("repo", "dev", {"ref": "main"}), Commit)
    api.delete_branch("repo", "dev", force=True)


def commits_refs_and_tags(commits: CommitsApi, refs: RefsApi, tags: TagsApi) -> None:
    commit = commits.commit(
        "repo", "dev", CommitCreation("message", metadata={"run": "7"}), source_metarange="x"
    )
    assert_type(commit, Commit)
    assert_type(commit.parents, list[str])
    assert_type(commit.metadata, dict[str, str])
    assert_type(commits.get_commit("repo", commit_id=commit.id).message, str)
    log = refs.log_commits(
        "repo", "main", objects=["a"], prefixes=["b/"], first_parent=True, since=datetime.now()
    )
    assert_type(log.results, list[Commit])
    assert_type(refs.merge_into_branch("repo", "dev", "main").reference, str)
    refs.merge_into_branch("repo", "dev", "main", merge=Merge(message="m", strategy="dest-wins"))
    refs.merge_into_branch("repo", "dev", destination_branch="main", merge={"message": "m"})
    assert_type(refs.diff_refs("repo", "main", "dev", type="two_dot").results, list[Diff])
    assert_type(refs.find_merge_base("repo", "dev", "main").base_commit_id, str)
    assert_type(tags.create_tag("repo", TagCreation("v1", "main", force=True)), Ref)
    assert_type(tags.list_tags("repo", amount=3).results[0].id, str)
    tags.delete_tag("repo", tag="v1")


def objects(api: ObjectsApi) -> None:
    stats = api.stat_object("repo", "main", "a", user_metadata=True, presign=False)
    assert_type(stats, ObjectStats)
    assert_type(stats.path_type, Literal["common_prefix", "object"])
    assert_type(stats.size_bytes, int)
    assert_type(stats.metadata, ObjectUserMetadata)
    assert_type(stats.metadata["key"], Any)
    listing = api.list_objects("repo", "main", prefix="a/", delimiter="/", amount=100)
    assert_type(listing, ObjectStatsList)
    assert_type(listing.pagination.has_more, bool)
    assert_type(listing.pagination.next_offset, str)
    with api.get_object("repo", "main", "a", range="bytes=0-9", presign=True) as file:
        assert_type(file, BinaryIO)
        assert_type(file.read(10), bytes)
        assert_type(next(iter(file)), bytes)
    assert_type(api.delete_objects("repo", "dev", PathList(["a"])).errors[0].status_code, int)
    api.copy_object("repo", "dev", "b", {"src_path": "a"}, _request_timeout=(1, 2.5))
    assert_type(api.get_underlying_properties("repo", "main", "a").storage_class, str | None)
    api.head_object("repo", "main", path="a", _request_timeout=3)
    api.delete_object("repo", "dev", "a", no_tombstone=True)


def uploads(api: ObjectsApi) -> None:
    assert_type(api.upload_object("repo", "dev", "a", content=b"bytes"), ObjectStats)
    api.upload_object("repo", "dev", "a", content=bytearray(b"x"), if_none_match="*")
    api.upload_object("repo", "dev", "a", content=memoryview(b"x"), user_metadata={"k": "v"})
    api.upload_object("repo", "dev", "a", content=Path("a"), content_type="text/csv")
    api.upload_object("repo", "dev", "a", content=io.BytesIO(b"x"))
    with open("a", "rb") as file:
        api.upload_object("repo", "dev", "a", content=file)
    with open("a", "rb", buffering=0) as raw:
        api.upload_object("repo", "dev", "a", content=raw)
    with tempfile.NamedTemporaryFile() as temporary:
        api.upload_object("repo", "dev", "a", content=temporary)
    with tempfile.TemporaryFile() as temporary_file:
        api.upload_object("repo", "dev", "a", content=temporary_file)
    with tempfile.SpooledTemporaryFile() as spooled:
        api.upload_object("repo", "dev", "a", content=spooled)
    with gzip.open("a.gz") as compressed:
        api.upload_object("repo", "dev", "a", content=compressed)


def options(api: ObjectsApi) -> None:
    # Types describe the plain call, also if an option changes the result.
    assert_type(api.stat_object("repo", "main", "a", async_req=True), ObjectStats)
    api.stat_object("repo", "main", "a", _return_http_data_only=False, _preload_content=False)
    api.stat_object("repo", "main", "a", _check_input_type=False, _check_return_type=False)
    api.stat_object("repo", "main", "a", _host_index=None)
    api.stat_object("repo", "main", "a", _request_timeout=None)


def experimental(api: ExperimentalApi) -> None:
    upload = api.create_presign_multipart_upload("repo", "dev", "a", parts=2)
    assert_type(upload.upload_id, str)
    assert_type(upload.presigned_urls, list[str])
    to = api.upload_part("repo", "dev", "id", "a", 1, UploadPartFrom(upload.physical_address))
    assert_type(to.presigned_url, str)
    parts = [UploadPart(1, "etag"), UploadPart(part_number=2, etag="etag")]
    stats = api.complete_presign_multipart_upload(
        "repo",
        "dev",
        upload.upload_id,
        "a",
        complete_presign_multipart_upload=CompletePresignMultipartUpload(
            upload.physical_address, parts, user_metadata={"k": "v"}, content_type="text/csv"
        ),
    )
    assert_type(stats, ObjectStats)
    api.abort_presign_multipart_upload(
        "repo",
        "dev",
        "id",
        "a",
        abort_presign_multipart_upload={"physical_address": upload.physical_address},
    )
    api.hard_reset_branch("repo", "dev", "main~1", force=True)
    api.create_user_external_principal(
        "user",
        "principal",
        external_principal_creation=ExternalPrincipalCreation(
            settings=[ExternalPrincipalSettings(key="value")]
        ),
    )
    ExternalPrincipalCreation(settings={"key": "value"})
    assert_type(api.get_external_principal("principal").user_id, str)
    assert_type(
        api.sts_login({"code": "c", "state": "s", "redirect_uri": "r"}).token_expiration, int
    )
    assert_type(
        api.external_principal_login(
            external_login_information=models.ExternalLoginInformation({"any": ["thing"]})
        ).token,
        str,
    )


def pulls(api: PullsApi) -> None:
    created = api.create_pull_request("repo", PullRequestCreation("title", "dev", "main"))
    assert_type(created.id, str)
    pull = api.get_pull_request("repo", created.id)
    assert_type(pull, PullRequest)
    assert_type(pull.status, Literal["open", "closed", "merged"])
    assert_type(pull.title, str)
    assert_type(pull.creation_date, datetime)
    api.update_pull_request("repo", created.id, PullRequestBasic(status="closed"))
    assert_type(api.list_pull_requests("repo", status="all").results, list[PullRequest])
    assert_type(api.merge_pull_request("repo", created.id).reference, str)


def other_groups(
    auth: AuthApi,
    actions: ActionsApi,
    config: ConfigApi,
    external: ExternalApi,
    health: HealthCheckApi,
    imports: ImportApi,
    internal: InternalApi,
    metadata: MetadataApi,
    staging: StagingApi,
) -> None:
    assert_type(auth.get_current_user().user, User)
    assert_type(auth.list_users(prefix="a").results, list[User])
    assert_type(auth.create_credentials("user").secret_access_key, str)
    assert_type(auth.list_user_credentials("user").results, list[Credentials])
    assert_type(auth.login(login_information=LoginInformation("key", "secret")).token, str)
    runs = actions.list_repository_runs("repo", branch="main")
    assert_type(runs.results[0].status, Literal["failed", "completed"])
    assert_type(runs.results[0].start_time, datetime)
    assert_type(actions.get_run_hook_output("repo", "run", "hook").read(), bytes)
    found = config.get_config()
    assert_type(found, Config)
    assert_type(found.version_config, VersionConfig)
    assert_type(found.storage_config.pre_sign_multipart_upload, bool)
    assert_type(found.storage_config_list[0], StorageConfig)
    assert_type(external.list_user_external_principals("user").pagination, Pagination)
    health.health_check()
    started = imports.import_start(
        "repo",
        "dev",
        ImportCreation(
            [ImportLocation("common_prefix", "s3://lake/a/", "a/")], CommitCreation("import")
        ),
    )
    assert_type(imports.import_status("repo", "dev", started.id).commit, Commit)
    assert_type(internal.get_setup_state().state, Literal["initialized", "not_initialized"])
    assert_type(internal.get_lake_fs_version().version, str)
    assert_type(internal.get_metadata_object("repo", "id", "range").read(), bytes)
    assert_type(metadata.get_meta_range("repo", "id").location, str)
    location = staging.get_physical_address("repo", "dev", "a", presign=True)
    assert_type(location.presigned_url, str | None)
    linked = staging.link_physical_address(
        "repo", "dev", "a", models.StagingMetadata(location, "checksum", 3), if_none_match="*"
    )
    assert_type(linked, ObjectStats)


def client_object(config: Configuration) -> None:
    with LakeFSClient(config, pool_threads=2) as client:
        assert_type(client, LakeFSClient)
        assert_type(client.objects_api, ObjectsApi)
        assert_type(client.health_check_api, HealthCheckApi)
        assert_type(client.branches_api.get_branch("repo", "main"), Ref)


def pages(objects: ObjectsApi, branches: BranchesApi, auth: AuthApi, refs: RefsApi) -> None:
    found = paginate(objects.list_objects, "repo", "main", prefix="a/", amount=1000)
    assert_type(found, Iterator[ObjectStats])
    assert_type([stats.path for stats in found], list[str])
    assert_type(next(paginate(branches.list_branches, "repo")), Ref)
    assert_type(next(paginate(auth.list_users)), User)
    assert_type(next(paginate(refs.log_commits, "repo", ref="main")), Commit)
    assert_type(next(lakefs_client.paginate(branches.diff_branch, "repo", "dev")), Diff)


def transfers(client: ApiClient, metadata: Mapping[str, str]) -> None:
    config = TransferConfig(part_size=8 << 20, max_concurrency=4, verify=False)
    assert_type(config.multipart_threshold, int | None)
    transfer = Transfer(client, config)
    sent: list[int] = []
    stats = transfer.upload_file(
        "model.bin",
        "repo",
        "main",
        "models/model.bin",
        content_type="application/octet-stream",
        user_metadata=metadata,
        progress=sent.append,
    )
    assert_type(stats, ObjectStats)
    Transfer(client, TransferConfig(retry=RetryPolicy(attempts=1))).upload_file(
        Path("model.bin"), repository="repo", branch="main", path="model.bin"
    )


def errors(api: ObjectsApi) -> str | None:
    try:
        api.stat_object("repo", "main", "a")
    except NotFoundException as error:
        assert_type(error.status, int | None)
        assert_type(error.body, str | None)
    except (UnauthorizedException, ForbiddenException, ConflictException, ServiceException):
        raise
    except TransferError as error:
        assert_type(
            error.outcome,
            Literal["aborted", "resumable", "abort failed", "not linked", "unknown", "mismatch"],
        )
        assert_type(error.upload_id, str | None)
    except ApiTimeoutError as error:
        assert_type(error.sent, bool)
        timeout: TimeoutError = error
        raise timeout from None
    except ApiConnectionError as error:
        connection: ConnectionError = error
        raise connection from None
    except ApiException as error:
        return error.reason
    return str(ApiException(status=404, reason="Not Found"))


def models_are_plain_values(stats: ObjectStats) -> None:
    stats.size_bytes = 3
    stats["size_bytes"] = 3
    del_me: dict[str, Any] = stats.to_dict()
    assert_type(stats.to_str(), str)
    assert_type(stats == del_me, bool)
    assert_type(ObjectStats.attribute_map, Any)
    ObjectUserMetadata(owner="me", purpose="test")
    models.PolicyCondition(SourceIp=["10.0.0.0/8"])
    models.Statement("allow", "*", ["fs:*"])
