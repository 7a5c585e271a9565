"""Defaults that the command and the Sandbox class share."""

# lakeFS itself listens on port 8000.
PORT = 8765
VERSION = "1.84.0"
"""The lakeFS release that the sandbox simulates."""
NAMESPACE = "s3://sandbox/"
"""The only bucket of the sandbox's own store."""
