"""The table of operations that the sandbox carries out."""

from __future__ import annotations

from collections.abc import Callable

from ..backend import Backend, Call
from ..wire import Response

Handler = Callable[[Backend, Call], Response]

HANDLERS: dict[str, Handler] = {}

# Operations that read the body themselves, and take the backend's lock when they need it.
STREAMING = frozenset({"upload_object"})

# Operations that answer something for nobody, too.
UNAUTHENTICATED_TOO = frozenset({"get_current_user"})


def operation(handler: Handler) -> Handler:
    """Enter a handler under its name."""
    HANDLERS[handler.__name__] = handler
    return handler
