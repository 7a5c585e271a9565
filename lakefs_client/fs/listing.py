"""Listings: what the server says of objects and folders, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakefs_client._paginate import paginate
from lakefs_client.fs.errors import os_errors
from lakefs_client.fs.location import Location, ancestors

if TYPE_CHECKING:
    from lakefs_client.api.objects_api import ObjectsApi
    from lakefs_client.model.object_stats import ObjectStats

    Info = dict[str, Any]


def file_info(place: Location, stats: ObjectStats) -> Info:
    """Return what the file system says of an object, with lakefs-spec's keys."""
    metadata = stats.get("metadata")
    return {
        "name": place.name(stats.path),
        "type": "file",
        "size": stats.get("size_bytes"),
        "mtime": stats.mtime,
        "checksum": stats.checksum,
        "content-type": stats.get("content_type"),
        "metadata": None if metadata is None else metadata.to_dict(),
    }


def folder_info(name: str, size: int = 0) -> Info:
    """Return what the file system says of a folder."""
    return {"name": name, "type": "directory", "size": size}


class Listings:
    """The listings of folders, and their cache.

    Args:
        objects: Lists objects.
        cache: fsspec's DirCache: entries by the name of their folder.
    """

    def __init__(self, objects: ObjectsApi, cache: Any) -> None:
        self._objects = objects
        self._cache = cache
        self._generation = 0

    def children(self, place: Location, *, refresh: bool) -> list[Info]:
        """Return what is directly in a folder; nothing if there is no such folder.

        Raises:
            FileNotFoundError: The server knows no such repository or ref.
        """
        name = place.name(place.path)
        if not refresh:
            try:
                return list(self._cache[name])
            except KeyError:
                pass
        generation = self._generation
        entries = list(self._listed(place, delimiter="/"))
        # A write during the listing may not be in it.
        if entries and generation == self._generation:
            self._cache[name] = list(entries)
        return entries

    def below(self, place: Location) -> Iterator[Info]:
        """Yield the files at any depth below a folder, in the order of their paths.

        Raises:
            FileNotFoundError: The server knows no such repository or ref.
        """
        return self._listed(place)

    def any_below(self, place: Location) -> bool:
        """Return True if an object is below the folder.

        Raises:
            FileNotFoundError: The server knows no such repository or ref.
        """
        with os_errors(place.name(place.path)):
            page = self._objects.list_objects(
                place.repository, place.ref, prefix=place.prefix, amount=1
            )
        return bool(page.results)

    def paths(self, place: Location) -> Iterator[str]:
        """Yield the paths of all objects below a folder, those of folder markers too."""
        for stats in self._objects_in(place):
            yield stats.path

    def forget(self, path: str | None) -> None:
        """Drop what a change at `path` may have made wrong; everything if it is None."""
        self._generation += 1
        if path is None:
            self._cache.clear()
            return
        above = {path, *ancestors(path)}
        for name in list(self._cache):
            if name in above or name.startswith(f"{path}/"):
                self._cache.pop(name, None)

    def _listed(self, place: Location, **options: Any) -> Iterator[Info]:
        for stats in self._objects_in(place, **options):
            if stats.path_type == "common_prefix":
                yield folder_info(place.name(stats.path))
            elif not stats.path.endswith("/"):
                yield file_info(place, stats)
            elif stats.path != place.prefix:  # a marker of an empty folder
                yield folder_info(place.name(stats.path))

    def _objects_in(self, place: Location, **options: Any) -> Iterator[ObjectStats]:
        with os_errors(place.name(place.path)):
            yield from paginate(
                self._objects.list_objects, place.repository, place.ref,
                prefix=place.prefix, **options,
            )  # fmt: skip
