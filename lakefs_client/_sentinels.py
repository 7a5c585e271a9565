"""Values that mark an absent value, and stand-ins for names that only type checkers read."""

from __future__ import annotations

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from dataclasses import KW_ONLY as KW_ONLY
    from datetime import datetime as datetime
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import Literal as Literal

    UNSET: Any
    """The value of an optional property or argument that the caller left out."""
else:
    Any = BinaryIO = KW_ONLY = Literal = datetime = None  # annotations stay strings

    class _Unset:
        __slots__ = ()

        def __repr__(self):
            return "UNSET"

        def __bool__(self):
            return False

        def __reduce__(self):
            return "UNSET"

    UNSET = _Unset()

UNKNOWN = ""
"""Key, in a model's ``__dict__``, of the dict of properties that this release does not know."""
