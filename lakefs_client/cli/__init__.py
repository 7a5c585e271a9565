"""The command `lakefs-client`.

Each command has a module of its name. The modules that begin with an underscore serve all of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the one in ``sys.argv``, and return its exit code."""
    import sys

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments in (["--version"], ["-v"]):
        from lakefs_client._version import __version__

        text = f"lakefs-client {__version__}\n"
    elif arguments in (["--help"], ["-h"]):
        from lakefs_client.cli import _commands

        text = _commands.text()
    else:
        from lakefs_client.cli._main import run

        return run(arguments)
    from lakefs_client.cli import _stdout

    return _stdout.finish(0, text)
