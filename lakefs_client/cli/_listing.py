"""Listings of any length, a page at a time."""

from __future__ import annotations

from itertools import islice

from lakefs_client.cli._app import as_dict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def listing(
    method: Callable[..., Any], *args: Any, amount: int | None, after: str | None, **query: Any
) -> Iterator[dict[str, Any]]:
    """Iterate over the items of a listing as JSON would have them.

    Args:
        method: The operation.
        args: Its arguments.
        amount: The number of items at most; None for all.
        after: The name after which the listing begins.
        query: Other options of the operation; None means that an option is not given.
    """
    from lakefs_client._paginate import PAGE, paginate

    query |= {"after": after, "amount": min(amount or PAGE, PAGE)}
    given = {name: value for name, value in query.items() if value is not None}
    return map(as_dict, islice(paginate(method, *args, **given), amount))
