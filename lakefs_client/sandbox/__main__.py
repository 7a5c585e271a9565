"""`python -m lakefs_client.sandbox`: run a sandbox until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from lakefs_client.sandbox.server import Sandbox

_BANNER = """\
lakeFS sandbox at {sandbox.endpoint}

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lakefs_client.sandbox",
        description="Run a stand-in for a lakeFS server over an S3 store, for tests.",
    )
    # Each option has the name of an argument of `Sandbox`.
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8000, help="port of the API, 0 for any (default: %(default)s)")
    add("--data", metavar="DIR", help="keep everything in this directory")
    add("--access-key-id", metavar="ID", help="the user's access key id (default: random)")
    add("--secret-access-key", metavar="KEY", help="the user's secret (default: random)")
    add(
        "--external-principals",
        action="store_true",
        help="support external principals, their login and STS",
    )
    add(
        "--no-presigned-multipart",
        dest="presigned_multipart",
        action="store_false",
        help="simulate a store without presigned multipart uploads",
    )
    options = parser.parse_args(arguments)
    try:
        sandbox = Sandbox(**vars(options))
    except (OSError, ValueError) as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        return 1
    with sandbox:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        if options.data is None:
            storage = "The data is deleted when the sandbox stops; --data DIR keeps the data."
        else:
            storage = f"The data is kept in {options.data}."
        print(_BANNER.format(sandbox=sandbox, storage=storage), flush=True)
        # On Windows a wait without a timeout ignores Ctrl-C.
        while not stop.wait(timeout=1):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
