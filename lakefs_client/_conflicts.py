"""Paths that conflict in a merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefs_client._security import ALL_SCHEMES
from lakefs_client.model.diff_list import DiffList
from lakefs_client.model.pull_request import PullRequest

if TYPE_CHECKING:
    from collections.abc import Callable


def conflicting_paths(call_api: Callable[..., Any], path: str, host: str) -> list[str]:
    """Return the paths that both sides of a merge changed.

    Args:
        call_api: `ApiClient.call_api`.
        path: The merge's path below the host, escaped: of two refs, or of a pull request.
        host: The address that the merge was sent to.
    """

    def get(resource: str, model: type, **query: Any) -> Any:
        options = {"_host": host, "auth_settings": ALL_SCHEMES, "_return_http_data_only": True}
        return call_api(resource, "GET", query_params=query, response_type=(model,), **options)

    start, _, destination = path.partition("/merge")
    repository, group, source = start.rsplit("/", 2)
    if group == "pulls":
        pull = get(start, PullRequest)
        source, destination = pull.source_branch, f"/{pull.destination_branch}"
    resource = f"{repository}/refs{destination}/diff/{source}"
    paths: list[str] = []
    query = {"type": "three_dot", "amount": 1000}
    while True:
        page = get(resource, DiffList, **query)
        paths += [item.path for item in page.results if item.type == "conflict"]
        if not page.pagination.has_more:
            return paths
        query["after"] = page.pagination.next_offset
