"""A lakeFS server for tests. It runs in this process and needs only the standard library.

    from lakefs_client.sandbox import Sandbox

    with Sandbox() as sandbox:
        configuration = sandbox.configuration()
        ...

`python -m lakefs_client.sandbox` runs a sandbox as a program. The pytest fixture `lakefs_sandbox`
gives each test a sandbox of its own. The sandbox answers with the statuses and messages of a real
server. An operation that the sandbox lacks answers 501 and names itself.
"""

from __future__ import annotations

TYPE_CHECKING: bool = False  # see `_lazy`
if TYPE_CHECKING:
    from lakefs_client.sandbox.blocks import Blockstore, StoredObject, Upload
    from lakefs_client.sandbox.clock import Clock
    from lakefs_client.sandbox.faults import Fault, FaultKind, Faults
    from lakefs_client.sandbox.request_log import RecordedRequest, RequestLog
    from lakefs_client.sandbox.server import Sandbox

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

_MODULES = ("blocks", "clock", "faults", "request_log", "server")


if not TYPE_CHECKING:
    # Hidden from type checkers, which would otherwise accept any name.

    def __getattr__(name: str) -> object:
        # Import on first use: pytest imports this package in every environment with the plugin.
        from importlib import import_module

        for module_name in _MODULES if name in __all__ else ():
            module = import_module(f"{__name__}.{module_name}")
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
