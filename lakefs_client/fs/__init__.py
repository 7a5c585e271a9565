"""lakeFS as a file system of fsspec, for pandas, pyarrow, polars, DuckDB, Dask, zarr and others.

    import pandas

    frame = pandas.read_parquet("lakefs://repository/main/lakes.parquet")

fsspec finds this file system for ``lakefs://`` by itself. If lakefs-spec is installed too, it keeps
the scheme, which `register` takes over. `LakeFSFileSystem` has the arguments of lakefs-spec.
"""

from __future__ import annotations

from lakefs_client.fs._fsspec import register_implementation
from lakefs_client.fs.file import ReadFile, WriteFile
from lakefs_client.fs.filesystem import LakeFSFileSystem
from lakefs_client.fs.transaction import LakeFSTransaction

__all__ = ["LakeFSFileSystem", "LakeFSTransaction", "ReadFile", "WriteFile", "register"]


def register() -> None:
    """Serve ``lakefs://`` with this package in this process, even if lakefs-spec is installed."""
    register_implementation("lakefs", LakeFSFileSystem, clobber=True)
