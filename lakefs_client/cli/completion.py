"""completion: completion scripts of shells."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

SHELLS = ("bash", "zsh", "tcsh")
EXAMPLES = """\
examples:
  lakefs-client completion bash > ~/.local/share/bash-completion/completions/lakefs-client
  lakefs-client completion zsh > ~/.zfunc/_lakefs-client
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of completion."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Print the script, which tools/command_line.py has made of the parser."""
    from importlib.resources import files

    script = files("lakefs_client.cli").joinpath(f"completions/lakefs-client.{options.shell}")
    app.out.text(script.read_text("utf-8").rstrip())
