"""The part of the file system that looks: what is at a path and below it."""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from lakefs_client.fs._fsspec import AbstractFileSystem
from lakefs_client.fs.errors import os_errors
from lakefs_client.fs.instances import SharedInstances
from lakefs_client.fs.listing import Listings, file_info, folder_info
from lakefs_client.fs.location import ancestors, parse

if TYPE_CHECKING:
    import os

    from lakefs_client.api.objects_api import ObjectsApi

    Path = str | os.PathLike[str]


class Tree(AbstractFileSystem, metaclass=SharedInstances):
    """Repositories, refs and paths as folders and files.

    Attributes:
        objects: Asks the server.
        listings: The listings of folders.
    """

    objects: ObjectsApi
    listings: Listings

    def info(self, path: Path, **options: Any) -> dict[str, Any]:
        """Return name, type and size of a path, and of a file also mtime, checksum, content-type
        and metadata. The size of a folder is that of the files directly in it.

        Raises:
            FileNotFoundError: There is nothing at the path.
        """
        name = self._strip_protocol(path)
        found = self._file_info(name)
        if found is not None:
            return found
        children = self.listings.children(parse(name), refresh=options.get("refresh", False))
        if not children and parse(name).path:
            raise FileNotFoundError(name)
        return folder_info(name, sum(child["size"] or 0 for child in children))

    def _file_info(self, name: str) -> dict[str, Any] | None:
        place = parse(name)
        if not place.path:
            return None
        try:
            with os_errors(name):
                return file_info(place, self.objects.stat_object(*place))
        except FileNotFoundError:
            return None

    def exists(self, path: Path, **_: Any) -> bool:
        """Return True if the path is an object, a folder with objects, or an existing ref.

        Raises:
            OSError: The server refused to say, or could not be reached.
        """
        name = self._strip_protocol(path)
        return self.isfile(name) or self.isdir(name) or self._is_ref(name)

    def _is_ref(self, name: str) -> bool:
        place = parse(name)
        try:
            return not place.path and (self.listings.any_below(place) or True)
        except FileNotFoundError:
            return False

    def isfile(self, path: Path) -> bool:
        """Return True if there is an object at the path."""
        return self._file_info(self._strip_protocol(path)) is not None

    def isdir(self, path: Path) -> bool:
        """Return True if there are objects below the path, or the path is an existing ref."""
        name = self._strip_protocol(path)
        if not parse(name).path:
            return self._is_ref(name)
        try:
            return self.listings.any_below(parse(name))
        except FileNotFoundError:
            return False

    def ls(
        self,
        path: Path,
        detail: bool = True,
        *,
        refresh: bool = False,
        recursive: bool = False,
        **_: Any,
    ) -> list[Any]:
        """List a folder, or the file at the path.

        Args:
            path: The folder.
            detail: Return dicts as `info` does, not names.
            refresh: Ask the server even if the listing is cached.
            recursive: List what is in folders too.

        Raises:
            FileNotFoundError: There is nothing at the path.
        """
        name = self._strip_protocol(path)
        if recursive:
            entries = list(self.find(name, withdirs=True, detail=True).values())
            entries = [entry for entry in entries if entry["name"] != name or "mtime" in entry]
        else:
            entries = self.listings.children(parse(name), refresh=refresh)
        if not entries and parse(name).path:
            found = self._file_info(name)
            if found is None:
                raise FileNotFoundError(name)
            entries = [found]
        return entries if detail else [entry["name"] for entry in entries]

    def find(
        self,
        path: Path,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """Return the files below a path, in one request per 1,000 of them.

        Args:
            path: The folder, or a file.
            maxdepth: How many levels to descend; by default all. With it each folder is listed.
            withdirs: Return folders too, and the path itself if it is one.
            detail: Return a dict of `info` by name, not a list of names.
        """
        if maxdepth is not None:
            return super().find(path, maxdepth, withdirs, detail, **options)
        name = self._strip_protocol(path)
        found: dict[str, Any] = {}
        folders: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            for entry in self.listings.below(parse(name)):
                into = found if entry["type"] == "file" else folders
                into[entry["name"]] = entry
                for above in ancestors(entry["name"]) if withdirs else ():
                    if above in folders or len(above) < len(name):
                        break
                    folders[above] = folder_info(above)
        if not found and not folders:
            own = self._file_info(name)
            found = {} if own is None else {name: own}
        if withdirs:
            found = {**folders, **found}
        return dict(sorted(found.items())) if detail else sorted(found)

    def du(
        self,
        path: Path,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **options: Any,
    ) -> Any:
        """Return the bytes of the files below a path, or a dict of them if `total` is False."""
        found = self.find(path, maxdepth, withdirs, detail=True, **options)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def checksum(self, path: Path) -> str | None:
        """Return the checksum that lakeFS has of an object, None if there is no object."""
        found = self._file_info(self._strip_protocol(path))
        return None if found is None else found["checksum"]

    def modified(self, path: Path) -> datetime:
        """Return when the object was written, in UTC.

        Raises:
            FileNotFoundError: There is no object at the path.
        """
        found = self._file_info(self._strip_protocol(path))
        if found is None:
            raise FileNotFoundError(path)
        return datetime.fromtimestamp(found["mtime"], tz=timezone.utc)

    def created(self, path: Path) -> datetime:
        """Return when the object was written, which is all that lakeFS knows."""
        return self.modified(path)

    def invalidate_cache(self, path: Path | None = None) -> None:
        """Forget the listings of a path, of what is below it and of the folders above it."""
        super().invalidate_cache(path)
        self.listings.forget(None if path is None else self._strip_protocol(path))
