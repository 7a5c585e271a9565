"""Shared parts of the integration tests: servers, repositories, expected errors."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from lakefs_client import ApiException, Configuration
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import (
    ConflictException,
    ForbiddenException,
    NotFoundException,
    PreconditionFailedException,
    ServiceException,
    UnauthorizedException,
)
from lakefs_client.models import BranchCreation, CommitCreation, ObjectStats, RepositoryCreation
from lakefs_client.sandbox import Sandbox

MIB = 1 << 20
VARIABLES = (
    "LAKEFS_TEST_ENDPOINT",
    "LAKEFS_TEST_ACCESS_KEY_ID",
    "LAKEFS_TEST_SECRET_ACCESS_KEY",
    "LAKEFS_TEST_STORAGE_NAMESPACE",
)

_CLASSES = {
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    409: ConflictException,
    412: PreconditionFailedException,
}


@dataclass(frozen=True)
class Server:
    """The address and credentials of a lakeFS server."""

    endpoint: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    storage_namespace: str

    def configuration(self) -> Configuration:
        return Configuration(
            self.endpoint, username=self.access_key_id, password=self.secret_access_key
        )

    def namespace(self, name: str) -> str:
        """Return the storage namespace for a repository of this name."""
        return f"{self.storage_namespace.removesuffix('/')}/{name}"


def named_server() -> Server | None:
    """Return the server of the environment variables, or None without them."""
    if not os.environ.get(VARIABLES[0]):
        return None
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    assert not missing, f"{VARIABLES[0]} needs {', '.join(missing)}"
    return Server(*(os.environ[name] for name in VARIABLES))


def sandbox_server(sandbox: Sandbox) -> Server:
    """Return the address and credentials of a sandbox."""
    return Server(
        sandbox.endpoint,
        sandbox.access_key_id,
        sandbox.secret_access_key,
        sandbox.storage_namespace,
    )


def error_class(status: int) -> type[ApiException]:
    """Return the exception class of a status."""
    return _CLASSES.get(status, ServiceException if status >= 500 else ApiException)


@contextmanager
def expect_error(
    status: int, message: str = "", cls: type[ApiException] | None = None
) -> Iterator[pytest.ExceptionInfo[ApiException]]:
    """Expect an error of this status and class whose message contains `message`.

    By default the class is the one of the status.
    """
    with pytest.raises(ApiException) as caught:
        yield caught
    error = caught.value
    assert error.status == status, error
    assert type(error) is (cls or error_class(status))
    if message:
        assert message in json.loads(error.body or "")["message"]


class Repo:
    """A repository, with shorthands for common calls."""

    def __init__(self, lakefs: LakeFSClient, name: str, storage_namespace: str) -> None:
        self.lakefs = lakefs
        self.name = name
        self.storage_namespace = storage_namespace

    def upload(
        self, path: str, content: Any = b"content", branch: str = "main", **options: Any
    ) -> ObjectStats:
        return self.lakefs.objects_api.upload_object(
            self.name, branch, path, content=content, **options
        )

    def commit(self, message: str = "a commit", branch: str = "main", **creation: Any) -> str:
        """Commit a branch; return the commit's id."""
        return self.lakefs.commits_api.commit(
            self.name, branch, CommitCreation(message, **creation)
        ).id

    def change(self, path: str, content: bytes | None = None, branch: str = "main") -> str:
        """Upload and commit; return the commit's id."""
        # By default no two paths have the same bytes: merges of servers of 1.84 drop an added
        # object where the base has equal bytes at a later path.
        self.upload(path, path.encode() if content is None else content, branch)
        return self.commit(f"change {path}", branch)

    def branch(self, name: str, source: str = "main") -> str:
        """Create a branch; return the id of its commit."""
        return self.lakefs.branches_api.create_branch(self.name, BranchCreation(name, source))

    def head(self, branch: str = "main") -> str:
        """Return the id of a branch's commit."""
        return self.lakefs.branches_api.get_branch(self.name, branch).commit_id

    def owns(self, address: str) -> bool:
        """Return True if a physical address is in the repository's storage namespace."""
        # A store on a local disk prepends its directory to the namespace.
        return f"{self.storage_namespace.partition('://')[2]}/" in address

    def stat(self, path: str, ref: str = "main", **options: Any) -> ObjectStats:
        return self.lakefs.objects_api.stat_object(self.name, ref, path, **options)

    def read(self, path: str, ref: str = "main", **options: Any) -> bytes:
        with self.lakefs.objects_api.get_object(self.name, ref, path, **options) as content:
            return content.read()

    def paths(self, ref: str = "main", **options: Any) -> list[str]:
        listing = self.lakefs.objects_api.list_objects(self.name, ref, **options)
        return [item.path for item in listing.results]

    def uncommitted(self, branch: str = "main") -> list[tuple[str, str]]:
        """Return the type and path of each uncommitted change."""
        changes = self.lakefs.branches_api.diff_branch(self.name, branch).results
        return [(change.type, change.path) for change in changes]


class Repositories:
    """A factory of repositories with unique names, which can delete them."""

    def __init__(self, lakefs: LakeFSClient, server: Server) -> None:
        self._lakefs = lakefs
        self._server = server
        self._names: list[str] = []

    def new_name(self, prefix: str = "client-test-") -> str:
        """Return a new name of a repository, to be deleted by `delete_all`."""
        name = f"{prefix}{uuid.uuid4().hex}"
        self._names.append(name)
        return name

    def create(self, prefix: str = "client-test-", **creation: Any) -> Repo:
        name = self.new_name(prefix)
        namespace = self._server.namespace(name)
        self._lakefs.repositories_api.create_repository(
            RepositoryCreation(name, namespace, **creation)
        )
        return Repo(self._lakefs, name, namespace)

    def delete_all(self) -> None:
        """Delete all created repositories, and raise the first failure at the end."""
        failures: list[ApiException] = []
        while self._names:
            try:
                self._lakefs.repositories_api.delete_repository(self._names.pop(), force=True)
            except NotFoundException:
                pass  # never created, or deleted by the test
            except ApiException as error:
                failures.append(error)
        if failures:
            raise failures[0]


def walk(listing: Callable[..., Any], *args: Any, **options: Any) -> list[Any]:
    """Return all items of a listing, and check the size of each page."""
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = listing(*args, **options, **after)
        assert page.pagination.results == len(page.results) <= options.get("amount", 1000)
        found += page.results
        if not page.pagination.has_more:
            return found
        # Without progress the loop would not end.
        assert page.pagination.next_offset != after.get("after")
        after = {"after": page.pagination.next_offset}
