"""JSON documents in the form of lakeFS's, for the stand-in server and bare clients."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

MEDIA_TYPE = "application/octet-stream"
REPOSITORY = {
    "id": "example-repo",
    "creation_date": 1710000000,
    "default_branch": "main",
    "storage_namespace": "s3://lake/example-repo",
    "storage_id": "",
    "read_only": False,
}


def compact(value: object) -> bytes:
    """Return JSON without spaces, like a server's."""
    return json.dumps(value, separators=(",", ":")).encode()


def page(start: int, count: int) -> dict[str, object]:
    """Return a page of a listing of objects with user metadata."""
    return listing([_stats(number) for number in range(start, start + count)], has_more=True)


def listing(results: list[dict[str, object]], *, has_more: bool) -> dict[str, object]:
    """Return a listing with the results."""
    return {
        "pagination": {
            "has_more": has_more,
            "next_offset": results[-1]["path"] if has_more else "",
            "results": len(results),
            "max_per_page": 1000,
        },
        "results": results,
    }


def folder(
    origin: str, repository: str, prefix: str, after: str, amount: int, date: str
) -> dict[str, object]:
    """Return the page after a path in a listing of COUNT files of SIZE zeros, 1,000 per folder.

    COUNT and SIZE come from the repository's name, ``folder-COUNT-SIZE``.
    """
    count = int(repository.split("-")[1])
    start = int(after[-12:-4].replace("/", "")) + 1 if after else 0
    stop = min(start + amount, count)
    files = [
        file(origin, repository, f"{prefix}{number // 1000:04d}/{number % 1000:03d}.bin", date)
        for number in range(start, stop)
    ]
    return listing(files, has_more=stop < count)


def file(origin: str, repository: str, path: str, date: str) -> dict[str, object]:
    """Return an object of a repository ``folder-COUNT-SIZE``; presigned if there is an origin."""
    size = int(repository.split("-")[2])
    place = f"{repository}/{size}"
    address = presigned(origin, place, date, 1) if origin else f"s3://lake/{place}"
    return {
        "path": path,
        "path_type": "object",
        "physical_address": address,
        "checksum": _md5_of_zeros(size),
        "mtime": 1710000000,
        "size_bytes": size,
        "content_type": MEDIA_TYPE,
    }


@lru_cache
def _md5_of_zeros(size: int) -> str:
    return hashlib.md5(bytes(size), usedforsecurity=False).hexdigest()


def _path(number: int) -> str:
    return f"collections/2024/part-{number:08d}.parquet"


def _stats(number: int) -> dict[str, object]:
    checksum = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return {
        "path": _path(number),
        "path_type": "object",
        "physical_address": f"s3://lake/example-repo/data/gp0n1l7d77pn0cke6jjg/{checksum[:20]}",
        "checksum": checksum,
        "mtime": 1710000000 + number,
        "size_bytes": 1000 + number,
        "metadata": {"run": f"run-{number % 40}", "owner": "data-platform"},
        "content_type": "application/vnd.apache.parquet",
    }


def parts(count: int) -> list[dict[str, object]]:
    """Return the parts of an upload for `complete_presign_multipart_upload`."""
    return [
        {
            "part_number": number,
            "etag": hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
        }
        for number in range(1, count + 1)
    ]


def presigned(origin: str, path: str, date: str, number: int) -> str:
    """Return a URL as long as S3's, with the parameters of its expiry."""
    return (
        f"{origin}/store/{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20240312%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={date}&X-Amz-Expires=900&X-Amz-SignedHeaders=host&partNumber={number}"
        f"&uploadId={'u' * 96}&x-id=UploadPart&X-Amz-Signature={number:064x}"
    )


def upload(origin: str, path: str, date: str, count: int) -> dict[str, object]:
    """Return the answer of `create_presign_multipart_upload`."""
    return {
        "upload_id": "u" * 96,
        "physical_address": f"s3://lake/{path}",
        "presigned_urls": [presigned(origin, path, date, n) for n in range(1, count + 1)],
    }


def link(address: str, checksum: str, size: int) -> dict[str, object]:
    """Return the body of `link_physical_address`."""
    return {
        "staging": {"physical_address": address},
        "checksum": checksum,
        "size_bytes": size,
        "content_type": MEDIA_TYPE,
    }
