"""`python -m lakefs_client.sandbox`: run a sandbox until it is interrupted."""

from __future__ import annotations

import argparse
import os
import sys

from lakefs_client.sandbox import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from lakefs_client.sandbox.server import Sandbox

_BANNER = """\
lakeFS sandbox at {sandbox.endpoint}

  blockstore         {sandbox.store_endpoint}
  access key id      {sandbox.access_key_id}
  secret access key  {sandbox.secret_access_key}
  storage namespace  {sandbox.storage_namespace}<name of your repository>

In Python:

  import lakefs_client
  configuration = lakefs_client.Configuration(
      host="{sandbox.endpoint}",
      username="{sandbox.access_key_id}",
      password="{sandbox.secret_access_key}",
  )

{storage} Stop with Ctrl-C.
"""


def add_arguments(parser: argparse.ArgumentParser) -> list[str]:
    """Add the options that have the names of `Sandbox`'s arguments; return these names."""
    add = parser.add_argument
    actions = [
        add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"),
        add(
            "--port", type=int, default=defaults.PORT,
            help="port of the API, 0 for any (default: %(default)s)",
        ),
        add(
            "--store-port", type=int,
            help="port of the blockstore, to which presigned URLs lead, 0 for any "
            "(default: the port after --port, or any if that is 0)",
        ),
        add("--data", metavar="DIR", help="keep everything in this directory"),
        add("--access-key-id", metavar="ID", help="the user's access key id (default: random)"),
        add("--secret-access-key", metavar="KEY", help="the user's secret (default: random)"),
        add(
            "--external-principals",
            action="store_true",
            help="support external principals, their login and STS",
        ),
        add(
            "--s3-endpoint", metavar="URL",
            help="keep objects in this S3 store, through boto3 (extra [s3])",
        ),
        add(
            "--namespace", metavar="s3://BUCKET/PREFIX", default=defaults.NAMESPACE,
            help="prefix for storage namespaces (default: %(default)s)",
        ),
        add(
            "--server-version", dest="version", metavar="VERSION", default=defaults.VERSION,
            help="lakeFS version to report (default: %(default)s)",
        ),
        add(
            "--no-presigned-multipart",
            dest="presigned_multipart",
            action="store_false",
            help="simulate a store without presigned multipart uploads",
        ),
    ]  # fmt: skip
    return [action.dest for action in actions]


def serve(arguments: Mapping[str, Any], announce: Callable[[Sandbox], object]) -> int:
    """Run a sandbox until it is interrupted, and return the exit status.

    Args:
        arguments: The arguments of `Sandbox`.
        announce: Called with the sandbox when it listens.
    """
    import signal
    import threading

    from lakefs_client.sandbox.server import Sandbox

    try:
        sandbox = Sandbox(**arguments)
    except (OSError, ValueError) as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        return 1
    with sandbox:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        announce(sandbox)
        # On Windows a wait without a timeout ignores Ctrl-C.
        while not stop.wait(timeout=1):
            pass
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lakefs_client.sandbox",
        description="Run a stand-in for a lakeFS server over an S3 store, for tests.",
    )
    add_arguments(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one line of JSON when ready: endpoints, credentials, namespace and pid",
    )
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("json")

    def announce(sandbox: Sandbox) -> None:
        import json

        text = json.dumps(describe(sandbox)) if as_json else banner(sandbox, options["data"])
        print(text, flush=True)

    return serve(options, announce)


def describe(sandbox: Sandbox) -> dict[str, str | int]:
    """Return what another program needs to use the sandbox."""
    return {
        "endpoint": sandbox.endpoint,
        "store_endpoint": sandbox.store_endpoint,
        "access_key_id": sandbox.access_key_id,
        "secret_access_key": sandbox.secret_access_key,
        "storage_namespace": sandbox.storage_namespace,
        "pid": os.getpid(),
    }


def banner(sandbox: Sandbox, data: str | None) -> str:
    """Return the text for people who start a sandbox, with its data in a folder."""
    storage = "The data is deleted when the sandbox stops; --data DIR keeps the data."
    if data is not None:
        storage = f"The data is kept in {data}."
    return _BANNER.format(sandbox=sandbox, storage=storage)


if __name__ == "__main__":
    sys.exit(main())
