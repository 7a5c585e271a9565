"""The objects of a branch, looked up in the order of their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.exceptions import NotFoundException

if TYPE_CHECKING:
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.object_stats import ObjectStats
    from lakefs_client.uri import ObjectRef


class RemoteListing:
    """The objects below a prefix, for lookups in the order in which servers list paths.

    One page answers as many lookups as it covers. Beyond its end, one `stat_object` answers a
    lookup, so that few files beside a long listing need few requests.

    Args:
        client: Client for the requests.
        prefix: Repository, branch, and the prefix as the path.

    Raises:
        ApiException: lakeFS has no such branch, or the caller may not read it.
    """

    def __init__(self, client: ApiClient, prefix: ObjectRef) -> None:
        self._objects = ObjectsApi(client)
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
            return self._objects.stat_object(*self._branch, path)
        except NotFoundException:
            return None

    def _covers(self, path: str) -> bool:
        return self._end is None or path.encode() <= self._end

    def _next_page(self) -> None:
        """Fetch the page after the last path."""
        page = self._objects.list_objects(
            *self._branch, prefix=self._prefix, after=self._last, amount=1000
        )
        self._page = {stats.path: stats for stats in page.results}
        more = page.pagination.has_more and page.results
        self._end = page.results[-1].path.encode() if more else None
