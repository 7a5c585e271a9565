"""The file system that fsspec's entry point names for ``lakefs://``.

fsspec replaces its own entry for lakefs-spec by this module, and imports it at first use. Whoever
has both packages keeps lakefs-spec.
"""

from __future__ import annotations

from typing import Any

LakeFSFileSystem: Any

try:
    from lakefs_spec import LakeFSFileSystem as LakeFSFileSystem
except ModuleNotFoundError as error:
    if error.name != "lakefs_spec":
        raise
