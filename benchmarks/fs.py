"""Compare the file system with lakefs-spec, and with s3fs on the gateway, in one run.

    python benchmarks/fs.py --rounds 3

The variables of the integration suite (LAKEFS_TEST_ENDPOINT …) name the server. The default is a
sandbox, which has no gateway. The variants alternate, each in a separate process; the fastest round
counts. pyarrow is required; lakefs-spec and s3fs are skipped if they are not installed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lakefs_client import ApiClient, Configuration
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.models import RepositoryCreation
from lakefs_client.sandbox import Sandbox

MIB = 1 << 20
READS = 1000
Files = Any
VARIANTS = {"lakefs_client": "lakefs_client", "lakefs-spec": "lakefs_spec", "s3fs": "s3fs"}


def file_system(variant: str, options: dict[str, str]) -> Files:
    """Return a new file system of a variant."""
    if variant == "s3fs":
        import s3fs

        return s3fs.S3FileSystem(**Configuration(**options).s3_gateway().s3fs())
    if variant == "lakefs-spec":
        import lakefs_spec

        return lakefs_spec.LakeFSFileSystem(**options)
    from lakefs_client.fs import LakeFSFileSystem

    return LakeFSFileSystem(**options)


def two_columns(fs: Files, root: str) -> None:
    """Read two of the 100 columns of a Parquet file."""
    from pyarrow import parquet

    with fs.open(f"{root}/wide.parquet") as file:
        table = parquet.read_table(file, columns=["c3", "c97"])
    assert table.num_columns == 2


def random_reads(fs: Files, root: str) -> None:
    """Read 1 KiB at 1,000 random offsets of an open file."""
    generator = random.Random(1)
    with fs.open(f"{root}/large.bin") as file:
        for _ in range(READS):
            file.seek(generator.randrange(63 * MIB))
            assert len(file.read(1024)) == 1024


def small_objects(fs: Files, root: str) -> None:
    """Read 1,000 objects of 1 KiB."""
    names = [f"{root}/small/{number:04}" for number in range(READS)]
    assert len(fs.cat(names)) == READS


def write(fs: Files, root: str) -> None:
    """Write 256 MiB in pieces of 1 MiB."""
    piece = random.Random(2).randbytes(MIB)
    with fs.open(f"{root}/written.bin", "wb") as file:
        for _ in range(256):
            file.write(piece)


MEASURES: dict[str, Callable[[Files, str], None]] = {
    "two of 100 columns": two_columns,
    "1,000 reads of 1 KiB": random_reads,
    "1,000 objects of 1 KiB": small_objects,
    "write 256 MiB": write,
}


def prepare(options: dict[str, str], root: str) -> None:
    """Create the objects for the reads."""
    import pyarrow
    import pyarrow.parquet as parquet

    fs = file_system("lakefs_client", options)
    generator = random.Random(3)
    rows = 200_000
    columns = {f"c{i}": [generator.random() for _ in range(rows)] for i in range(2)}
    table = pyarrow.table({f"c{i}": columns[f"c{i % 2}"] for i in range(100)})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, row_group_size=rows // 4, use_dictionary=False)
    fs.pipe_file(f"{root}/wide.parquet", buffer.getvalue())
    fs.pipe_file(f"{root}/large.bin", generator.randbytes(64 * MIB))
    fs.pipe({f"{root}/small/{number:04}": generator.randbytes(1024) for number in range(READS)})


@contextmanager
def repository() -> Iterator[tuple[dict[str, str], str, bool]]:
    """Yield file system options, the path of a new branch, and True with a gateway."""
    endpoint = os.environ.get("LAKEFS_TEST_ENDPOINT")
    if not endpoint:
        with Sandbox() as sandbox:
            configuration = sandbox.configuration()
            namespace = f"{sandbox.storage_namespace}bench"
            with _new_repository(configuration, "bench", namespace) as (options, root):
                yield options, root, False
        return
    configuration = Configuration(
        host=endpoint,
        username=os.environ["LAKEFS_TEST_ACCESS_KEY_ID"],
        password=os.environ["LAKEFS_TEST_SECRET_ACCESS_KEY"],
    )
    name = f"bench-{uuid.uuid4().hex[:12]}"
    namespace = f"{os.environ['LAKEFS_TEST_STORAGE_NAMESPACE'].rstrip('/')}/{name}"
    with _new_repository(configuration, name, namespace) as (options, root):
        yield options, root, True


@contextmanager
def _new_repository(
    configuration: Configuration, name: str, namespace: str
) -> Iterator[tuple[dict[str, str], str]]:
    with ApiClient(configuration) as client:
        repositories = RepositoriesApi(client)
        repositories.create_repository(RepositoryCreation(name=name, storage_namespace=namespace))
        options = {
            "host": configuration.host.removesuffix("/api/v1"),
            "username": configuration.username or "",
            "password": configuration.password or "",
        }
        try:
            yield options, f"{name}/main"
        finally:
            repositories.delete_repository(name)


def child(task: dict[str, Any]) -> None:
    """Run a measure once, and print wall and CPU seconds."""
    import_module("pyarrow.parquet")  # not part of the measure

    fs = file_system(task["variant"], task["options"])
    wall, cpu = time.perf_counter(), time.process_time()
    MEASURES[task["measure"]](fs, task["root"])
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
    os._exit(0)  # pyarrow's threads may abort an exit after a read, even of a local file


def main() -> None:
    """Run the chosen measures and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "only", nargs="*", help="run measures whose name contains one of these words"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(json.load(sys.stdin))
        return
    with repository() as (options, root, gateway):
        prepare(options, root)
        variants = [name for name, module in VARIANTS.items() if find_spec(module)]
        variants = [name for name in variants if gateway or name != "s3fs"]
        print(f"{'seconds: wall (CPU)':24}" + "".join(f"{name:>22}" for name in variants))
        for measure in MEASURES:
            if args.only and not any(word in measure for word in args.only):
                continue
            times: dict[str, list[list[float]]] = {name: [] for name in variants}
            for variant in variants * args.rounds:
                task = {
                    "variant": variant, "measure": measure, "options": options, "root": root,
                }  # fmt: skip
                command = [sys.executable, __file__, "--child"]
                done = subprocess.run(
                    command, input=json.dumps(task), stdout=subprocess.PIPE, text=True, check=True
                )
                times[variant].append(json.loads(done.stdout.splitlines()[-1]))
            fastest = [min(times[name]) for name in variants]
            row = "".join(f"{f'{wall:.2f} ({cpu:.2f})':>22}" for wall, cpu in fastest)
            print(f"{measure:24}{row}", flush=True)


if __name__ == "__main__":
    main()
