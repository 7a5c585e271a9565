"""sandbox: a stand-in for a lakeFS server."""

from __future__ import annotations

from lakefs_client.sandbox import __main__ as program

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App
    from lakefs_client.sandbox import Sandbox


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of sandbox."""
    parser.set_defaults(run=run, sandbox=program.add_arguments(parser))


def run(app: App, options: argparse.Namespace) -> int:
    """Run a sandbox until it is interrupted."""

    def announce(sandbox: Sandbox) -> None:
        record = {
            "LAKECTL_SERVER_ENDPOINT_URL": sandbox.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": sandbox.access_key_id,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": sandbox.secret_access_key,
            "storage_namespace": sandbox.storage_namespace,
        }
        if app.out.as_json:
            app.out.json(record)
        else:
            app.out.text(program.banner(sandbox, options.data))
        app.out.flush()

    return program.serve({name: getattr(options, name) for name in options.sandbox}, announce)
