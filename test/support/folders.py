"""Local folders and the objects of a branch, for tests of directory transfers."""

from __future__ import annotations

from typing import Any

from lakefs_client.api.objects_api import ObjectsApi
from lakefs_client.transfer import DirectoryReport, Transfer, TransferConfig
from support.bench import PART, Bench, content

Files = dict[str, bytes]


class Folders:
    """A bench with the folder `source` to upload, and the folder `target` to download to."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.faults = bench.sandbox.faults
        self.objects = ObjectsApi(bench.client)
        self.source = bench.folder / "source"
        self.source.mkdir()
        self.target = bench.folder / "target"

    def write(self, files: dict[str, bytes | int]) -> Files:
        """Create files: of the given bytes, or of `content` of a size."""
        made = {
            name: content(data) if isinstance(data, int) else data for name, data in files.items()
        }
        for name, data in made.items():
            place = self.source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return made

    def put(self, files: Files) -> None:
        """Create objects."""
        for path, data in files.items():
            self.objects.upload_object("repo", "main", path, content=data)

    def transfer(self, **settings: Any) -> Transfer:
        return Transfer(self.bench.client, TransferConfig(**{"part_size": PART, **settings}))

    def upload(self, prefix: str = "", *, settings: Any = (), **options: Any) -> DirectoryReport:
        self.bench.sandbox.requests.clear()
        transfer = self.transfer(**dict(settings))
        return transfer.upload_directory(self.source, "repo", "main", prefix, **options)

    def download(self, prefix: str = "", *, settings: Any = (), **options: Any) -> DirectoryReport:
        self.bench.sandbox.requests.clear()
        transfer = self.transfer(**dict(settings))
        return transfer.download_directory("repo", "main", prefix, self.target, **options)

    def remote(self) -> Files:
        """Return the objects of the branch."""
        page = self.objects.list_objects("repo", "main", amount=1000)
        assert not page.pagination.has_more
        return {stats.path: self.bench.bytes_at(stats.physical_address) for stats in page.results}

    def downloaded(self) -> Files:
        """Return the files of the folder `target`."""
        return {
            str(place.relative_to(self.target)): place.read_bytes()
            for place in sorted(self.target.rglob("*"))
            if place.is_file()
        }

    def assert_nothing_pending(self) -> None:
        assert not self.bench.sandbox.blockstore.uploads()


def counts(report: DirectoryReport) -> tuple[int, int, int]:
    return report.transferred, report.skipped, report.failed


def failures(report: DirectoryReport) -> dict[str, Exception]:
    assert report.failed == len(report.failures)
    return dict(report.failures)
