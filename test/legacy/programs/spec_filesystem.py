"""A file system like fsspec's, with listings by delimiter and translated errors."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakefs_client import Configuration
from lakefs_client.client import LakeFSClient
from lakefs_client.exceptions import ApiException, NotFoundException
from lakefs_client.models import BranchCreation, ObjectCopyCreation, ObjectStats, RepositoryCreation

ERRORS = {401: PermissionError, 403: PermissionError, 404: FileNotFoundError}


def translate(error: ApiException, path: str) -> OSError:
    """Return an OSError with the server's message."""
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, KeyError):
        message = error.reason
    kind = ERRORS.get(error.status or 0, IOError)
    return kind(f"{error.status} {error.reason}: {message} ({path})")


@contextmanager
def translated(path: str) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise translate(error, path) from error


class LakeFSFileSystem:
    """A file system with paths of the form repository/ref/path."""

    def __init__(self, host: str, username: str, password: str) -> None:
        self.client = LakeFSClient(
            configuration=Configuration(host=host, username=username, password=password)
        )

    @staticmethod
    def parse(path: str) -> tuple[str, str, str]:
        repository, ref, resource = path.removeprefix("lakefs://").split("/", 2)
        return repository, ref, resource

    def exists(self, path: str) -> bool:
        repository, ref, resource = self.parse(path)
        try:
            self.client.objects_api.head_object(repository, ref, resource)
        except NotFoundException:
            return False
        except ApiException as error:
            raise translate(error, path) from error
        return True

    def info(self, path: str) -> dict[str, Any]:
        repository, ref, resource = self.parse(path)
        with translated(path):
            stats = self.client.objects_api.stat_object(
                repository=repository, ref=ref, path=resource
            )
        return {
            "name": f"{repository}/{ref}/{stats.path}",
            "size": stats.size_bytes,
            "checksum": stats.checksum,
            "type": "file",
        }

    @staticmethod
    def entry(parent: str, item: ObjectStats) -> dict[str, Any]:
        return {
            "name": f"{parent}/{item.path}",
            "size": item.get("size_bytes", 0),
            "type": "file" if item.path_type == "object" else "directory",
            "metadata": item.metadata.to_dict() if "metadata" in item else {},
        }

    def ls(self, path: str, *, detail: bool = False, amount: int = 2) -> list[Any]:
        repository, ref, prefix = self.parse(path)
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        found: list[Any] = []
        has_more, after = True, ""
        with translated(path):
            while has_more:
                page = self.client.objects_api.list_objects(
                    repository,
                    ref,
                    user_metadata=True,
                    after=after,
                    prefix=prefix,
                    delimiter="/",
                    amount=amount,
                )
                has_more, after = page.pagination.has_more, page.pagination.next_offset
                found += [self.entry(f"{repository}/{ref}", item) for item in page.results]
        return found if detail else [entry["name"] for entry in found]

    def cat_file(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        repository, ref, resource = self.parse(path)
        kwargs: dict[str, Any] = {}
        if start is not None or end is not None:
            size = self.info(path)["size"]
            kwargs["range"] = f"bytes={start or 0}-{(end or size) - 1}"
        with translated(path):
            return self.client.objects_api.get_object(repository, ref, resource, **kwargs).read()

    def pipe_file(self, path: str, data: bytes) -> None:
        repository, ref, resource = self.parse(path)
        with translated(path):
            self.client.objects_api.upload_object(
                repository=repository, branch=ref, path=resource, content=io.BytesIO(data)
            )

    def cp_file(self, source: str, target: str) -> None:
        repository, ref, resource = self.parse(source)
        _, branch, destination = self.parse(target)
        with translated(source):
            self.client.objects_api.copy_object(
                repository, branch, destination, ObjectCopyCreation(resource, src_ref=ref)
            )

    def rm_file(self, path: str) -> None:
        repository, branch, resource = self.parse(path)
        with translated(path):
            self.client.objects_api.delete_object(
                repository=repository, branch=branch, path=resource
            )


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    fs = LakeFSFileSystem(endpoint, key, secret)
    fs.client.repositories_api.create_repository(RepositoryCreation("spec", "s3://sandbox/spec"))
    fs.client.branches_api.create_branch("spec", BranchCreation("dev", "main"))
    for name in ("a.txt", "b.txt", "c/1.txt", "c/2.txt", "d/e/3.txt", "f.txt", "g/4.txt"):
        fs.pipe_file(f"lakefs://spec/dev/data/{name}", name.encode())
    fs.cp_file("lakefs://spec/dev/data/a.txt", "lakefs://spec/dev/copy.txt")
    fs.rm_file("lakefs://spec/dev/data/b.txt")
    errors = []
    for call in (
        lambda: fs.info("lakefs://spec/dev/missing"),
        lambda: fs.ls("lakefs://missing/dev/"),
        lambda: LakeFSFileSystem(endpoint, key, "wrong").info("lakefs://spec/dev/data/a.txt"),
    ):
        try:
            call()
        except OSError as error:
            errors.append((type(error).__name__, str(error), type(error.__cause__).__name__))
    return {
        "root": fs.ls("lakefs://spec/dev/data"),
        "types": [entry["type"] for entry in fs.ls("lakefs://spec/dev/data/", detail=True)],
        "deep": fs.ls("lakefs://spec/dev/data/d/e/"),
        "info": fs.info("lakefs://spec/dev/data/c/1.txt"),
        "exists": [fs.exists(f"lakefs://spec/dev/data/{name}") for name in ("a.txt", "b.txt")],
        "read": fs.cat_file("lakefs://spec/dev/copy.txt"),
        "part": fs.cat_file("lakefs://spec/dev/data/c/1.txt", 2, 5),
        "errors": errors,
    }
