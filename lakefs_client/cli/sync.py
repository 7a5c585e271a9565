"""sync: make a folder equal to another."""

from __future__ import annotations

from lakefs_client.cli import _options, _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

EXAMPLES = """\
examples:
  lakefs-client sync dataset lakefs://repo/dev/dataset --delete --dry-run
  lakefs-client sync lakefs://repo/main/dataset dataset --exclude '*.tmp'
  lakefs-client sync lakefs://repo/v1/config lakefs://repo/main/config --delete
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of sync."""
    for name in ("source", "target"):
        parser.add_argument(
            name, type=_parser.uri("place"), metavar=name.upper(),
            help="lakefs://REPOSITORY/REF[/PATH], or a local folder",
        )  # fmt: skip
    parser.add_argument(
        "--delete", action="store_true",
        help="delete what the source lacks, unless a file fails",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be done, and change nothing"
    )
    _parser.add_meta(parser, "the uploaded objects")
    _options.add_transfer(parser)
    _options.add_patterns(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> int:
    """Transfer what differs, and with --delete remove what the source lacks."""
    from lakefs_client.cli import _folders

    return _folders.copy(app, options, delete=options.delete, dry_run=options.dry_run)
