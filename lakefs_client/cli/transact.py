"""transact: run a command whose changes reach a branch all together, or not at all."""

from __future__ import annotations

from lakefs_client.cli import _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

EXAMPLES = """\
examples:
  lakefs-client transact lakefs://repo/main -m "nightly" -- python etl.py
  lakefs-client transact lakefs://repo/main -m "images" -- \\
      sh -c 'lakefs-client cp -r images "$LAKEFS_CLIENT_URI/images"'
"""
BRANCH_VARIABLE, URI_VARIABLE = "LAKEFS_CLIENT_BRANCH", "LAKEFS_CLIENT_URI"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of transact."""
    parser.usage = f"{parser.prog} [options] -m TEXT BRANCH -- COMMAND [ARGUMENT ...]"
    parser.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/BRANCH that receives the changes",
    )  # fmt: skip
    parser.add_argument(
        "-m", "--message", metavar="TEXT", required=True, help="message of the commit and the merge"
    )
    _parser.add_meta(parser, "the commit and the merge")
    parser.add_argument(
        "--on-error", choices=("delete", "keep"), default="delete",
        help="the fate of the temporary branch if the command fails (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def parse(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Parse the arguments. The words after the first ``--`` are the command."""
    words, options.command = _parser.split_command(options.words)
    parsed = parser.parse_args(words, options)
    if not parsed.command:
        parser.error("expected a command after --")
    return parsed


class _CommandFailed(Exception):
    """Rolls the transaction back."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the command exited with {code}")
        self.code = code


def run(app: App, options: argparse.Namespace) -> int:
    """Run the command on a temporary branch, and merge the branch if the command succeeds."""
    from lakefs_client.cli import _child
    from lakefs_client.transactions import transaction
    from lakefs_client.uri import Address

    _child.require(options.command)
    repository, base = options.branch
    pending = transaction(
        app.client, repository, base, message=options.message,
        metadata=_parser.meta(options.meta), on_error=options.on_error,
    )  # fmt: skip
    try:
        with pending as tx:
            address = str(Address(repository, tx.branch))
            variables = {BRANCH_VARIABLE: tx.branch, URI_VARIABLE: address}
            code = _child.run(options.command, variables)
            if code:
                raise _CommandFailed(code)
    except _CommandFailed as failure:
        fate = "kept" if options.on_error == "keep" else "deleted"
        app.fail(
            f"{options.command[0]} exited with {failure.code}: {options.branch} is unchanged",
            f"The temporary branch {pending.branch} was {fate}.",
            failure.code,
        )
        return failure.code
    result = pending.result
    commit, merge = (result.commit_id, result.merge_commit_id) if result else (None, None)
    if commit is None:
        app.out.note(f"{options.branch}: nothing has changed")
    else:
        app.out.note(f"{options.branch}: merged as {merge or commit}")
    app.out.changed({"commit_id": commit, "merge_commit_id": merge})
    return 0
