"""The measures and their limits."""

from __future__ import annotations

from typing import NamedTuple

_GIB = 1 << 30
_MIB = 1 << 20


class Measure(NamedTuple):
    """A line of the table.

    The functions ``{function}_{variant}`` of a module return the figures of the floor, of this
    package, and of the peers that support the measure.

    Attributes:
        name: Title of the line.
        module: Module of the functions.
        function: Prefix of their names.
        unit: Unit of the figures: ``s`` of CPU, or ``MiB``.
        limit: Upper limit of the ratio to the floor, or of the figure if there is no floor. None
            for information only.
        arguments: Names of the run's resources, and numbers.
        subject: The variant of this package.
        floor: The variant to compare with.
        allowance: A variant whose cost is added to the floor's.
        peers: True if other packages support the measure.
        rounds: Minimum runs of each variant.
        long: True if a quick run skips the measure.
    """

    name: str
    module: str
    function: str
    unit: str
    limit: float | None
    arguments: tuple[str | int, ...] = ()
    subject: str = "client"
    floor: str | None = "floor"
    allowance: str | None = None
    peers: bool = False
    rounds: int = 5
    long: bool = False


HTTP, HTTPS, STORE = ("http", "no_ca"), ("https", "ca"), ("lakefs", "namespace", "file")

MEASURES = (
    Measure("import of an example", "imports", "example", "s", 0.25, peers=True, rounds=15),
    Measure("import of everything", "imports", "everything", "s", 0.5, peers=True, rounds=15),
    Measure("lakefs-client --help", "startup", "python", "s", 2.5, subject="help", rounds=15),
    Measure("lakefs-client --version", "startup", "python", "s", 2.5, subject="version", rounds=15),
    Measure("lakefs-client cp --help", "startup", "python", "s", None, subject="command",
            rounds=15),
    Measure("small GET", "calls", "small", "s", 1.1, ("http", "calls"), peers=True, rounds=9),
    Measure("page of 1,000 objects", "calls", "page", "s", 1.6, ("http", "pages"), peers=True),
    Measure("encode 10,000 parts", "codec", "encode", "s", 1.3, peers=True),
    Measure("decode 10,000 URLs", "codec", "decode", "s", 1.3, peers=True),
    Measure("memory, 100,000 objects", "codec", "memory", "MiB", 1.25, peers=True, rounds=1),
    Measure("upload 1 GiB, HTTP", "upload", "upload", "s", 1.15, (*HTTP, "file")),
    Measure("… with verification", "upload", "upload", "s", 1.15, (*HTTP, "file"),
            subject="verified", allowance="md5"),
    Measure("… one memory map a part", "upload", "upload", "s", None, (*HTTP, "file"),
            subject="mapped"),
    Measure("… sendfile", "upload", "upload", "s", None, (*HTTP, "file"), subject="sendfile"),
    Measure("upload 1 GiB, TLS", "upload", "upload", "s", 1.15, (*HTTPS, "file")),
    Measure("… with verification", "upload", "upload", "s", 1.15, (*HTTPS, "file"),
            subject="verified", allowance="md5"),
    Measure("download 1 GiB, HTTP", "download", "download", "s", 1.3, (*HTTP, "file")),
    Measure("download 1 GiB, TLS", "download", "download", "s", 1.3, (*HTTPS, "file")),
    Measure("store, against boto3", "store", "upload", "s", None, STORE, floor="boto3", rounds=3),
    Measure("… without verification", "store", "upload", "s", None, STORE, floor="boto3",
            subject="unverified", rounds=3),
    Measure("store, against lakectl", "store", "upload", "s", None, (*STORE, "lakectl"),
            floor="lakectl", rounds=3),
    Measure("… without verification", "store", "upload", "s", None, (*STORE, "lakectl"),
            floor="lakectl", subject="unverified", rounds=3),
    Measure("upload of 10 KiB files", "small_files", "upload", "s", 1.15, ("http", "folder")),
    Measure("peak memory, 64 parts", "upload", "peak", "MiB", 16, (*HTTP, _GIB, 16 * _MIB),
            floor=None, rounds=3),
    Measure("peak memory, 64 parts, TLS", "upload", "peak", "MiB", 16, (*HTTPS, _GIB, 16 * _MIB),
            floor=None, rounds=3),
    Measure("peak memory, 20 GiB", "upload", "peak", "MiB", 16, (*HTTP, 20 * _GIB, 21 * _MIB),
            floor=None, rounds=1, long=True),
    Measure("peak memory, 10,000 parts", "upload", "peak", "MiB", 48,
            (*HTTP, 10_000 * 5 * _MIB, 5 * _MIB), floor=None, rounds=1, long=True),
)  # fmt: skip
