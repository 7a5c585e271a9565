"""lakeFS as a file system of fsspec, for pandas, pyarrow, polars, DuckDB, Dask, zarr and others.

    import pandas

    frame = pandas.read_parquet("lakefs://repository/main/lakes.parquet")

fsspec finds this file system for ``lakefs://`` by itself, unless lakefs-spec is installed too, which
then keeps the scheme; `register` takes it over. `LakeFSFileSystem` has lakefs-spec's arguments.
"""

from __future__ import annotations

try:
    import fsspec as _fsspec
except ModuleNotFoundError as error:
    if error.name != "fsspec":
        raise
    raise ModuleNotFoundError(
        "lakefs_client.fs needs fsspec: pip install 'lakefs_client[fsspec]'", name="fsspec"
    ) from error

from lakefs_client.fs.file import ReadFile, WriteFile
from lakefs_client.fs.filesystem import LakeFSFileSystem
from lakefs_client.fs.transaction import LakeFSTransaction

__all__ = ["LakeFSFileSystem", "LakeFSTransaction", "ReadFile", "WriteFile", "register"]


def register() -> None:
    """Serve ``lakefs://`` with this package in this process, even if lakefs-spec is installed."""
    _fsspec.register_implementation("lakefs", LakeFSFileSystem, clobber=True)
