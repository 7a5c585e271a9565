"""The server itself, and what lies beside versions: actions, metadata files, symlinks."""

from __future__ import annotations

from ..errors import conflict, not_found
from ..identity import SESSION_COOKIE
from ..wire import Response
from .call import Call, Json, reply

_VERSION = {"version": "dev", "version_context": "lakeFS"}


class Service(Call):
    def health_check(self) -> None:
        pass

    def get_setup_state(self) -> Json:
        login = {
            "RBAC": "none",
            "login_cookie_names": [SESSION_COOKIE],
            "login_failed_message": "The credentials don't match.",
            "login_url": "",
            "login_url_method": "none",
            "logout_url": "",
        }
        return {"comm_prefs_missing": True, "login_config": login, "state": "initialized"}

    def setup(self) -> None:
        raise conflict("lakeFS already initialized")

    def get_config(self) -> Json:
        return {
            "capabilities_config": {},
            "storage_config": self.get_storage_config(),
            "storage_config_list": [],
            "ui_config": {},
            "version_config": _VERSION,
        }

    def get_storage_config(self) -> Json:
        return {
            "blockstore_description": "",
            "blockstore_id": "",
            "blockstore_namespace_ValidityRegex": "^s3://",
            "blockstore_namespace_example": "s3://example-bucket/",
            "blockstore_type": "s3",
            "default_namespace_prefix": "",
            "import_support": True,
            "import_validity_regex": "^s3://",
            "pre_sign_multipart_upload": self.backend.presigned_multipart,
            "pre_sign_support": self.backend.presign,
            "pre_sign_support_ui": False,
        }

    def get_lake_fs_version(self) -> Json:
        return _VERSION

    def get_garbage_collection_config(self) -> Json:
        return {"grace_period": 24 * 3600}

    def post_stats_events(self) -> None:
        pass

    def get_usage_report_summary(self) -> Json:
        return {"installation_id": "sandbox", "reports": []}

    def list_repository_runs(self) -> Json:
        self.backend.repository(self["repository"])
        return self.page(())

    def get_run(self) -> None:
        self.backend.repository(self["repository"])
        raise not_found("not found:")

    def get_run_hook_output(self) -> None:
        self.backend.repository(self["repository"])
        raise not_found()

    list_run_hooks = list_repository_runs

    def get_meta_range(self) -> Json:
        return self._location(self["meta_range"])

    def get_range(self) -> Json:
        return self._location(self["range"])

    def _location(self, identifier: str) -> Json:
        # Where it would be: no server looks whether it is there.
        return {"location": self.repository.uri(f"_lakefs/{identifier}")}

    def create_symlink_file(self) -> Response:
        repository, location = self.repository, self["location"] or ""
        directories: dict[str, list[str]] = {}
        for path, entry in repository.tree(self["branch"]).entries.items():
            if path.startswith(location):
                directory = path.rpartition("/")[0]
                directories.setdefault(directory, []).append(repository.uri(entry.address))
        root = f"_lakefs/symlinks/{repository.id}/{self['branch']}"
        for directory, uris in directories.items():
            place = "/".join(part for part in (root, directory, "symlink.txt") if part)
            stored = self.backend.store.write(["\n".join(sorted(uris)).encode()])
            self.backend.store.put(repository.key(place), stored)
        return reply({"location": repository.uri(f"{root}/{location}".rstrip("/"))}, 201)
