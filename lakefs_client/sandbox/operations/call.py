"""The base class of operation groups: a validated request, and helpers for responses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from lakefs_client.sandbox.errors import ApiError, find
from lakefs_client.sandbox.http_server import Request, Response
from lakefs_client.sandbox.names import check_branch_id, check_ref, check_repository_id
from lakefs_client.sandbox.repository import Repository
from lakefs_client.sandbox.state import Backend

MAX_PAGE = 1000
DEFAULT_PAGE = 100

Json = dict[str, Any]
T = TypeVar("T")


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False) + "\n"
    defaults = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    return Response(status, text.encode(), {**defaults, **(headers or {})})


@dataclass
class Call:
    """A request for one operation, validated against the API document.

    `call[name]` is a parameter or None. `body` is the JSON body or `{}`. Groups of operations are
    subclasses with one method per operation, named by the operation's id. A method returns the JSON
    to send, None for status 204, or a `Response`.
    """

    backend: Backend
    request: Request
    arguments: dict[str, Any]
    body: Any
    authenticated: bool

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def repository(self) -> Repository:
        """The repository in the path. Raises a 404 error if there is none."""
        check_repository_id(self["repository"])
        return self.backend.repository(self["repository"])

    def check_branch(self, name: str, argument: str = "branch") -> None:
        """Raise a 400 error unless `name` is a valid branch id."""
        check_repository_id(self["repository"])
        check_branch_id(name, argument)

    def check_refs(self, **refs: str) -> None:
        """Raise a 400 error unless all `refs` are valid. The keywords are the argument names."""
        check_repository_id(self["repository"])
        for argument, ref in refs.items():
            check_ref(ref, argument)

    def existing_branch(self, name: str) -> Repository:
        """Return the repository. Raise the 404 error of uploads if the branch is missing."""
        self.check_branch(name, "name")
        repository = self.repository
        find(repository.branches, name, f"branch '{name}'")
        return repository

    @property
    def force(self) -> bool:
        """True if the call may write to a read-only repository."""
        return bool(self.arguments.get("force") or self.body.get("force"))

    @property
    def writable_repository(self) -> Repository:
        """The repository. Raises a 403 error if it is read-only, unless forced."""
        repository = self.repository
        repository.check_writable(force=self.force)
        return repository

    def presign(
        self, method: str, key: str, query: Mapping[str, str], unsupported: int = 400
    ) -> str:
        """Return a presigned URL with the host name that the client used.

        Raise an error with the status `unsupported` if the store has no presigned URLs.
        """
        if not self.backend.presign:
            raise ApiError(unsupported, "operation not supported")
        host = re.sub(r":\d*$", "", self.request.headers.get("host", "")) or "127.0.0.1"
        return self.backend.urls.sign(method, f"{host}:{self.backend.store_port}", key, query)

    @property
    def page_size(self) -> int:
        """The number of results in a page."""
        amount: int = self["amount"]
        return amount if amount > 0 else DEFAULT_PAGE

    def page(self, items: Iterable[tuple[str, Json]]) -> Json:
        """Return a page of `items`, which are sorted pairs of key and JSON after `after`."""
        page = list(islice(items, self.page_size + 1))
        has_more = len(page) > self.page_size
        del page[self.page_size :]
        pagination = {
            "has_more": has_more,
            "max_per_page": MAX_PAGE,
            "next_offset": page[-1][0] if has_more else "",
            "results": len(page),
        }
        return {"pagination": pagination, "results": [item for _, item in page]}

    def listing(
        self, items: Iterable[tuple[str, T]], show: Callable[[str, T], Json], **common: object
    ) -> Json:
        """Return a page of sorted items, filtered by the call's `prefix` and `after`.

        With a `delimiter`, items fold into common prefixes with the properties `common`.
        """
        names = ("prefix", "after", "delimiter")
        prefix, after, delimiter = (self.arguments.get(name) or "" for name in names)

        def fold() -> Iterator[tuple[str, Json]]:
            last = after
            for path, item in items:
                if not path.startswith(prefix):
                    continue
                end = path.find(delimiter, len(prefix)) if delimiter else -1
                key = path if end < 0 else path[: end + len(delimiter)]
                if key <= last:
                    continue
                last = key
                if end < 0:
                    yield key, show(path, item)
                else:
                    yield key, {"path": key, "path_type": "common_prefix", **common}

        return self.page(fold())
