"""sandbox: a stand-in for a lakeFS server."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.sandbox import __main__ as program

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App
    from lakefs_client.sandbox import Sandbox

EXAMPLES = """\
examples:
  lakefs-client sandbox --data sandbox-data
  lakefs-client sandbox -- pytest
"""
NAMESPACE_VARIABLE = "LAKEFS_CLIENT_NAMESPACE"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of sandbox."""
    parser.usage = f"{parser.prog} [options] [-- COMMAND [ARGUMENT ...]]"
    parser.set_defaults(run=run, sandbox=program.add_arguments(parser))


def parse(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Parse the arguments. The words after the first ``--`` are a command to run."""
    words, options.command = _parser.split_command(options.words)
    if options.command:
        parser.set_defaults(port=0, store_port=0)  # any, since nobody else uses this sandbox
    return parser.parse_args(words, options)


def run(app: App, options: argparse.Namespace) -> int:
    """Run a sandbox until it is interrupted, or until a command that uses it has ended."""
    arguments = {name: getattr(options, name) for name in options.sandbox}
    if options.command:
        from tempfile import TemporaryDirectory

        from lakefs_client.cli import _child
        from lakefs_client.sandbox import Sandbox

        with TemporaryDirectory(prefix="lakefs-client-") as folder, Sandbox(**arguments) as sandbox:
            return _child.run(options.command, variables(sandbox, folder))

    def announce(sandbox: Sandbox) -> None:
        if app.out.as_json:
            app.out.json(program.describe(sandbox))
        else:
            app.out.text(program.banner(sandbox, options.data))
        app.out.flush()

    return program.serve(arguments, announce)


def variables(sandbox: Sandbox, folder: str) -> dict[str, str | None]:
    """Return the environment of a command that takes the sandbox for its server.

    The package ``lakefs`` rejects an empty file, and sends an empty token. So the file holds an
    empty mapping, and the variable of the token is removed.

    Args:
        sandbox: The server.
        folder: A temporary folder, for lakectl's file.
    """
    import os

    file = os.path.join(folder, "lakectl.yaml")
    with open(file, "w", encoding="utf-8") as settings:
        settings.write("{}\n")
    return {
        "LAKECTL_SERVER_ENDPOINT_URL": sandbox.endpoint,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": sandbox.access_key_id,
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": sandbox.secret_access_key,
        "LAKECTL_CREDENTIALS_SESSION_TOKEN": None,
        "LAKECTL_CONFIG_FILE": file,
        NAMESPACE_VARIABLE: sandbox.storage_namespace,
    }
