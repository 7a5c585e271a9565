"""Libraries that read and write lakefs:// through fsspec."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Branch

pandas = pytest.importorskip("pandas", reason="needs test/ecosystem/requirements.txt")

pytestmark = [  # warnings of the libraries about each other
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def frame() -> pandas.DataFrame:
    return pandas.DataFrame({"lake": ["Baikal", "Garda", "Ohrid"], "depth": [1642, 346, 288]})


def test_pandas_writes_parquet_in_a_transaction(
    environment_branch: Branch, frame: pandas.DataFrame
) -> None:
    repository, fs = environment_branch.repository, environment_branch.fs
    with fs.transaction(repository, "main") as tx:
        frame.to_parquet(f"lakefs://{repository}/{tx.branch}/lakes.parquet")
        tx.commit("Add lakes")
    merged = pandas.read_parquet(f"lakefs://{repository}/main/lakes.parquet")
    pandas.testing.assert_frame_equal(merged, frame)
    assert not fs.exists(f"{repository}/{tx.branch}/lakes.parquet")


def test_pandas_round_trips_compressed_csv(branch: Branch, frame: pandas.DataFrame) -> None:
    path = f"{branch.root}/lakes.csv.gz"
    frame.to_csv(path, index=False, storage_options=branch.options)
    read = pandas.read_csv(path, storage_options=branch.options)
    pandas.testing.assert_frame_equal(read, frame)


def test_pandas_reads_partitioned_parquet(
    environment_branch: Branch, frame: pandas.DataFrame
) -> None:
    path = f"{environment_branch.root}/by-lake"
    frame.to_parquet(path, partition_cols=["lake"])
    read = pandas.read_parquet(path, filters=[("depth", ">", 300)])
    assert sorted(read["depth"]) == [346, 1642]


def test_pyarrow_filters_a_partitioned_dataset(branch: Branch) -> None:
    arrow = pytest.importorskip("pyarrow")
    dataset = pytest.importorskip("pyarrow.dataset")
    table = arrow.table({"year": [2025, 2025, 2026], "value": [1.0, 2.0, 3.0]})
    base = f"{branch.repository}/main/years"
    partitioning = dataset.partitioning(arrow.schema([("year", arrow.int64())]), flavor="hive")
    dataset.write_dataset(
        table, base, filesystem=branch.fs, format="parquet", partitioning=partitioning
    )
    read = dataset.dataset(base, filesystem=branch.fs, format="parquet", partitioning=partitioning)
    assert read.to_table(filter=dataset.field("year") == 2026)["value"].to_pylist() == [3.0]
    assert read.count_rows() == 3


def test_polars_reads_open_files(branch: Branch) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": list(range(1000)), "b": ["x"] * 1000})
    with branch.fs.open(f"{branch.root}/t.parquet", "wb") as file:
        frame.write_parquet(file)
    with branch.fs.open(f"{branch.root}/t.parquet") as file:
        assert polars.read_parquet(file, columns=["a"])["a"].sum() == 499500


def test_polars_scans_a_pyarrow_dataset(branch: Branch) -> None:
    polars = pytest.importorskip("polars")
    dataset = pytest.importorskip("pyarrow.dataset")
    with branch.fs.open(f"{branch.root}/d/t.parquet", "wb") as file:
        polars.DataFrame({"a": [1, 2, 3]}).write_parquet(file)
    source = dataset.dataset(f"{branch.repository}/main/d", filesystem=branch.fs)
    frame = polars.scan_pyarrow_dataset(source).filter(polars.col("a") > 1).collect()
    assert frame["a"].to_list() == [2, 3]


def test_duckdb_reads_and_writes_registered_file_system(
    branch: Branch, frame: pandas.DataFrame
) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.register_filesystem(branch.fs)
        connection.register("lakes", frame)
        connection.execute(f"COPY lakes TO '{branch.root}/a/lakes.parquet' (FORMAT parquet)")
        rows = connection.execute(
            f"SELECT lake FROM '{branch.root}/a/*.parquet' WHERE depth < 300"
        ).fetchall()
        assert rows == [("Ohrid",)]
        connection.execute(f"COPY lakes TO '{branch.root}/lakes.csv'")
        count = connection.execute(f"SELECT count(*) FROM '{branch.root}/lakes.csv'").fetchone()
        assert count == (3,)


def test_zarr_round_trips_an_array(branch: Branch) -> None:
    zarr = pytest.importorskip("zarr")
    numpy = pytest.importorskip("numpy")
    data = numpy.arange(10_000, dtype="int32").reshape(100, 100)
    store = zarr.storage.FsspecStore.from_url(
        f"{branch.root}/a.zarr", storage_options=branch.options
    )
    array = zarr.create_array(store, shape=data.shape, chunks=(25, 25), dtype=data.dtype)
    array[:] = data
    again = zarr.open_array(store, mode="r")
    assert (again[10:60, 50] == data[10:60, 50]).all()
    assert len(branch.fs.find(f"{branch.repository}/main/a.zarr")) == 17


def test_datasets_loads_and_saves(environment_branch: Branch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = f"{environment_branch.repository}/main/train"
    environment_branch.fs.pipe(
        {f"{folder}/{part}.csv": f"text,label\na,{part}\n".encode() for part in range(3)}
    )
    loaded = datasets.load_dataset(
        "csv",
        data_files=f"{environment_branch.root}/train/*.csv",
        cache_dir=str(tmp_path),
        split="train",
    )
    assert sorted(loaded["label"]) == [0, 1, 2]
    loaded.save_to_disk(f"{environment_branch.root}/saved")
    assert len(datasets.load_from_disk(f"{environment_branch.root}/saved")) == 3


def test_dask_workers_read_and_write(environment_branch: Branch, frame: pandas.DataFrame) -> None:
    dataframe = pytest.importorskip("dask.dataframe")
    distributed = pytest.importorskip("distributed")
    path = f"{environment_branch.root}/dask"
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        client.run(_register)
        dataframe.from_pandas(frame, npartitions=3).to_parquet(path)
        assert dataframe.read_parquet(path)["depth"].sum().compute() == 1642 + 346 + 288


def _register() -> None:
    from lakefs_client.fs import register

    register()
