"""The names of fsspec that the file system uses. fsspec has no types: checkers see Any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Any as AbstractBufferedFile
    from typing import Any as AbstractFileSystem
    from typing import Any as BaseCache
    from typing import Any as Transaction

    DEFAULT_CALLBACK: Any
    LocalFileSystem: Any
    OpenFile: Any
    apply_config: Any
    compr: Any
    get_compression: Any
    isfilelike: Any
    make_path_posix: Any
    other_paths: Any
    register_cache: Any
    register_implementation: Any
    tokenize: Any
    trailing_sep: Any
else:
    try:
        from fsspec import register_implementation
    except ModuleNotFoundError as error:
        if error.name != "fsspec":
            raise
        raise ModuleNotFoundError(
            "lakefs_client.fs needs fsspec: pip install 'lakefs_client[fsspec]'", name="fsspec"
        ) from error
    from fsspec.caching import BaseCache, register_cache
    from fsspec.callbacks import DEFAULT_CALLBACK
    from fsspec.compression import compr
    from fsspec.config import apply_config
    from fsspec.core import OpenFile, get_compression
    from fsspec.implementations.local import LocalFileSystem, make_path_posix, trailing_sep
    from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
    from fsspec.transaction import Transaction
    from fsspec.utils import isfilelike, other_paths, tokenize

__all__ = [
    "DEFAULT_CALLBACK",
    "AbstractBufferedFile",
    "AbstractFileSystem",
    "BaseCache",
    "LocalFileSystem",
    "OpenFile",
    "Transaction",
    "apply_config",
    "compr",
    "get_compression",
    "isfilelike",
    "make_path_posix",
    "other_paths",
    "register_cache",
    "register_implementation",
    "tokenize",
    "trailing_sep",
]
