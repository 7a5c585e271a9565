"""Iteration over listings without loops over pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakefs_client.exceptions import ApiException, ApiTypeError

PAGE = 1000
"""Items that a page holds by default: the most that servers allow."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import ParamSpec, Protocol, TypeVar

    from lakefs_client.model.pagination import Pagination

    Item = TypeVar("Item")
    P = ParamSpec("P")

    class Page(Protocol[Item]):
        """One page of a listing."""

        @property
        def pagination(self) -> Pagination: ...

        @property
        def results(self) -> list[Item]: ...


def paginate(
    method: Callable[P, Page[Item]], /, *args: P.args, **kwargs: P.kwargs
) -> Iterator[Item]:
    """Iterate over all items of a listing. Pages are requested as needed.

    ``for stats in paginate(objects_api.list_objects, "repo", "main", prefix="a/"): …``

    Args:
        method: Bound method that lists something.
        args: Required arguments of the method.
        kwargs: Other arguments of the method. ``amount`` is the page size, by default 1,000, the
            server's maximum. ``after`` is the start.

    Raises:
        ApiTypeError: The method's results have no pages, or an option changes the result
            (``async_req``, ``_preload_content``, ``_return_http_data_only``).
        ApiException: A request failed, or the server repeated an offset, which would make the
            listing endless.
    """
    for option in ("async_req", "_preload_content", "_return_http_data_only"):
        if option in kwargs:
            raise ApiTypeError(f"paginate does not take {option}")
    options: dict[str, Any] = dict(kwargs)
    operation = getattr(method, "operation", None)
    if operation is not None and "amount" in operation.parameters:
        options.setdefault("amount", PAGE)
    return _items(method, args, options)


def _items(
    method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any]:
    name = getattr(method, "__name__", repr(method))
    offsets = {kwargs.get("after")}
    while True:
        page = method(*args, **kwargs)
        pagination = getattr(page, "pagination", None)
        if pagination is None:
            raise ApiTypeError(f"paginate: the answers of {name} have no pages")
        yield from page.results
        if not pagination.has_more:
            return
        offset = pagination.next_offset
        if offset in offsets or not offset:
            text = f"{name}: the server said that there is more after {offset!r} again"
            raise ApiException(200, text)
        offsets.add(offset)
        kwargs["after"] = offset
