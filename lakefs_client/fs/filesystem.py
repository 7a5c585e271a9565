"""The file system."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.api_client import ApiClient
from lakefs_client.exceptions import ApiException, ConflictException
from lakefs_client.fs import bulk
from lakefs_client.fs._fsspec import DEFAULT_CALLBACK, compr, get_compression, isfilelike
from lakefs_client.fs.errors import os_errors
from lakefs_client.fs.file import ReadFile, TextFile, WrappedFile, WriteFile
from lakefs_client.fs.listing import Listings
from lakefs_client.fs.location import Location, parse
from lakefs_client.fs.parallel import CONCURRENCY, in_parallel
from lakefs_client.fs.reading import ReadMethods
from lakefs_client.fs.transaction import LakeFSTransaction
from lakefs_client.models import BranchCreation, ObjectCopyCreation
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.context import TransferContext
from lakefs_client.transfer.store import lacks_presigning

if TYPE_CHECKING:
    from lakefs_client.configuration import Configuration
    from lakefs_client.transfer import ObjectReader

    Path = str | os.PathLike[str]


class LakeFSFileSystem(ReadMethods):
    """lakeFS for fsspec. Paths are ``lakefs://repository/ref/path``.

    Bytes go straight to and from the object store, where it has presigned URLs: reads in ranges,
    writes in parts whose checksums are verified. Instances may be used by many threads, and
    pickled; what came from the environment is not in the pickle, but is looked up again.

    Args:
        host: The server's address. Without this and the next six arguments the environment and
            lakectl's file are read, as `Configuration.from_environment` does.
        username: Access key id.
        password: Secret access key.
        api_key: Session cookie.
        api_key_prefix: Word to send before it.
        access_token: Bearer token.
        verify_ssl: Verify certificates of TLS servers.
        ssl_ca_cert: Path of a file of certificates to trust.
        proxy: URL of a proxy.
        create_branch_ok: Create a branch that is written to and does not exist. Default False,
            other than lakefs-spec's, since it makes a branch of each misspelt name.
        source_branch: Branch to create it from.
        pre_sign: Use presigned URLs if the server has them, as by default. With False all bytes
            pass through the lakeFS server.
        request_config: ``{"request_timeout": seconds}``, or a tuple for connecting and reading.
        storage_options: ``use_listings_cache``, ``listings_expiry_time`` (seconds) and
            ``max_paths`` of the cache of listings, ``skip_instance_cache``.
    """

    protocol = "lakefs"
    transaction_type = LakeFSTransaction
    _strip_tokenize_options = ("configuration",)

    def __init__(
        self,
        host: str | None = None,
        username: str | None = None,
        password: str | None = None,
        api_key: str | None = None,
        api_key_prefix: str | None = None,
        access_token: str | None = None,
        verify_ssl: bool = True,
        ssl_ca_cert: str | None = None,
        proxy: str | None = None,
        create_branch_ok: bool = False,
        source_branch: str = "main",
        pre_sign: bool | None = None,
        request_config: dict[str, Any] | None = None,
        *,
        configuration: Configuration,
        **storage_options: Any,
    ) -> None:
        super().__init__(**storage_options)
        if configuration.connection_pool_maxsize is None:
            configuration.connection_pool_maxsize = CONCURRENCY
        self.client = ApiClient(configuration)
        self.create_branch_ok = create_branch_ok
        self.source_branch = source_branch
        self.pre_sign = pre_sign
        self.objects = ObjectsApi(self.client)
        config = TransferConfig(presign=pre_sign is not False)
        self.engine = Transfer(self.client, config)
        # Parts of writes wait on disk, and ranges in memory: they have limits of their own.
        self.reads = TransferContext.create(
            self.client, replace(config, max_concurrency=CONCURRENCY)
        )
        self.listings = Listings(self.objects, self.dircache)
        self.transactions: list[LakeFSTransaction] = []
        self._branches: set[tuple[str, str]] = set()

    @property
    def transaction(self) -> LakeFSTransaction:
        """A new transaction: ``with fs.transaction("repository", "main") as tx``."""
        return LakeFSTransaction(self)

    def start_transaction(self) -> Any:
        """Raise ValueError, since a transaction needs a repository."""
        return self.transaction.__enter__()

    def reader(self, place: Location, pre_sign: bool | None = None) -> ObjectReader:
        """Return a reader of an object, which asks for no byte yet."""
        return self._transfer(pre_sign).open(*place)

    def _transfer(self, pre_sign: bool | None) -> Transfer:
        """Return the engine, or one that differs in the use of presigned URLs."""
        config = self.engine.config
        if pre_sign in (None, config.presign):
            return self.engine
        return Transfer(self.client, replace(config, presign=pre_sign))

    def open(
        self,
        path: Path,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open an object.

        Args:
            path: The object.
            mode: ``r``, ``w`` or ``x``, with ``b`` or ``t``; text is UTF-8 by default. ``x``
                fails if the object exists.
            block_size: For fsspec's caches, if `cache_type` selects one.
            cache_options: For fsspec's caches.
            compression: Compression by name, or ``"infer"``.
            options: ``content_type`` and ``metadata`` of what is written, ``pre_sign`` as of the
                file system, ``cache_type``, ``autocommit``, and ``encoding``, ``errors`` and
                ``newline`` of text.

        Raises:
            FileNotFoundError: There is nothing to read, or no such branch to write to.
            FileExistsError: The mode is ``x``, and the object exists.
            NotImplementedError: The mode is another.
        """
        name = self._strip_protocol(path)
        kind = mode.replace("t", "").replace("b", "")
        if kind not in ("r", "w", "x") or mode[:1] != kind or len(mode) > 2:
            raise NotImplementedError(f"unsupported mode {mode!r}")
        text = {
            key: options.pop(key) for key in ("encoding", "errors", "newline") if key in options
        }
        if not text.get("encoding"):
            text["encoding"] = "utf-8"
        file: Any = self._open(
            name, f"{kind}b", block_size=block_size, cache_options=cache_options, **options
        )
        if compression is not None:
            codec = compr[get_compression(name, compression)]
            inner = codec(file, mode=kind if kind == "r" else "w")
            file = inner if kind == "r" else WrappedFile(file, inner)
        if "b" not in mode:
            file = (io.TextIOWrapper if kind == "r" else TextFile)(file, **text)
            file.mode = kind
        return file

    def _open(
        self,
        path: str,
        mode: str = "rb",
        *,
        content_type: str | None = None,
        metadata: dict[str, str] | None = None,
        autocommit: bool = False,
        pre_sign: bool | None = None,
        **options: Any,
    ) -> Any:
        if mode == "rb":
            return ReadFile(self, path, pre_sign=pre_sign, **options)
        place = parse(path)
        self.require_branch(place)
        with os_errors(path):
            writer = self._transfer(pre_sign).open(
                *place, mode="xb" if mode == "xb" else "wb",
                content_type=content_type, user_metadata=metadata,
            )  # fmt: skip
        file = WriteFile(self, path, mode, writer, autocommit)
        if not autocommit:
            for transaction in [*self.transactions]:
                transaction.collect(place, file)
        return file

    def require_branch(self, place: Location) -> None:
        """Create the branch if it is missing and that is allowed."""
        branch = place[:2]
        if not self.create_branch_ok or branch in self._branches:
            return
        creation = BranchCreation(name=place.ref, source=self.source_branch)
        with os_errors("/".join(branch)), contextlib.suppress(ConflictException):
            BranchesApi(self.client).create_branch(place.repository, creation)
        self._branches.add(branch)

    def pipe_file(self, path: Path, value: Any, mode: str = "overwrite", **options: Any) -> None:
        """Write bytes as an object.

        Args:
            path: The object.
            value: The bytes.
            mode: ``"create"`` fails if the object exists, whoever else writes to the path.
            options: ``content_type``, ``metadata`` and ``pre_sign``.

        Raises:
            FileExistsError: The mode is ``"create"``, and the object exists.
        """
        name = self._strip_protocol(path)
        self._upload(name, io.BytesIO(value), mode, None, **options)

    def pipe(self, path: Any, value: Any = None, **options: Any) -> None:
        """Write bytes as an object; or each value of a dict, at its key, in parallel."""
        items = list(path.items()) if isinstance(path, dict) else [(path, value)]
        in_parallel(lambda name, data: self.pipe_file(name, data, **options), items)

    def _upload(
        self,
        name: str,
        source: str | io.BytesIO,
        mode: str,
        callback: Any,
        *,
        content_type: str | None = None,
        metadata: dict[str, str] | None = None,
        pre_sign: bool | None = None,
        **_: Any,
    ) -> None:
        if mode not in ("overwrite", "create"):
            raise ValueError(f"mode must be 'overwrite' or 'create', not {mode!r}")
        place = parse(name)
        self.require_branch(place)
        engine = self._transfer(pre_sign)
        upload: Any = engine.upload_file if isinstance(source, str) else engine.upload_fileobj
        try:
            with os_errors(name):
                upload(
                    source, *place, content_type=content_type, user_metadata=metadata,
                    progress=callback, overwrite=mode == "overwrite",
                )  # fmt: skip
        finally:
            self.invalidate_cache(name)

    def put_file(
        self,
        lpath: Path,
        rpath: Path,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        *,
        precheck: bool = True,
        **options: Any,
    ) -> None:
        """Upload a file, in verified parts.

        Args:
            lpath: The file. Of a folder nothing is uploaded.
            rpath: The object.
            callback: fsspec's callback; it counts bytes.
            mode: ``"create"`` fails if the object exists.
            precheck: Send nothing if the object has the file's size and checksum.
            options: ``content_type``, ``metadata`` and ``pre_sign``.

        Raises:
            FileExistsError: The mode is ``"create"``, and the object exists.
        """
        source, name = os.fspath(lpath), self._strip_protocol(rpath)
        if os.path.isdir(source):
            return
        if mode == "overwrite" and precheck and _same(self._file_info(name), source, callback):
            return
        self._upload(name, source, mode, callback, **options)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Upload files and folders, many at a time.

        Args:
            lpath: A path, a pattern, or a list of paths.
            rpath: The target; a list if `lpath` is one and each file has its own.
            recursive: Upload what is in folders.
            callback: fsspec's callback; it counts files, its children bytes.
            maxdepth: How many levels of folders to upload.
            options: As for `put_file`.
        """
        bulk.put(
            self, lpath, rpath, recursive=recursive, maxdepth=maxdepth, callback=callback, **options
        )

    def get_file(
        self,
        rpath: Path,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        *,
        precheck: bool = True,
        **_: Any,
    ) -> None:
        """Download an object, in parallel ranges, into a file that appears when it is whole.

        Args:
            rpath: The object. Of a folder, an empty folder is made.
            lpath: The file, whose folder is made, or an open file.
            callback: fsspec's callback; it counts bytes.
            outfile: An open file to write to in place of `lpath`.
            precheck: Ask for no byte if the file has the object's size and checksum.
        """
        outfile = lpath if outfile is None and isfilelike(lpath) else outfile
        name = self._strip_protocol(rpath)
        if outfile is not None:
            with self.open(name) as file:
                callback.set_size(file.size)
                while data := file.read(self.blocksize):
                    outfile.write(data)
                    callback.relative_update(len(data))
            return
        try:
            self._download(name, os.fspath(lpath), callback, precheck=precheck)
        except FileNotFoundError:
            if not self.isdir(name):
                raise
            os.makedirs(lpath, exist_ok=True)

    def _download(
        self, name: str, target: str, callback: Any, *, precheck: bool = True, **_: Any
    ) -> None:
        """Download an object to a path whose folder is made."""
        if precheck and os.path.isfile(target) and _same(self._file_info(name), target, callback):
            return
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        with os_errors(name):
            self.engine.download_file(*parse(name), target, progress=callback)

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Download objects and folders, many at a time.

        Args:
            rpath: A path, a pattern, or a list of paths.
            lpath: The target; a list if `rpath` is one and each object has its own.
            recursive: Download what is in folders.
            callback: fsspec's callback; it counts files, its children bytes.
            maxdepth: How many levels of folders to download.
            options: As for `get_file`.
        """
        bulk.get(
            self, rpath, lpath, recursive=recursive, maxdepth=maxdepth, callback=callback, **options
        )

    def cp_file(self, path1: Path, path2: Path, **_: Any) -> None:
        """Copy an object within its repository, on the server.

        Raises:
            FileNotFoundError: There is no such object.
            ValueError: The paths are in different repositories.
        """
        names = self._strip_protocol(path1), self._strip_protocol(path2)
        source, target = map(parse, names)
        if source.repository != target.repository:
            raise ValueError(
                f"cannot copy from repository {source.repository!r} to {target.repository!r}: "
                "lakeFS copies within a repository. Download and upload the object."
            )
        if source == target:
            return
        self.require_branch(target)
        creation = ObjectCopyCreation(src_path=source.path, src_ref=source.ref)
        with os_errors(names[0]):
            self.objects.copy_object(*target, creation)
        self.invalidate_cache(names[1])

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **_: Any,
    ) -> None:
        """Copy objects and folders within a repository, on the server, many at a time.

        Args:
            path1: A path, a pattern, or a list of paths.
            path2: The target; a list if `path1` is one and each object has its own.
            recursive: Copy what is in folders.
            maxdepth: How many levels of folders to copy.
            on_error: ``"ignore"`` objects that are missing by now, as by default if `recursive`,
                or ``"raise"``.
        """
        ignore = on_error == "ignore" or (on_error is None and recursive)
        bulk.copy(self, path1, path2, recursive=recursive, maxdepth=maxdepth, ignore_missing=ignore)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Copy on the server, then delete what was copied. An object that would be moved to its
        own path stays.
        """
        copied = bulk.copy(
            self, path1, path2, recursive=recursive, maxdepth=maxdepth, ignore_missing=False
        )
        bulk.delete(self, (parse(self._strip_protocol(path)) for path in copied))

    def sign(self, path: Path, expiration: int | None = None, **_: Any) -> str:
        """Return a URL with which anyone can read the object for a while.

        Args:
            path: The object.
            expiration: Ignored: the server's settings say how many seconds the URL is valid for.

        Raises:
            FileNotFoundError: There is no such object.
            NotImplementedError: The server has no presigned URLs.
        """
        name = self._strip_protocol(path)
        with os_errors(name):
            try:
                url: str = self.objects.stat_object(*parse(name), presign=True).physical_address
            except ApiException as error:
                if not lacks_presigning(error):
                    raise
                raise NotImplementedError("the server has no presigned URLs") from error
        return url

    def rm_file(self, path: Path) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: There is no such object.
        """
        self.rm(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, 1,000 in a request.

        Args:
            path: A path, a pattern, or a list. Objects of a list that are missing are ignored.
            recursive: Delete what is in folders.
            maxdepth: How many levels of folders to delete.

        Raises:
            FileNotFoundError: There is nothing at the path.
            OSError: The server refused to delete one of the objects.
        """
        bulk.remove(self, path, recursive=recursive, maxdepth=maxdepth)


def _same(info: dict[str, Any] | None, path: str, callback: Any) -> bool:
    """Return True if a file has an object's size and MD5; tell the callback that it is done."""
    if info is None or not os.path.isfile(path) or os.path.getsize(path) != info["size"]:
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    if digest.hexdigest() != info["checksum"]:
        return False
    callback.set_size(info["size"])
    callback.relative_update(info["size"])
    return True
