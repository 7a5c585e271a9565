"""config: the settings in force."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of config, which has none."""
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Show every setting that was found, and fail if they are not enough to call a server."""
    columns = {"name": 12, "value": 32, "origin": 0}
    app.out.many((setting._asdict() for setting in app.discovery.settings), columns)
    _ = app.configuration
