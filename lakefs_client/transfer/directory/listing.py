"""The objects below a prefix: iterated, or looked up in the order of their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefs_client._paginate import PAGE
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import ApiException, NotFoundException
from lakefs_client.transfer.api_call import call
from lakefs_client.transfer.download.remote import ListedObject, signed_url
from lakefs_client.transfer.pool import WorkerPool
from lakefs_client.transfer.store import lacks_presigning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.model.object_stats_list import ObjectStatsList
    from lakefs_client.transfer.context import TransferContext
    from lakefs_client.uri import ObjectRef

SIGNED_PAGE = 200
"""Objects in a page with URLs. Each has some 1 KB, and takes lakeFS 0.1 ms before it answers."""


def never() -> bool:
    """Return False: nobody needs the URLs of the objects."""
    return False


def list_objects(
    context: TransferContext, prefix: ObjectRef, presign: Callable[[], bool] = never
) -> Iterator[ListedObject]:
    """Yield the objects below a prefix, while the next page is requested.

    `presign` returns True if the next page shall have the URLs of the objects.

    Raises:
        ApiException: lakeFS has no such ref, or lists paths in another order than that of their
            bytes. Then no answer could say that an object does not exist.
    """
    pages = _Pages(context, prefix, presign)
    pool = WorkerPool(1, "lakefs-client-listing")
    below, last = prefix.path.encode(), b""
    try:
        future = pool.submit(pages.fetch, "")
        while True:
            objects, following = future.result()
            if following is not None:
                future = pool.submit(pages.fetch, following)
            for listed in objects:
                path = listed.stats.path.encode("utf-8", "surrogatepass")
                if not path.startswith(below) or (last and path <= last):
                    raise _invalid(f"{listed.stats.path!r} is out of order")
                last = path
                yield listed
            if following is None:
                return
    finally:
        pool.close()


def _invalid(problem: str) -> ApiException:
    return ApiException(200, f"invalid response to list_objects: {problem}")


class _Pages:
    """The pages of a listing."""

    def __init__(
        self, context: TransferContext, prefix: ObjectRef, presign: Callable[[], bool]
    ) -> None:
        self._client = context.client
        self._patience = context.patience
        self._clock = context.client.store_client.timing.clock
        self._prefix = prefix
        self._presign = presign
        self._presigns = context.config.presign

    def fetch(self, after: str) -> tuple[list[ListedObject], str | None]:
        """Return a page, and the path after which the next page begins, or None."""
        began = self._clock()
        presign = self._presigns and self._presign()
        try:
            page, date = self._request(after, presign)
        except ApiException as error:
            if not presign or not lacks_presigning(error):
                raise
            self._presigns = presign = False
            page, date = self._request(after, presign)
        objects = [
            ListedObject(stats, signed_url(stats, date) if presign else None, began)
            for stats in page.results
        ]
        if not page.pagination.has_more:
            return objects, None
        if not objects:
            raise _invalid("an empty page has a next page")
        return objects, objects[-1].stats.path

    def _request(self, after: str, presign: bool) -> tuple[Any, str | None]:
        prefix = self._prefix
        answer = call(
            self._client, ObjectsApi.list_objects, (prefix.repository, prefix.ref),
            self._patience if after else None,
            prefix=prefix.path, after=after, presign=presign,
            amount=SIGNED_PAGE if presign else PAGE, _return_http_data_only=False,
        )  # fmt: skip
        return answer[0], answer[2].get("Date")


def metadata_of(stats: ObjectStats) -> dict[str, str]:
    """Return the user metadata of an object."""
    metadata = stats.get("metadata")
    return {} if metadata is None else metadata.to_dict()


class FullListing:
    """All objects below a prefix, for lookups in the order in which servers list paths.

    Args:
        context: Client and settings.
        prefix: Repository, branch, and the prefix as the path.
        surplus: Called with every object that no lookup asked for.
    """

    def __init__(
        self, context: TransferContext, prefix: ObjectRef, surplus: Callable[[ObjectStats], object]
    ) -> None:
        self._objects = list_objects(context, prefix)
        self._surplus = surplus
        self._head = next(self._objects, None)

    def find(self, path: str) -> ObjectStats | None:
        """Return the object at a path, or None. Paths must come in ascending order."""
        key = path.encode()
        while self._head is not None and self._head.stats.path.encode() < key:
            self._surplus(self._head.stats)
            self._head = next(self._objects, None)
        if self._head is None or self._head.stats.path != path:
            return None
        found, self._head = self._head.stats, next(self._objects, None)
        return found

    def finish(self) -> None:
        """Pass on the objects after the last lookup."""
        if self._head is not None:
            self._surplus(self._head.stats)
        for listed in self._objects:
            self._surplus(listed.stats)


class RemoteListing:
    """The objects below a prefix, for lookups in the order in which servers list paths.

    One page answers all lookups within it. Beyond its end, one `stat_object` answers a
    lookup, so that few files beside a long listing need few requests.

    Args:
        context: Client and settings.
        prefix: Repository, branch, and the prefix as the path.

    Raises:
        ApiException: lakeFS has no such branch, or the caller may not read it.
    """

    def __init__(self, context: TransferContext, prefix: ObjectRef) -> None:
        self._client = context.client
        self._patience = context.patience
        self._branch = (prefix.repository, prefix.ref)
        self._prefix = prefix.path
        self._last = ""
        self._next_page()

    def find(self, path: str) -> ObjectStats | None:
        """Return the object at a path, or None. Paths must come in ascending order."""
        if not self._covers(path):
            self._next_page()
        self._last = path
        if self._covers(path):
            return self._page.get(path)
        try:
            stats: ObjectStats = call(
                self._client, ObjectsApi.stat_object, (*self._branch, path), self._patience
            )
            return stats
        except NotFoundException:
            return None

    def finish(self) -> None:
        """Do nothing: the objects after the last lookup do not matter."""

    def _covers(self, path: str) -> bool:
        return self._end is None or path.encode() <= self._end

    def _next_page(self) -> None:
        """Fetch the page after the last path."""
        page: ObjectStatsList = call(
            self._client, ObjectsApi.list_objects, self._branch,
            self._patience if self._last else None,
            prefix=self._prefix, after=self._last, amount=PAGE,
        )  # fmt: skip
        self._page = {stats.path: stats for stats in page.results}
        more = page.pagination.has_more and page.results
        self._end = page.results[-1].path.encode() if more else None
