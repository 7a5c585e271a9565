"""diff: list changes."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._errors import UsageError
from lakefs_client.cli._listing import listing
from lakefs_client.cli._output import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

MARKS = {
    "added": ("+ added", "green"),
    "removed": ("- removed", "red"),
    "changed": ("~ modified", "yellow"),
    "prefix_changed": ("~ modified", "yellow"),
    "conflict": ("* conflict", "red"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of diff."""
    ref = _parser.uri("ref")
    parser.add_argument(
        "left", metavar="REF", type=ref,
        help="lakefs://REPOSITORY/BRANCH, whose uncommitted changes to list, or the older ref",
    )  # fmt: skip
    parser.add_argument(
        "right", metavar="REF", nargs="?", type=ref, help="the newer ref, whose changes to list"
    )
    parser.add_argument(
        "--two-way", action="store_true",
        help="compare the refs as they are, not with where they parted",
    )  # fmt: skip
    parser.add_argument("--prefix", metavar="PATH", help="list changes below this path")
    _parser.add_amount(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """List the changes."""
    left, right = options.left, options.right
    paging = {"amount": options.amount, "after": options.after, "prefix": options.prefix}
    if right is None:
        if options.two_way:
            raise UsageError("--two-way is for two refs")
        method = app.lakefs.branches_api.diff_branch
        found = listing(method, left.repository, left.name, **paging)
    else:
        if left.repository != right.repository:
            raise UsageError(f"{left} and {right}: are of two repositories")
        kind = "two_dot" if options.two_way else "three_dot"
        found = listing(
            app.lakefs.refs_api.diff_refs, left.repository, left.name, right.name,
            type=kind, **paging,
        )  # fmt: skip
    for change in found:
        if app.out.as_json:
            app.out.json(change)
        else:
            mark, color = MARKS.get(change["type"], (f"? {change['type']}", "red"))
            app.out.text(app.out.paint(f"{mark} {as_text(change['path'])}", color))
