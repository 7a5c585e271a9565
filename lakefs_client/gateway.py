"""Options of other libraries for lakeFS's S3 gateway.

The gateway serves repositories as buckets, and ``branch/path`` as keys, to software that speaks S3.
Bytes pass through the lakeFS server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

REGION = "us-east-1"
"""The region that lakeFS signs for; libraries without one ask AWS for it."""

# Since boto3 1.36 uploads have a checksum in a trailer by default, which the gateway rejects.
_CHECKSUMS = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


@dataclass(frozen=True)
class S3Gateway:
    """Address and credentials of the S3 gateway, and their names in other libraries.

    ``configuration.s3_gateway()`` makes one. The dicts hold the secret in the clear; `repr` hides
    it.

    Attributes:
        endpoint_url: The gateway's address, without ``/api/v1``.
        access_key_id: The access key id.
        secret_access_key: The secret access key.
        region: The region that requests are signed for.
        verify: True, False to accept any certificate, or the path of certificates to trust.
    """

    endpoint_url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = REGION
    verify: bool | str = True

    def boto3(self) -> dict[str, Any]:
        """Return arguments of ``boto3.client("s3", …)`` and ``boto3.resource("s3", …)``.

        Raises:
            ImportError: boto3 is missing, the extra ``[s3]``.
        """
        try:
            config = import_module("botocore.config").Config
        except ImportError as error:
            text = "options for boto3 need boto3: pip install 'lakefs_client[s3]'"
            raise ImportError(text, name="boto3") from error
        return {
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "region_name": self.region,
            "verify": self.verify,
            "config": config(s3={"addressing_style": "path"}, **_CHECKSUMS),
        }

    def s3fs(self) -> dict[str, Any]:
        """Return arguments of ``s3fs.S3FileSystem(…)``, and storage options of pandas and Dask."""
        return {
            "key": self.access_key_id,
            "secret": self.secret_access_key,
            "endpoint_url": self.endpoint_url,
            "client_kwargs": {"region_name": self.region, "verify": self.verify},
            "config_kwargs": {"s3": {"addressing_style": "path"}, **_CHECKSUMS},
        }

    def deltalake(self) -> dict[str, str]:
        """Return storage options of deltalake and polars, for ``s3://repository/branch/path``."""
        options = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
            # The gateway has no locks; branches keep writers apart.
            "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
        }
        if self._plain:
            options["AWS_ALLOW_HTTP"] = "true"
        if self.verify is False:
            options["AWS_ALLOW_INVALID_CERTIFICATES"] = "true"
        return options

    polars = deltalake

    def duckdb(self) -> dict[str, str | bool]:
        """Return settings of DuckDB's extension httpfs, for ``SET name = value``."""
        settings: dict[str, str | bool] = {
            "s3_endpoint": urlsplit(self.endpoint_url).netloc,
            "s3_access_key_id": self.access_key_id,
            "s3_secret_access_key": self.secret_access_key,
            "s3_region": self.region,
            "s3_url_style": "path",
            "s3_use_ssl": not self._plain,
        }
        if isinstance(self.verify, str):
            settings["ca_cert_file"] = self.verify
        return settings

    def pyarrow(self) -> dict[str, Any]:
        """Return arguments of ``pyarrow.fs.S3FileSystem(…)``."""
        options = {
            "access_key": self.access_key_id,
            "secret_key": self.secret_access_key,
            "endpoint_override": urlsplit(self.endpoint_url).netloc,
            "scheme": urlsplit(self.endpoint_url).scheme,
            "region": self.region,
        }
        if isinstance(self.verify, str):
            options["tls_ca_file_path"] = self.verify
        return options

    @property
    def _plain(self) -> bool:
        return self.endpoint_url.startswith("http://")
