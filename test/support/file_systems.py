"""Arguments of file systems, and a fresh repository on a sandbox or a named server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakefs_client import ApiClient, Configuration
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox


def arguments(sandbox: Sandbox) -> dict[str, Any]:
    """Return the arguments of a file system over the sandbox."""
    configuration = sandbox.configuration()
    return {
        "host": configuration.host,
        "username": configuration.username,
        "password": configuration.password,
        "verify_ssl": False,  # the sandbox has no TLS, and loading the root certificates takes time
    }


def create_repository(sandbox: Sandbox, name: str) -> None:
    """Create a repository in the sandbox's own storage."""
    with ApiClient(sandbox.configuration()) as client:
        RepositoriesApi(client).create_repository(
            RepositoryCreation(name=name, storage_namespace=f"{sandbox.storage_namespace}{name}")
        )


@contextmanager
def any_server() -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the arguments of a file system and a fresh repository, which is deleted at the end.

    The environment names the server, as for test/integration. The default is a sandbox.
    """
    if not (endpoint := os.environ.get("LAKEFS_TEST_ENDPOINT")):
        with Sandbox() as sandbox:
            create_repository(sandbox, "repo")
            yield arguments(sandbox), "repo"
        return
    given = {
        "host": endpoint,
        "username": os.environ["LAKEFS_TEST_ACCESS_KEY_ID"],
        "password": os.environ["LAKEFS_TEST_SECRET_ACCESS_KEY"],
    }
    name = f"fs-{uuid.uuid4().hex[:12]}"
    namespace = f"{os.environ['LAKEFS_TEST_STORAGE_NAMESPACE'].rstrip('/')}/{name}"
    configuration = Configuration(**given)
    with ApiClient(configuration) as client:
        repositories = RepositoriesApi(client)
        repositories.create_repository(RepositoryCreation(name=name, storage_namespace=namespace))
        try:
            yield given, name
        finally:
            repositories.delete_repository(name)
