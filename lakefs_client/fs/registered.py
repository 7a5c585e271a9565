"""The file system that fsspec's entry point names for ``lakefs://``.

The entry point replaces fsspec's own entry for lakefs-spec. fsspec imports this module when
``lakefs://`` is first used. Whoever has both packages keeps lakefs-spec.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _installed() -> Any:
    try:
        return import_module("lakefs_spec").LakeFSFileSystem
    except ModuleNotFoundError as error:
        if error.name != "lakefs_spec":
            raise
        return import_module("lakefs_client.fs").LakeFSFileSystem


LakeFSFileSystem = _installed()
