"""The call that one request is: what the operations of every group have at hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from ..errors import ApiError
from ..repository import Repository
from ..state import Backend
from ..wire import Request, Response

MAX_PAGE = 1000
DEFAULT_PAGE = 100

Json = dict[str, Any]
T = TypeVar("T")


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON, with these headers, too."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False) + "\n"
    usual = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    return Response(status, text.encode(), {**usual, **(headers or {})})


@dataclass
class Call:
    """One request for an operation, checked against the API document.

    `call[name]` is a parameter, None where it was not given; `body` is `{}` where none came. Groups
    of operations are subclasses, with a method for each operation, which bears its id. A method
    returns what is answered as JSON, None for 204, or any other answer as a `Response`.
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
        """The repository that the call is about, or 404."""
        return self.backend.repository(self["repository"])

    @property
    def force(self) -> bool:
        """Whether a read-only repository is to be written all the same."""
        return bool(self.arguments.get("force") or self.body.get("force"))

    @property
    def writable_repository(self) -> Repository:
        """The repository, or 403 where it is read-only and the call does not force it."""
        repository = self.repository
        repository.check_writable(force=self.force)
        return repository

    def presign(self, method: str, key: str, query: Mapping[str, str], refusal: int = 400) -> str:
        """A URL of the blockstore, at the host by which the client knows the server.

        Where there are no such URLs that is refused, with a status that depends on the operation.
        """
        if not self.backend.presign:
            raise ApiError(refusal, "operation not supported")
        host = re.sub(r":\d*$", "", self.request.headers.get("host", "")) or "127.0.0.1"
        return self.backend.urls.sign(method, f"{host}:{self.backend.store_port}", key, query)

    @property
    def page_size(self) -> int:
        amount: int = self["amount"]
        return amount if amount > 0 else DEFAULT_PAGE

    def page(self, shown: Iterable[tuple[str, Json]]) -> Json:
        """The page that the call asks for, of keys and items in order that begin after `after`."""
        page = list(islice(shown, self.page_size + 1))
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
        """A page of sorted items, by `prefix`, `after` and, where the call has one, `delimiter`.

        What has a delimiter behind the prefix is told as one common prefix, with these properties.
        """
        names = ("prefix", "after", "delimiter")
        prefix, after, delimiter = (self.arguments.get(name) or "" for name in names)

        def folded() -> Iterator[tuple[str, Json]]:
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

        return self.page(folded())
