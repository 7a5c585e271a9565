"""Ranges of objects, read in parallel."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.fs.errors import os_errors
from lakefs_client.fs.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefs_client.transfer.download.remote import RemoteObject


class _Range(NamedTuple):
    """The bytes of an object from `start` to `stop`, exclusive, for the request at `position`."""

    name: str
    start: int
    stop: int
    position: int


def read_range(remote: RemoteObject, start: int, stop: int) -> bytes:
    """Return the bytes of an object from `start` to `stop`, exclusive."""
    if start >= stop:
        return b""
    buffer = bytearray(stop - start)
    with os_errors(str(remote)), memoryview(buffer) as view:
        remote.read_into(view, start)
    return bytes(buffer)


def bounds(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """Return a slice's bounds as offsets."""
    first, last, _ = slice(start, end).indices(size)
    return first, max(first, last)


def read_ranges(
    open_remote: Callable[[str], RemoteObject],
    requests: Sequence[tuple[str, int | None, int | None]],
    *,
    max_gap: int | None,
    keep_errors: bool,
) -> list[Any]:
    """Return the bytes of each request, which is a name, a start and an end.

    Each object is asked for once. Its ranges that are at most `max_gap` apart are read together.
    With `keep_errors`, an exception takes the place of the bytes.
    """
    names = sorted({name for name, _, _ in requests})
    opened = in_parallel(open_remote, [(name,) for name in names], keep_errors=keep_errors)
    remotes = dict(zip(names, opened))
    results: list[Any] = [remotes[name] for name, _, _ in requests]
    ranges = [
        _Range(name, *bounds(start, end, remotes[name].size), index)
        for index, (name, start, end) in enumerate(requests)
        if not isinstance(remotes[name], Exception)
    ]
    groups = _merged(sorted(ranges), max_gap)

    def read(group: list[_Range]) -> None:
        begin = group[0].start
        try:
            end = max(one.stop for one in group)
            data: Any = read_range(remotes[group[0].name], begin, end)
        except Exception as error:
            if not keep_errors:
                raise
            data = error
        for one in group:
            failed = isinstance(data, Exception)
            results[one.position] = data if failed else data[one.start - begin : one.stop - begin]

    in_parallel(read, [(group,) for group in groups])
    return results


def _merged(ranges: list[_Range], max_gap: int | None) -> list[list[_Range]]:
    """Group sorted ranges that are read together."""
    if max_gap is None:
        return [[one] for one in ranges]
    groups: list[list[_Range]] = []
    for _, of_object in groupby(ranges, key=lambda one: one.name):
        end = -1 - max_gap  # no range of this object is near
        for one in of_object:
            if groups and one.start - end <= max_gap:
                groups[-1].append(one)
            else:
                groups.append([one])
            end = max(end, one.stop)
    return groups
