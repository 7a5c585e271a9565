"""Options of other libraries for the S3 gateway; test/ecosystem passes them to the libraries."""

from __future__ import annotations

import json
import sys

import pytest

from lakefs_client import ApiValueError, Configuration

SECRET = "secret/with+signs"


def configuration(host: str = "https://lakefs.example.com/api/v1") -> Configuration:
    return Configuration(host=host, username="AKIAID", password=SECRET)


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("https://lakefs.example.com", "https://lakefs.example.com"),
        ("http://localhost:8000/api/v1", "http://localhost:8000"),
        ("https://[::1]:8000/api/v1", "https://[::1]:8000"),
    ],
)
def test_endpoint_is_the_host_without_its_path(host: str, endpoint: str) -> None:
    assert configuration(host).s3_gateway().endpoint_url == endpoint


def test_gateway_endpoint_and_region_are_configurable() -> None:
    gateway = configuration().s3_gateway(endpoint_url="https://s3.example.com/", region="eu-1")
    assert gateway.s3fs()["endpoint_url"] == "https://s3.example.com"
    assert gateway.deltalake()["AWS_REGION"] == "eu-1"


def test_secret_is_in_options_but_not_in_repr() -> None:
    gateway = configuration().s3_gateway()
    for options in (gateway.s3fs(), gateway.deltalake(), gateway.duckdb(), gateway.pyarrow()):
        assert SECRET in options.values()
    assert SECRET not in repr(gateway) + str(gateway)


def test_plain_http_host_sets_the_http_options() -> None:
    plain, tls = configuration("http://a:1").s3_gateway(), configuration().s3_gateway()
    assert plain.deltalake()["AWS_ALLOW_HTTP"] == "true"
    assert "AWS_ALLOW_HTTP" not in tls.polars()
    assert (plain.duckdb()["s3_use_ssl"], tls.duckdb()["s3_use_ssl"]) == (False, True)
    assert (plain.pyarrow()["scheme"], tls.pyarrow()["scheme"]) == ("http", "https")
    assert plain.duckdb()["s3_endpoint"] == "a:1"


def test_tls_settings_are_passed_to_the_libraries() -> None:
    configured = configuration()
    configured.ssl_ca_cert = "/ca.pem"
    assert configured.s3_gateway().s3fs()["client_kwargs"]["verify"] == "/ca.pem"
    assert configured.s3_gateway().pyarrow()["tls_ca_file_path"] == "/ca.pem"
    assert configured.s3_gateway().duckdb()["ca_cert_file"] == "/ca.pem"
    configured.verify_ssl = False
    assert configured.s3_gateway().s3fs()["client_kwargs"]["verify"] is False
    assert configured.s3_gateway().deltalake()["AWS_ALLOW_INVALID_CERTIFICATES"] == "true"


def test_options_except_boto3_are_plain_data() -> None:
    gateway = configuration().s3_gateway()
    for options in (gateway.s3fs(), gateway.deltalake(), gateway.duckdb(), gateway.pyarrow()):
        assert json.loads(json.dumps(options)) == options


def test_gateway_needs_an_access_key_pair() -> None:
    for incomplete in (
        Configuration(),
        Configuration(access_token="t"),
        Configuration(username="u"),
    ):
        with pytest.raises(ApiValueError, match="username and password"):
            incomplete.s3_gateway()


def test_error_names_the_extra_without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with pytest.raises(ImportError, match=r"lakefs_client\[s3\]"):
        configuration().s3_gateway().boto3()
