"""Media types from file names."""

from __future__ import annotations

import mimetypes
import os

OCTETS = "application/octet-stream"
"""The media type of bytes of which nothing is known."""
_COMPRESSIONS = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}
# Only the module's own table: files of the machine would make an object's type depend on the
# machine that uploads it.
_TYPES = mimetypes.MimeTypes()


def guess_content_type(*names: str) -> str:
    """Return the media type for the extension of the first name that has a known one.

    A compressed file gets the type of its compression: ``.csv.gz`` is gzip, since nothing
    decompresses it on the way.
    """
    for name in names:
        media_type, compression = _TYPES.guess_type(os.path.basename(name))
        if compression:
            return _COMPRESSIONS.get(compression, OCTETS)
        if media_type:
            return media_type
    return OCTETS
