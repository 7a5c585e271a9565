"""One call of lakeFS's API within a transfer, under a retry policy of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefs_client._request import bind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefs_client.api_client import ApiClient
    from lakefs_client.retry import RetryPolicy


def call(
    client: ApiClient, method: Any, key: Sequence[str], policy: RetryPolicy | None, **arguments: Any
) -> Any:
    """Call a method of an API with a retry policy. Without one, the configured policy applies."""
    prepared = bind(method.operation, key, arguments, client.configuration)
    prepared.policy = policy
    return client.perform(prepared)
