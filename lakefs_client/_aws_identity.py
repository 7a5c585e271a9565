"""Proof of an AWS identity: a signed request for GetCallerIdentity, which the server sends on."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from lakefs_client.exceptions import ApiException

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = "2011-06-15"
_GLOBAL_REGION = "us-east-1"


def identity_token(host: str, ttl: int, headers: Mapping[str, str] | None) -> str:
    """Return the proof of this process's AWS identity, as lakeFS takes it.

    Args:
        host: The lakeFS server's address.
        ttl: Life of the proof, in seconds.
        headers: Headers to sign; by default one that names the server.

    Raises:
        ApiException: There are no AWS credentials, or they could not be loaded.
        ImportError: botocore is missing, the extra ``[aws]``.
    """
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ImportError(
            "a login with an AWS identity needs botocore. "
            "Install it with: pip install 'lakefs_client[aws]'.",
            name="botocore",
        ) from None
    if headers is None:
        headers = {"X-LakeFS-Server-ID": urlsplit(host).hostname or ""}
    try:
        url, region = _signed_url(ttl, headers)
    except (BotoCoreError, ClientError) as error:
        raise ApiException(0, f"AWS credentials cannot be used: {error}") from error
    return _encoded(url, region)


def _signed_url(ttl: int, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return a presigned URL of GetCallerIdentity, and the region that it is for."""
    import botocore.session
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    session = botocore.session.get_session()
    credentials = session.get_credentials()
    if credentials is None:
        raise ApiException(0, "no AWS credentials found: no variables, profile, or role.")
    region = session.get_config_variable("region") or _GLOBAL_REGION
    meta = session.create_client("sts", region_name=region).meta
    # The client's own presigned URLs leave out headers.
    request: Any = AWSRequest(
        "POST",
        f"{meta.endpoint_url}/?Action=GetCallerIdentity&Version={_VERSION}",
        headers=dict(headers),
        data=b"",
    )
    region = str(meta.region_name)
    if region == "aws-global":
        region = _GLOBAL_REGION
    frozen = credentials.get_frozen_credentials()
    SigV4QueryAuth(frozen, "sts", region, expires=ttl).add_auth(request)
    url: str = request.url
    return url, region


def _encoded(url: str, region: str) -> str:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    proof: dict[str, Any] = {
        "method": "POST",
        "host": parts.netloc,
        "region": region,
        "action": query["Action"],
        "date": query["X-Amz-Date"],
        "expiration_duration": query["X-Amz-Expires"],
        "access_key_id": query["X-Amz-Credential"].partition("/")[0],
        "signature": query["X-Amz-Signature"],
        "signed_headers": query["X-Amz-SignedHeaders"].split(";"),
        "version": query["Version"],
        "algorithm": query["X-Amz-Algorithm"],
        "security_token": query.get("X-Amz-Security-Token", ""),
    }
    return base64.b64encode(json.dumps(proof).encode()).decode("ascii")
