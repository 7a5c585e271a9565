"""Objects that are written like files."""

from __future__ import annotations

import array
import csv
import gc
import gzip
import io
import tarfile
import traceback
import weakref
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bench import MIB, PART, PATH, Bench, content, interrupt_once
from support.waiting import eventually

from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    ServiceException,
    TransferError,
)
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.download.reader import ObjectReader
from lakefs_client.transfer.upload.writer import ObjectWriter

CREATE = "create_presign_multipart_upload"
ABORT = "abort_presign_multipart_upload"


class Files:
    """Objects of a bench, opened as files."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.transfer = Transfer(bench.client, TransferConfig(part_size=PART))

    def write(self, path: str = PATH, **options: Any) -> ObjectWriter:
        return self.transfer.open("repo", "main", path, "wb", **options)

    def read(self, path: str = PATH) -> ObjectReader:
        return self.transfer.open("repo", "main", path)


@pytest.fixture
def files(bench: Bench) -> Files:
    return Files(bench)


def write(file: ObjectWriter, *sizes: int) -> None:
    """Write chunks of these sizes, and close."""
    with file:
        for size in sizes:
            file.write(content(size))


def fail(file: ObjectWriter, size: int, error: BaseException) -> None:
    """Write a number of bytes, and raise an error in the block."""
    with file:
        file.write(content(size))
        raise error


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 7])
@pytest.mark.parametrize("chunk", [MIB - 1, 4 * PART])
def test_object_has_written_bytes(files: Files, size: int, chunk: int) -> None:
    data = content(size)
    with files.write(user_metadata={"k": "v"}, content_type="x/y") as file:
        for start in range(0, size, chunk):
            assert file.tell() == start
            assert file.write(data[start : start + chunk]) == len(data[start : start + chunk])
        assert file.stats is None
        assert files.bench.stat() is None
    assert file.closed
    assert file.stats is not None
    found = files.bench.stat()
    assert found is not None
    assert (file.stats.checksum, file.stats.size_bytes) == (found.checksum, size)
    assert (found.content_type, found.metadata.to_dict()) == ("x/y", {"k": "v"})
    files.bench.assert_whole(data)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 2 * MIB), max_size=9))
def test_any_chunk_sizes_give_same_object(files: Files, lengths: list[int]) -> None:
    data = content(sum(lengths))
    with files.write() as file:
        position = 0
        for length in lengths:
            file.write(memoryview(data)[position : position + length])
            position += length
            assert file.tell() == position
    files.bench.assert_whole(data)


def test_writer_is_write_only_binary_file(files: Files) -> None:
    with files.write() as file:
        assert (file.writable(), file.readable(), file.seekable()) == (True, False, False)
        assert file.name == f"lakefs://repo/main/{PATH}"
        assert isinstance(file, io.BufferedIOBase)
        file.flush()
        for unsupported in (file.read, lambda: file.seek(0), file.fileno, file.detach):
            with pytest.raises(io.UnsupportedOperation):
                unsupported()
        assert not file.isatty()
        file.writelines([b"a", b"b"])
    files.bench.assert_whole(b"ab")


@pytest.mark.parametrize(
    "data",
    [
        b"abcdefgh",
        bytearray(b"abcdefgh"),
        memoryview(b"abcdefgh"),
        memoryview(b"abcdefgh").cast("d"),
        memoryview(b"abcdefgh").cast("H"),
        memoryview(b"abcdefgh").cast("B", (2, 4)),
        array.array("H", b"abcdefgh"),
    ],
    ids=lambda data: f"{type(data).__name__} {getattr(data, 'format', '')}",
)
def test_write_accepts_bytes_like_objects(files: Files, data: Any) -> None:
    with files.write() as file:
        assert file.write(data) == 8
        assert file.write(b"i") == 1
        assert file.tell() == 9
    files.bench.assert_whole(b"abcdefghi")


def test_write_releases_buffer_of_caller(files: Files) -> None:
    data = bytearray(b"first")
    with files.write() as file:
        file.write(data)
        data[:] = b"other, and longer"  # raises BufferError if the buffer is still exported
    files.bench.assert_whole(b"first")


@pytest.mark.parametrize("data", ["text", None, 7, [1, 2]])
def test_rejected_write_keeps_writer_usable(files: Files, data: Any) -> None:
    with files.write() as file:
        file.write(b"a")
        with pytest.raises(TypeError):
            file.write(data)
        file.write(b"b")
    files.bench.assert_whole(b"ab")


@pytest.mark.parametrize("size", [0, 9, 2 * PART])
def test_exception_in_block_aborts_upload(files: Files, size: int) -> None:
    error = RuntimeError("mine")
    file = files.write()
    with pytest.raises(RuntimeError) as caught:
        fail(file, size, error)
    assert caught.value is error
    assert file.closed
    assert file.stats is None
    files.bench.assert_nothing_left()


def test_exception_in_block_keeps_existing_object(files: Files) -> None:
    files.bench.upload(7)
    with pytest.raises(KeyboardInterrupt):
        fail(files.write(), PART + 1, KeyboardInterrupt())
    files.bench.assert_whole(content(7))


@pytest.mark.parametrize("size", [9, 2 * PART])
def test_abort_creates_no_object(files: Files, size: int) -> None:
    file = files.write()
    file.write(content(size))
    file.abort()
    assert file.closed
    file.abort()
    file.close()
    files.bench.assert_nothing_left()


def test_abort_after_close_does_nothing(files: Files) -> None:
    file = files.write()
    file.write(b"abc")
    file.close()
    file.abort()
    files.bench.assert_whole(b"abc")


@pytest.mark.parametrize("size", [9, 2 * PART])
def test_second_close_does_nothing(files: Files, size: int) -> None:
    with files.write() as file:
        file.write(content(size))
        file.close()
        stats = file.stats
        file.close()
    assert file.stats is stats is not None
    operations = files.bench.operations
    assert operations["link_physical_address"] + operations[CREATE] == 1
    for use in (lambda: file.write(b""), lambda: file.writelines([b"x"]), file.flush):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(ValueError, match="closed"), file:
        pass
    files.bench.assert_whole(content(size))


def test_first_request_follows_first_full_part(files: Files) -> None:
    with files.write() as file:
        file.write(content(PART))
        assert not files.bench.operations
        file.write(b"x")
        assert files.bench.operations[CREATE] == 1


@pytest.mark.parametrize("late", [False, True], ids=["write", "close"])
def test_failed_part_is_raised_by_write_or_close(files: Files, late: bool) -> None:
    """The cause of the error is the store's answer."""
    files.bench.sandbox.faults.add("store_put_part", "status", status=403, part_number=1)
    file = files.write()
    raising_call = file.close if late else lambda: write(file, *[PART] * 99)
    file.write(content(PART if late else 0))
    file.write(content(PART if late else 0))
    with pytest.raises(TransferError) as caught:
        raising_call()
    error = caught.value
    assert (error.status, error.outcome, error.part_number) == (403, "aborted", 1)
    assert error.__cause__ is not error
    assert getattr(error.__cause__, "status", None) == 403
    assert "PartError" not in "".join(traceback.format_exception(error.__cause__))
    with pytest.raises(ValueError, match="is closed, aborted"):
        file.write(b"more")
    file.close()  # does not fail again
    assert file.closed
    assert file.stats is None
    files.bench.assert_nothing_left()


@pytest.mark.parametrize("size", [9, 2 * PART])
def test_failed_completion_is_raised_by_close(files: Files, size: int) -> None:
    for operation in ("link_physical_address", "complete_presign_multipart_upload"):
        files.bench.sandbox.faults.add(operation, "status", status=400)
    file = files.write()
    file.write(content(size))
    with pytest.raises(TransferError) as caught:
        file.close()
    assert caught.value.outcome == ("not linked" if size == 9 else "aborted")
    assert file.closed
    files.bench.assert_nothing_left()


@pytest.mark.parametrize(("size", "kind"), [(9, TransferError), (2 * PART, NotFoundException)])
def test_missing_branch_raises(files: Files, size: int, kind: type[ApiException]) -> None:
    with pytest.raises(kind) as caught:
        write(files.transfer.open("repo", "nope", PATH, "wb"), size)
    assert caught.value.status == 404
    assert caught.value.__cause__ is not caught.value


def test_failed_abort_does_not_replace_exception_of_block(files: Files) -> None:
    files.bench.sandbox.faults.add(ABORT, "status", status=500, times=9)
    with pytest.raises(RuntimeError, match="mine"):
        fail(files.write(), PART + 1, RuntimeError("mine"))
    assert files.bench.stat() is None


@pytest.mark.parametrize("size", [0, 9, PART + 1])
def test_collected_writer_creates_no_object(files: Files, size: int) -> None:
    file = [files.write()]
    file[0].write(content(size))
    reference = weakref.ref(file[0])
    with pytest.warns(ResourceWarning, match=f"{PATH} was not closed: no object is made"):
        file.clear()
    # The recorded warning, and a thread that just sent a part, may still refer to the writer.
    eventually(lambda: gc.collect() >= 0 and reference() is None)
    files.bench.assert_nothing_left()


@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_collected_writer_is_aborted_if_warnings_are_errors(files: Files) -> None:
    file = files.write()
    file.write(content(PART + 1))
    assert files.bench.sandbox.blockstore.uploads()
    del file
    gc.collect()
    files.bench.assert_nothing_left()


def test_uninitialized_writer_is_collected_without_error() -> None:
    file = ObjectWriter.__new__(ObjectWriter)
    del file
    gc.collect()


def test_interrupt_in_write_aborts_upload(files: Files) -> None:
    faults = files.bench.sandbox.faults
    faults.add("store_put_part", "stall", seconds=1000)
    with pytest.raises(KeyboardInterrupt), interrupt_once(lambda: not faults.pending):
        write(files.write(), PART + 1)
    files.bench.assert_nothing_left()


def test_writer_works_without_multipart_uploads(make_bench: Callable[..., Bench]) -> None:
    files = Files(make_bench(presigned_multipart=False))
    with files.write() as file:
        file.write(content(2 * PART + 1))
    files.bench.assert_whole(content(2 * PART + 1))


def test_writer_works_without_presigned_urls(make_bench: Callable[..., Bench]) -> None:
    files = Files(make_bench(presign=False, presigned_multipart=False))
    with files.write() as file:
        file.write(content(PART + 1))
    files.bench.assert_whole(content(PART + 1))


def test_writer_ignores_executor(files: Files) -> None:
    class Refusing:
        def submit(self, *ignored: object) -> None:
            raise AssertionError("workers cannot read the written bytes")

    config = TransferConfig(part_size=PART, executor=Refusing())  # type: ignore[arg-type]
    with Transfer(files.bench.client, config).open("repo", "main", PATH, "wb") as file:
        file.write(content(PART + 1))
    files.bench.assert_whole(content(PART + 1))


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("repo", "main", PATH, "xw"), {}, ApiValueError),
        (("repo", "main", PATH, "ab"), {}, ApiValueError),
        (("repo", "main", PATH, "rb"), {"content_type": "x/y"}, ApiValueError),
        (("repo", "main", PATH), {"user_metadata": {}}, ApiValueError),
        (("repo", "main", "", "wb"), {}, ApiValueError),
        (("repo", 7, PATH, "wb"), {}, ApiTypeError),
        (("repo", "main", PATH, "wb"), {"content_type": ""}, ApiValueError),
        (("repo", "main", PATH, "wb"), {"user_metadata": {"a": 1}}, ApiTypeError),
    ],
)
def test_invalid_arguments_raise_before_any_request(
    files: Files, arguments: Any, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        files.transfer.open(*arguments, **options)
    assert not files.bench.operations


def test_failed_create_is_raised_unchanged(files: Files) -> None:
    files.bench.sandbox.faults.add(CREATE, "status", status=500, times=9)
    file = files.write()
    with pytest.raises(ServiceException) as caught:
        file.write(content(PART + 1))
    assert caught.value.__cause__ is not caught.value
    file.close()


# Libraries on top of the writer


def test_text_wrapper_round_trip(files: Files) -> None:
    with io.TextIOWrapper(files.write(), "utf-8", newline="\n") as text:
        for n in range(1000):
            print(f"Zeile {n}: é", file=text)
    with io.TextIOWrapper(files.read(), "utf-8") as text:
        assert [line.rstrip() for line in text] == [f"Zeile {n}: é" for n in range(1000)]


def test_abort_below_text_wrapper_creates_no_object(files: Files) -> None:
    file = files.write()
    with io.TextIOWrapper(file, "utf-8") as text:
        text.write("half")
        text.flush()
        file.abort()
    files.bench.assert_nothing_left()


def test_csv_round_trip(files: Files) -> None:
    rows = [[str(n), f"a,{n}", 'with "quotes"'] for n in range(100)]
    with io.TextIOWrapper(files.write("t.csv"), "utf-8", newline="") as text:
        csv.writer(text).writerows(rows)
    with io.TextIOWrapper(files.read("t.csv"), "utf-8", newline="") as text:
        assert [*csv.reader(text)] == rows


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_round_trip(files: Files, compression: int) -> None:
    names = {f"{n}.bin": content(MIB + n) for n in range(6)}
    with files.write() as file, zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    with files.read() as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == names


def test_gzip_round_trip(files: Files) -> None:
    with files.write() as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        packed.write(content(PART + 9))
    with files.read() as file, gzip.GzipFile(fileobj=file) as packed:
        assert packed.read() == content(PART + 9)


@pytest.mark.parametrize("mode", ["w|", "w|gz", "w:gz", "w"])
def test_tar_round_trip(files: Files, mode: Any) -> None:
    with files.write() as file, tarfile.open(fileobj=file, mode=mode) as archive:
        for n in range(3):
            member = tarfile.TarInfo(f"{n}")
            member.size = MIB + n
            archive.addfile(member, io.BytesIO(content(MIB + n)))
    with files.read() as file, tarfile.open(fileobj=file) as archive:
        for n in range(3):
            found = archive.extractfile(f"{n}")
            assert found is not None
            assert found.read() == content(MIB + n)


def test_pandas_round_trip(files: Files) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": range(20_000), "text": [f"line {n}" for n in range(20_000)]})
    with files.write("t.csv") as file:
        frame.to_csv(file, index=False)
    with files.read("t.csv") as file:
        assert pandas.read_csv(file).equals(frame)
    with files.write("t.csv.gz") as file:
        frame.to_csv(file, index=False, compression="gzip")
    with files.read("t.csv.gz") as file:
        assert pandas.read_csv(file, compression="gzip").equals(frame)
    pytest.importorskip("pyarrow")
    with files.write("t.parquet") as file:
        frame.to_parquet(file)
    with files.read("t.parquet") as file:
        assert pandas.read_parquet(file).equals(frame)


def test_pyarrow_round_trip(files: Files) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    csv_module = pytest.importorskip("pyarrow.csv")
    parquet = pytest.importorskip("pyarrow.parquet")
    count = 300_000
    table = pyarrow.table({"n": range(count), "text": [f"line {n}" for n in range(count)]})
    with files.write("t.parquet") as file:
        parquet.write_table(table, pyarrow.PythonFile(file, mode="w"), compression="none")
    assert file.tell() > PART
    with files.read("t.parquet") as file:
        assert parquet.read_table(pyarrow.PythonFile(file, mode="r")).equals(table)
    with files.read("t.parquet") as file:
        assert parquet.read_table(file, columns=["n"]).equals(table.select(["n"]))
    with files.write("t.arrow") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with files.read("t.arrow") as file, pyarrow.ipc.open_file(file) as reader:
        assert reader.read_all().equals(table)
    with files.write("t.csv") as file:
        csv_module.write_csv(table, file)
    with files.read("t.csv") as file:
        assert csv_module.read_csv(file).equals(table)
