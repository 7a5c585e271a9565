"""`python -m lakefs_client`: the command `lakefs-client`."""

from __future__ import annotations

import sys

from lakefs_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
