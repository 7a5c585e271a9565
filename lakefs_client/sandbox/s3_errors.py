"""S3's error responses."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import escape

from lakefs_client.sandbox.http_server import Response

_HOST_ID = secrets.token_hex(32)


def error_response(key: str, status: int, code: str, message: str) -> Response:
    """Return an XML error about `key`."""
    bucket, _, path = key.partition("/")
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message>"
        f"<Key>{escape(path)}</Key><BucketName>{escape(bucket)}</BucketName>"
        f"<Resource>/{escape(key)}</Resource>"
        f"<RequestId>{secrets.token_hex(8).upper()}</RequestId><HostId>{_HOST_ID}</HostId></Error>"
    )
    return Response(status, text.encode(), {"Content-Type": "application/xml"})
