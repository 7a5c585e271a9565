"""Operations on the server, its configuration, authentication, actions and metadata files."""

from __future__ import annotations

import base64
import email.utils
import re
from collections.abc import Callable

from lakefs_client.sandbox.errors import ApiError, bad_request, conflict, not_found, not_implemented
from lakefs_client.sandbox.http_server import Response
from lakefs_client.sandbox.identity import SESSION_COOKIE, USER
from lakefs_client.sandbox.operations.call import Call, Json, reply

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_LOGIN_SECONDS = 7 * 24 * 3600
_SESSION_SECONDS = 30 * 24 * 3600
_TOKEN_SECONDS = 3600


def _constant(answer: Json | None) -> Callable[[Call], Json | None]:
    """Return an operation that always gives `answer`."""
    return lambda _: answer


class Service(Call):
    """Operations outside of repositories. Open-source servers lack most of those in `/auth`."""

    health_check = post_stats_events = _constant(None)
    get_garbage_collection_config = _constant({"grace_period": 24 * 3600})
    get_usage_report_summary = _constant({"installation_id": "sandbox", "reports": []})
    get_auth_capabilities = _constant({"invite_user": False})

    def get_lake_fs_version(self) -> Json:
        return {"version": self.backend.version, "version_context": "lakeFS"}

    def get_setup_state(self) -> Json:
        login = {
            "RBAC": "none",
            "login_cookie_names": [SESSION_COOKIE],
            "login_failed_message": "The credentials don't match.",
            "login_url": "",
            "login_url_method": "none",
            "logout_url": "",
        }
        missing = not self.backend.comm_prefs
        return {"comm_prefs_missing": missing, "login_config": login, "state": "initialized"}

    def setup(self) -> None:
        raise conflict("lakeFS already initialized")

    def setup_comm_prefs(self) -> Response:
        email = self.body.get("email", "")
        if not email:
            raise bad_request("email is required")
        if not _EMAIL.fullmatch(email):
            raise bad_request("invalid email address")
        self.backend.comm_prefs = True
        return Response(200)

    def oauth_callback(self) -> Response:
        # The open-source server answers without a body.
        return Response(200)

    def get_config(self) -> Json:
        return {
            "capabilities_config": {},
            "storage_config": self.get_storage_config(),
            "storage_config_list": [],
            "ui_config": {},
            "version_config": self.get_lake_fs_version(),
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

    def create_symlink_file(self) -> Json:
        repository, location = self.repository, self["location"] or ""
        directories: dict[str, list[str]] = {}
        for path, entry in repository.tree(self["branch"]).entries.items():
            if path.startswith(location):
                directory = path.rpartition("/")[0]
                directories.setdefault(directory, []).append(repository.uri(entry.address))
        root = f"_lakefs/symlinks/{repository.id}/{self['branch']}"
        for directory, uris in directories.items():
            address = "/".join(part for part in (root, directory, "symlink.txt") if part)
            stored = self.backend.store.write(["\n".join(sorted(uris)).encode()])
            self.backend.store.put(repository.key(address), stored)
        return {"location": repository.uri(f"{root}/{location}".rstrip("/"))}

    # Authentication

    def get_current_user(self) -> Json:
        return {"user": self._user() if self.authenticated else {"creation_date": 0, "id": ""}}

    def list_users(self) -> Json:
        return self._user_listing({USER: self._user()})

    def get_user(self) -> Json:
        self._check_user()
        return self._user()

    def create_user(self) -> Json:
        # The open-source server has one user and gives this answer for any id.
        raise ApiError(409, "Already exists")

    def get_credentials(self) -> Json:
        identity = self.backend.identity
        if (self["userId"], self["accessKeyId"]) != (USER, identity.access_key_id):
            raise not_found("credentials")
        return {"access_key_id": identity.access_key_id, "creation_date": identity.created}

    def create_credentials(self) -> Json:
        self._check_user()
        raise bad_request("exceeded number of allowed credentials: invalid request")

    def login(self) -> Response:
        names = ("access_key_id", "secret_access_key")
        self.backend.identity.check_credentials(*(self.body.get(name, "") for name in names))
        answer = self._token(_LOGIN_SECONDS)
        token = self._token(_LOGIN_SECONDS)["token"]
        session = base64.urlsafe_b64encode(token.encode()).decode()
        expires = email.utils.formatdate(self.backend.clock() + _SESSION_SECONDS, usegmt=True)
        cookie = (
            f"{SESSION_COOKIE}={session}; Path=/; Expires={expires}; "
            f"Max-Age={_SESSION_SECONDS}; HttpOnly; SameSite=Lax"
        )
        return reply(answer, headers={"Set-Cookie": cookie})

    def sts_login(self) -> Json:
        self._check_external()
        if self.body["code"] == "bad":
            raise ApiError(401, "Unauthorized")
        return self._token(self.body.get("ttl_seconds") or _TOKEN_SECONDS)

    def external_principal_login(self) -> Json:
        self._check_external()
        principal = self.body.get("identityRequest", {}).get("principal")
        if principal not in self.backend.identity.principals:
            raise ApiError(403, "session expired")
        return self._token(self.body.get("token_expiration_duration") or _TOKEN_SECONDS)

    def create_user_external_principal(self) -> Response:
        principals = self._user_principals()
        if self["principalId"] in principals:
            raise ApiError(409, "Already exists")
        principals.append(self["principalId"])
        return Response(201)

    def delete_user_external_principal(self) -> None:
        self._user_principals().remove(self._principal_id())

    def get_external_principal(self) -> Json:
        self._check_external()
        return _principal(self._principal_id())

    def list_user_external_principals(self) -> Json:
        return self._user_listing({name: _principal(name) for name in self._user_principals()})

    def _location(self, identifier: str) -> Json:
        # The server does not check if the file exists.
        self.backend.repository(self["repository"])
        return {"location": f"_lakefs/{identifier}"}

    def _user_listing(self, items: dict[str, Json]) -> Json:
        page = self.listing(sorted(items.items()), lambda _, item: item)
        # Listings of the authentication service have no maximum.
        page["pagination"]["max_per_page"] = 0
        return page

    def _user(self) -> Json:
        created = self.backend.identity.created
        return {"creation_date": created, "email": "", "friendly_name": "", "id": USER}

    def _token(self, seconds: int) -> Json:
        token, expires = self.backend.identity.new_token(int(self.backend.clock()), seconds)
        return {"token": token, "token_expiration": expires}

    def _check_user(self) -> None:
        if self["userId"] != USER:
            raise not_found()

    def _check_external(self) -> None:
        if not self.backend.external_principals:
            raise not_implemented()

    def _principal_id(self) -> str:
        """Return the call's principal. Raise a 404 error if it does not exist."""
        name: str = self["principalId"]
        if name not in self.backend.identity.principals:
            raise not_found()
        return name

    def _user_principals(self) -> list[str]:
        self._check_external()
        self._check_user()
        return self.backend.identity.principals


def _principal(name: str) -> Json:
    # The server does not return settings.
    return {"id": name, "user_id": USER}
