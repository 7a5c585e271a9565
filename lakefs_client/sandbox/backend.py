"""What the operations work on: the sandbox's whole state, and the call that one request is."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .blocks import Blockstore
from .clock import Clock
from .errors import not_found
from .identity import Identity
from .repository import Repository
from .signing import AddressSigner, UrlSigner
from .versions import Entry
from .wire import Request, Response

BUCKET = "sandbox"
NAMESPACE = f"s3://{BUCKET}/"
MAX_PAGE = 1000
DEFAULT_PAGE = 100

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of server the sandbox is."""

    url_lifetime: int = 900
    external_principals: bool = False
    presign: bool = True
    presigned_multipart: bool = True


@dataclass(slots=True)
class Call:
    """One request for an operation, checked against the API document."""

    request: Request
    arguments: dict[str, Any]
    body: Any
    user: str
    store_port: int

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def store_host(self) -> str:
        """The blockstore's address: at the host by which the client knows the server."""
        host = re.sub(r":\d*$", "", self.request.headers.get("host", ""))
        return f"{host or '127.0.0.1'}:{self.store_port}"


class Backend:
    """The sandbox's state. Operations hold `lock` while they use it."""

    def __init__(
        self, options: Options, clock: Clock, store: Blockstore, identity: Identity
    ) -> None:
        self.options = options
        self.clock = clock
        self.store = store
        self.identity = identity
        self.lock = threading.RLock()
        self.repositories: dict[str, Repository] = {}
        # What was started and, in the sandbox, finished at once, by id.
        self.imports: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.urls = UrlSigner("SANDBOXSTORE", identity.derive_secret("urls").hex())
        self.addresses = AddressSigner(identity.derive_secret("addresses"))

    def repository(self, call: Call) -> Repository:
        """The repository that a call is about, or 404."""
        return self.find_repository(call["repository"])

    def find_repository(self, name: str) -> Repository:
        if repository := self.repositories.get(name):
            return repository
        raise not_found("repository")

    def presign_get(self, call: Call, repository: Repository, path: str, entry: Entry) -> str:
        """A URL to read an object's bytes from the blockstore."""
        name = path.rpartition("/")[2]
        return self.urls.sign(
            "GET",
            call.store_host,
            store_key(repository.uri(entry.address)),
            now=self.clock(),
            expires=self.options.url_lifetime,
            query={
                "response-content-disposition": f"attachment; filename={name}",
                "x-id": "GetObject",
            },
        )

    def url_expiry(self) -> int:
        """When a URL that is made now expires."""
        return int(self.clock()) + self.options.url_lifetime


def store_key(uri: str) -> str:
    """The blockstore's key of a URI."""
    return uri.partition("://")[2]


def reply(body: object, status: int = 200) -> Response:
    """An answer in JSON."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Response(
        status,
        text.encode() + b"\n",
        {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"},
    )


def no_content() -> Response:
    return Response(204)


def page_size(call: Call) -> int:
    amount: int = call["amount"]
    return amount if amount > 0 else DEFAULT_PAGE


def page(
    items: Iterable[T],
    call: Call,
    key: Callable[[T], str],
    show: Callable[[T], Any],
    *,
    max_per_page: int = MAX_PAGE,
) -> Response:
    """The page that a call asks for of sorted `items`, which begin after `after`."""
    amount = page_size(call)
    shown: list[T] = []
    has_more = False
    for item in items:
        if len(shown) == amount:
            has_more = True
            break
        shown.append(item)
    pagination = {
        "has_more": has_more,
        "max_per_page": max_per_page,
        "next_offset": key(shown[-1]) if has_more else "",
        "results": len(shown),
    }
    return reply({"pagination": pagination, "results": [show(item) for item in shown]})


def named_page(items: dict[str, T], call: Call, show: Callable[[str, T], Any]) -> Response:
    """A page of what has names, by `prefix` and `after`."""
    prefix, after = call["prefix"] or "", call["after"] or ""
    names = sorted(name for name in items if name.startswith(prefix) and name > after)
    return page(names, call, str, lambda name: show(name, items[name]))
