"""A repository on a server, whose answers are comparable with another server's."""

from __future__ import annotations

import json
import re
import time
from typing import Any, NamedTuple

import urllib3

import lakefs_client
from lakefs_client import ApiClient, ApiException, apis
from lakefs_client.models import RepositoryCreation

from .calls import PREFIX, Call, Reference

# Methods that take no repository.
_SERVER_METHODS = ("create_repository", "get_lake_fs_version", "get_garbage_collection_config")

# Long hexadecimal and base64 identifiers, and ids of pull requests and runs.
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_ADDRESS = re.compile(r"data/[^\s\"']+")
_XID = re.compile(r"\b[0-9a-v]{20}\b")
_RANDOM_IDS = re.compile(r"(RequestID: |HostID: |request id: |run id ')[^,'\s]*")
# The error messages of stores differ.
_STORE_ERROR = re.compile(r"(operation error S3: .*?(?:api error )?\b[A-Z]\w+): [^:]*$")
# Times, and addresses that depend on the store.
_TIMES = {"mtime", "creation_date", "closed_date", "update_time", "presigned_url_expiry"}


class Outcome(NamedTuple):
    """The result of a call: the exception class, or "", the status, and the answer."""

    error: str
    status: int
    answer: Any


class Target:
    """A repository on one server."""

    def __init__(
        self, client: ApiClient, repository: str, namespace: str, settings_seconds: float = 0
    ) -> None:
        # Servers cache branch protection rules for some seconds.
        self._settings_seconds = settings_seconds
        self._client = client
        self._repository = repository
        self._names: dict[str, str] = {repository: "<repository>", namespace: "<namespace>"}
        self._values: dict[str, list[str]] = {
            "namespace_data": [f"{namespace}/data/x"],
            "repository": [repository],
        }
        apis.RepositoriesApi(client).create_repository(RepositoryCreation(repository, namespace))
        self._remember("commit", apis.BranchesApi(client).get_branch(repository, "main").commit_id)
        self._rename(self._values["commit"][0])

    def close(self) -> None:
        """Delete the repository."""
        apis.RepositoriesApi(self._client).delete_repository(self._repository, force=True)

    def run(self, call: Call) -> Outcome:
        """Execute a call, and return its outcome with translated identifiers."""
        arguments = {name: self._resolve(value) for name, value in call.arguments.items()}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        if call.method == "put":
            return self._put(**arguments)
        method = getattr(getattr(apis, call.group)(self._client), call.method)
        if call.method not in _SERVER_METHODS:
            arguments["repository"] = self._repository
        try:
            result = method(**arguments)
        except ApiException as error:
            return self._failure(error)
        except lakefs_client.OpenApiException as error:
            return Outcome(type(error).__name__, 0, "")
        status = self._client.last_response.status if self._client.last_response else 0
        if hasattr(result, "read"):
            with result:
                answer: Any = len(result.read())
        else:
            answer = ApiClient.sanitize_for_serialization(result)
        if call.method == "set_branch_protection_rules":
            time.sleep(self._settings_seconds)
        self._remember_answer(call, arguments, answer)
        return Outcome("", status, self._translate(answer))

    def _put(self, url: str, data: bytes) -> Outcome:
        """Send a part to the store."""
        if url == "none":
            return Outcome("", 0, None)
        response = urllib3.request("PUT", url, body=data)
        if response.status == 200:
            self._remember("part_etag", response.headers["ETag"])
        code = re.search(b"<Code>.*</Code>", response.data)
        return Outcome("", response.status, code and code[0].decode())

    def _failure(self, error: ApiException) -> Outcome:
        try:
            message = json.loads(error.body or "")["message"]
        except (ValueError, KeyError, TypeError):
            message = str(error.body)
        # The excerpt of schema and value depends on the document's formatting.
        message = message.partition("\nSchema:")[0]
        return Outcome(type(error).__name__, error.status or 0, self._translate(message))

    # Identifiers

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            values = self._values.get(value.kind)
            if values is None:
                if value.default is None:
                    return None
                values = [value.default]
            return value.format.format(values[-1 - value.index % len(values)])
        if isinstance(value, dict):
            return {name: self._resolve(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item) for item in value]
        return value

    def _remember(self, kind: str, value: str) -> None:
        self._values.setdefault(kind, []).append(value)

    def _remember_answer(self, call: Call, arguments: dict[str, Any], answer: Any) -> None:
        if not isinstance(answer, dict):
            if call.method == "create_branch":
                self._remember("commit", answer)
            return
        match call.method:
            case "get_physical_address":
                self._remember("address", answer["physical_address"])
                self._remember("address_branch", arguments["branch"])
                self._remember("address_path", arguments["path"])
            case "create_presign_multipart_upload":
                self._remember("upload_address", answer["physical_address"])
                self._remember("upload_id", answer["upload_id"])
                self._remember("upload_branch", arguments["branch"])
                self._remember("upload_path", arguments["path"])
                self._remember("part_url", (answer.get("presigned_urls") or ["none"])[0])
            case "upload_part":
                self._remember("part_url", answer["presigned_url"])
            case "create_pull_request":
                self._remember("pull", answer["id"])
            case "commit" | "cherry_pick":
                self._remember("commit", answer["id"])
                self._remember("meta_range_id", answer["meta_range_id"])
            case "merge_into_branch" | "merge_pull_request":
                self._remember("commit", answer["reference"])
            case "upload_object":
                self._remember("checksum", answer["checksum"])

    def _translate(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._translate(item, key) for key, item in sorted(value.items())}
        if isinstance(value, list):
            return [self._translate(item, name) for item in value]
        if name in _TIMES:
            return "<time>"
        if not isinstance(value, str):
            return value
        if name == "upload_id":
            return "<upload>"
        if value.startswith("http://") and name != "message":
            return "<url>"
        value = _STORE_ERROR.sub(r"\1", _RANDOM_IDS.sub(r"\1…", value))
        for known in sorted(self._names, key=len, reverse=True):
            value = value.replace(known, self._names[known])
            if _HASH.fullmatch(known):
                value = value.replace(known[:PREFIX], self._names[known])
        value = _ADDRESS.sub("<address>", value)
        value = _HASH.sub(lambda match: self._rename(match[0]), value)
        return _XID.sub("<id>", value)

    def _rename(self, identifier: str) -> str:
        """Return a name for an identifier, numbered by its first appearance."""
        return self._names.setdefault(identifier, f"<hash {len(self._names)}>")
