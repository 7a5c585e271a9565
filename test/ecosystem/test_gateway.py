"""Other libraries with S3Gateway's options. The sandbox has no S3 gateway."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import NamedTuple

import pytest
from support.file_systems import any_server

from lakefs_client import Configuration
from lakefs_client.gateway import S3Gateway

pytestmark = pytest.mark.skipif(
    not os.environ.get("LAKEFS_TEST_ENDPOINT"), reason="the sandbox has no S3 gateway"
)


class Bucket(NamedTuple):
    """A repository, and the options of its gateway."""

    gateway: S3Gateway
    name: str


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """Provide a new repository."""
    with any_server() as (options, repository):
        yield Bucket(Configuration(**options).s3_gateway(), repository)


def test_boto3_round_trips_an_object(bucket: Bucket) -> None:
    boto3 = pytest.importorskip("boto3")
    client = boto3.client("s3", **bucket.gateway.boto3())
    client.put_object(Bucket=bucket.name, Key="main/a.txt", Body=b"text")
    assert client.get_object(Bucket=bucket.name, Key="main/a.txt")["Body"].read() == b"text"
    assert client.list_objects_v2(Bucket=bucket.name, Prefix="main/")["KeyCount"] == 1
    client.close()


def test_s3fs_round_trips_a_pandas_frame(bucket: Bucket) -> None:
    s3fs = pytest.importorskip("s3fs")
    pandas = pytest.importorskip("pandas")
    options = bucket.gateway.s3fs()
    frame = pandas.DataFrame({"a": [1, 2]})
    frame.to_parquet(f"s3://{bucket.name}/main/t.parquet", storage_options=options)
    read = pandas.read_parquet(f"s3://{bucket.name}/main/t.parquet", storage_options=options)
    pandas.testing.assert_frame_equal(read, frame)
    assert s3fs.S3FileSystem(**options).ls(f"{bucket.name}/main") == [
        f"{bucket.name}/main/t.parquet"
    ]


def test_deltalake_appends_to_a_table(bucket: Bucket) -> None:
    deltalake = pytest.importorskip("deltalake")
    arrow = pytest.importorskip("pyarrow")
    url, options = f"s3://{bucket.name}/main/delta", bucket.gateway.deltalake()
    for value in (1, 2):
        deltalake.write_deltalake(
            url, arrow.table({"a": [value]}), mode="append", storage_options=options
        )
    table = deltalake.DeltaTable(url, storage_options=options)
    assert (table.version(), sorted(table.to_pyarrow_table()["a"].to_pylist())) == (1, [1, 2])


def test_polars_scans_parquet(bucket: Bucket) -> None:
    polars = pytest.importorskip("polars")
    url, options = f"s3://{bucket.name}/main/t.parquet", bucket.gateway.polars()
    polars.DataFrame({"a": [1, 2, 3]}).write_parquet(url, storage_options=options)
    frame = polars.scan_parquet(url, storage_options=options).filter(polars.col("a") > 1)
    assert frame.collect()["a"].to_list() == [2, 3]


def test_duckdb_round_trips_parquet(bucket: Bucket) -> None:
    duckdb = pytest.importorskip("duckdb")
    try:
        httpfs = distribution("duckdb-ext-httpfs").files or []
    except PackageNotFoundError:
        pytest.skip("needs duckdb-ext-httpfs")
    with duckdb.connect() as connection:
        (extension,) = (str(file.locate()) for file in httpfs if file.suffix == ".duckdb_extension")
        connection.load_extension(extension)
        for name, value in bucket.gateway.duckdb().items():
            connection.execute(f"SET {name} = ?", [value])
        url = f"s3://{bucket.name}/main/t.parquet"
        connection.execute(f"COPY (SELECT 42 AS a) TO '{url}' (FORMAT parquet)")
        assert connection.execute(f"SELECT a FROM '{url}'").fetchall() == [(42,)]


def test_pyarrow_round_trips_an_object(bucket: Bucket) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import fs

    s3 = fs.S3FileSystem(**bucket.gateway.pyarrow())
    with s3.open_output_stream(f"{bucket.name}/main/a.txt") as file:
        file.write(b"text")
    with s3.open_input_stream(f"{bucket.name}/main/a.txt") as file:
        assert file.read() == b"text"
