"""A lakeFS server for tests, in this process, on the standard library alone.

    from lakefs_client.sandbox import Sandbox

    with Sandbox() as sandbox:
        configuration = sandbox.configuration()
        ...

`python -m lakefs_client.sandbox` runs one by itself; the pytest fixture `lakefs_sandbox` gives each
test one of its own. It answers as real servers do, statuses and messages included, and what it does
not do it answers with 501 and the operation's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import Blockstore, StoredObject, Upload
    from .clock import Clock
    from .faults import Fault, FaultKind, Faults, RecordedRequest, RequestLog
    from .server import Sandbox

__all__ = [
    "Blockstore",
    "Clock",
    "Fault",
    "FaultKind",
    "Faults",
    "RecordedRequest",
    "RequestLog",
    "Sandbox",
    "StoredObject",
    "Upload",
]

_MODULES = ("blocks", "clock", "faults", "server")


if not TYPE_CHECKING:
    # Hidden from type checkers, for which every name would exist.

    def __getattr__(name: str) -> object:
        # On first use only: pytest imports this package wherever the plugin is installed.
        from importlib import import_module

        for home in _MODULES if name in __all__ else ():
            module = import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
