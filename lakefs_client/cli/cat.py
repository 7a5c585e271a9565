"""cat: print objects."""

from __future__ import annotations

from lakefs_client.cli import _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of cat."""
    parser.add_argument(
        "objects", nargs="+", metavar="OBJECT", type=_parser.uri("object_path"),
        help="lakefs://REPOSITORY/REF/PATH",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Print the objects one after the other."""
    from lakefs_client.cli import _copy

    for place in options.objects:
        _copy.to_stdout(app, place)
