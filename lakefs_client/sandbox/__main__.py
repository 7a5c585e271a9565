"""`python -m lakefs_client.sandbox`: run a sandbox until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from .server import Sandbox

_USE = """\
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

{keeping} Stop with Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lakefs_client.sandbox",
        description="Run a stand-in for a lakeFS server over an S3 store, for tests.",
    )
    # The options have the names of the arguments of `Sandbox`.
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=8000, help="port of the API, 0 for any (default: %(default)s)")
    add("--data", metavar="DIR", help="keep everything in this directory")
    add("--access-key-id", metavar="ID", help="the user's credentials (default: made up)")
    add("--secret-access-key", metavar="KEY", help="the user's credentials (default: made up)")
    add(
        "--external-principals",
        action="store_true",
        help="have external principals, their login and STS",
    )
    add(
        "--no-presigned-multipart",
        dest="presigned_multipart",
        action="store_false",
        help="have a store without presigned multipart uploads",
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
            keeping = "It forgets everything when it stops; --data DIR keeps it."
        else:
            keeping = f"It keeps its data in {options.data}."
        print(_USE.format(sandbox=sandbox, keeping=keeping), flush=True)
        # With a timeout, because on Windows an endless wait does not notice Ctrl-C.
        while not stop.wait(timeout=1):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
