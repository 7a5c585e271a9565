"""The server itself, and what lies beside versions: actions, metadata files, symlinks."""

from __future__ import annotations

from typing import Any

from ..backend import Backend, Call, no_content, page, reply, store_key
from ..errors import conflict, not_found
from ..identity import SESSION_COOKIE
from ..repository import Repository
from ..wire import Response
from .registry import operation

_VERSION = {"version": "dev", "version_context": "lakeFS"}


@operation
def health_check(backend: Backend, call: Call) -> Response:
    return no_content()


@operation
def get_setup_state(backend: Backend, call: Call) -> Response:
    login = {
        "RBAC": "none",
        "login_cookie_names": [SESSION_COOKIE],
        "login_failed_message": "The credentials don't match.",
        "login_url": "",
        "login_url_method": "none",
        "logout_url": "",
    }
    return reply({"comm_prefs_missing": True, "login_config": login, "state": "initialized"})


@operation
def setup(backend: Backend, call: Call) -> Response:
    raise conflict("lakeFS already initialized")


@operation
def get_config(backend: Backend, call: Call) -> Response:
    return reply(
        {
            "capabilities_config": {},
            "storage_config": _storage(backend),
            "storage_config_list": [],
            "ui_config": {},
            "version_config": _VERSION,
        }
    )


@operation
def get_storage_config(backend: Backend, call: Call) -> Response:
    return reply(_storage(backend))


def _storage(backend: Backend) -> dict[str, Any]:
    options = backend.options
    return {
        "blockstore_description": "",
        "blockstore_id": "",
        "blockstore_namespace_ValidityRegex": "^s3://",
        "blockstore_namespace_example": "s3://example-bucket/",
        "blockstore_type": "s3",
        "default_namespace_prefix": "",
        "import_support": True,
        "import_validity_regex": "^s3://",
        "pre_sign_multipart_upload": options.presign and options.presigned_multipart,
        "pre_sign_support": options.presign,
        "pre_sign_support_ui": False,
    }


@operation
def get_lake_fs_version(backend: Backend, call: Call) -> Response:
    return reply(_VERSION)


@operation
def get_garbage_collection_config(backend: Backend, call: Call) -> Response:
    return reply({"grace_period": 24 * 3600})


@operation
def post_stats_events(backend: Backend, call: Call) -> Response:
    return no_content()


@operation
def get_usage_report_summary(backend: Backend, call: Call) -> Response:
    return reply({"installation_id": "sandbox", "reports": []})


@operation
def list_repository_runs(backend: Backend, call: Call) -> Response:
    backend.repository(call)
    return page((), call, str, str)


@operation
def get_run(backend: Backend, call: Call) -> Response:
    backend.repository(call)
    raise not_found("not found:")


@operation
def list_run_hooks(backend: Backend, call: Call) -> Response:
    return get_run(backend, call)


@operation
def get_run_hook_output(backend: Backend, call: Call) -> Response:
    return get_run(backend, call)


@operation
def get_meta_range(backend: Backend, call: Call) -> Response:
    return _location(backend.repository(call), call["meta_range"])


@operation
def get_range(backend: Backend, call: Call) -> Response:
    return _location(backend.repository(call), call["range"])


def _location(repository: Repository, identifier: str) -> Response:
    # Where it would be: no server looks whether it is there.
    return reply({"location": repository.uri(f"_lakefs/{identifier}")})


@operation
def create_symlink_file(backend: Backend, call: Call) -> Response:
    repository, location = backend.repository(call), call["location"] or ""
    directories: dict[str, list[str]] = {}
    for path, entry in repository.tree(call["branch"]).entries.items():
        if path.startswith(location):
            directory = path.rpartition("/")[0]
            directories.setdefault(directory, []).append(repository.uri(entry.address))
    root = f"_lakefs/symlinks/{repository.id}/{call['branch']}"
    for directory, uris in directories.items():
        data = "\n".join(sorted(uris)).encode()
        place = "/".join(part for part in (root, directory, "symlink.txt") if part)
        backend.store.put(store_key(repository.uri(place)), backend.store.write([data]))
    return reply({"location": repository.uri(f"{root}/{location}".rstrip("/"))}, 201)
