"""cp: copy between this machine and lakeFS, or within lakeFS."""

from __future__ import annotations

from lakefs_client.cli import _options, _parser
from lakefs_client.cli._errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

EXAMPLES = """\
examples:
  lakefs-client cp model.bin lakefs://repo/main/models/
  lakefs-client cp -r lakefs://repo/main/images/ images
  tar cz logs | lakefs-client cp - lakefs://repo/main/logs.tar.gz
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of cp."""
    parser.add_argument(
        "source", type=_parser.uri("place"), metavar="SOURCE",
        help="lakefs://REPOSITORY/REF/PATH, a local path, or - for stdin",
    )  # fmt: skip
    parser.add_argument(
        "target", type=_parser.uri("place"), metavar="TARGET",
        help="as SOURCE, or - for stdout; a target that ends in / keeps the source's name",
    )  # fmt: skip
    parser.add_argument("-r", "--recursive", action="store_true", help="copy a folder")
    parser.add_argument(
        "--content-type", metavar="TYPE", help="media type (default: guessed from the name)"
    )
    _parser.add_meta(parser, "the uploaded objects")
    _options.add_transfer(parser)
    _options.add_patterns(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> int:
    """Copy one object, or a folder."""
    from lakefs_client.cli import _copy, _folders

    if options.recursive:
        if options.content_type:
            raise UsageError("--content-type is for one object: those of a folder are guessed")
        return _folders.copy(app, options)
    _copy.copy(app, options)
    return 0
