"""CPU seconds and memory of encoding and decoding JSON, without a network."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from time import process_time
from typing import Any

import documents

_PARTS = 10_000
_PAGES, _PER_PAGE = 100, 1000


def _cpu(call: Callable[[], Any], count: int = 20) -> float:
    """Return the seconds of the fastest call, as other processes only add time."""
    call()
    best = float("inf")
    for _ in range(count):
        start = process_time()
        call()
        best = min(best, process_time() - start)
    return best


class Answer:
    """A response, with the attributes that the clients' decoders read."""

    status = 200
    reason = "OK"
    headers = {"Content-Type": "application/json"}  # noqa: RUF012

    def __init__(self, data: bytes) -> None:
        self.data = data


def encode_floor() -> float:
    """Encode 10,000 parts of an upload with json."""
    body = {"physical_address": "s3://lake/object", "parts": documents.parts(_PARTS)}
    return _cpu(lambda: documents.compact(body))


def encode_client() -> float:
    """Encode 10,000 parts as the body of `complete_presign_multipart_upload`."""
    import lakefs_client
    from lakefs_client.api.experimental_api import ExperimentalApi
    from lakefs_client.models import CompletePresignMultipartUpload, UploadPart

    class Encoder(lakefs_client.ApiClient):
        def perform(self, request: Any) -> Any:
            return b"".join(request.body.open())

    complete = ExperimentalApi(Encoder()).complete_presign_multipart_upload
    body = CompletePresignMultipartUpload(
        physical_address="s3://lake/object",
        parts=[UploadPart(**part) for part in documents.parts(_PARTS)],
    )
    return _cpu(
        lambda: complete("repo", "main", "upload", "path", complete_presign_multipart_upload=body)
    )


def encode_legacy() -> float:
    """Encode 10,000 parts with lakefs_client 1.44."""
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.complete_presign_multipart_upload import (
        CompletePresignMultipartUpload,
    )
    from lakefs_client.model.upload_part import UploadPart

    body = CompletePresignMultipartUpload(
        physical_address="s3://lake/object",
        parts=[UploadPart(**part) for part in documents.parts(_PARTS)],
    )
    return _cpu(lambda: json.dumps(ApiClient.sanitize_for_serialization(body)).encode(), 3)


def encode_sdk() -> float:
    """Run the same by lakefs_sdk."""
    import lakefs_sdk

    client = lakefs_sdk.ApiClient()
    body = lakefs_sdk.CompletePresignMultipartUpload(
        physical_address="s3://lake/object",
        parts=[lakefs_sdk.UploadPart(**part) for part in documents.parts(_PARTS)],
    )
    return _cpu(lambda: json.dumps(client.sanitize_for_serialization(body)).encode(), 3)


def _urls() -> bytes:
    created = documents.upload("http://127.0.0.1:9000", "object", "20240312T000000Z", _PARTS)
    return documents.compact(created)


def decode_floor() -> float:
    """Decode 10,000 presigned URLs with json."""
    data = _urls()
    return _cpu(lambda: json.loads(data)["presigned_urls"][-1])


def decode_client() -> float:
    """Decode 10,000 presigned URLs as `create_presign_multipart_upload` does."""
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.presign_multipart_upload import PresignMultipartUpload

    client, answer = ApiClient(), Answer(_urls())
    return _cpu(
        lambda: client.deserialize(answer, (PresignMultipartUpload,), True).presigned_urls[-1]
    )


def decode_sdk() -> float:
    """Run the same by lakefs_sdk."""
    from lakefs_sdk import PresignMultipartUpload

    data = _urls()
    return _cpu(lambda: PresignMultipartUpload.from_dict(json.loads(data)).presigned_urls[-1])


def _memory(decode: Callable[[bytes], Any]) -> float:
    """Return the MiB of 100 decoded pages, after one page as a warm-up."""
    decode(documents.compact(documents.page(0, _PER_PAGE)))
    pages = []
    tracemalloc.start()
    for number in range(_PAGES):
        # The traced memory includes the text, which is freed at the end.
        data = documents.compact(documents.page(number * _PER_PAGE, _PER_PAGE))
        pages.append(decode(data))
    del data
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / (1 << 20)


def memory_floor() -> float:
    """Decode 100,000 listed objects with json."""

    def decode(data: bytes) -> Any:
        results = json.loads(data)["results"]
        return results, sum(len(stats["path"]) for stats in results)

    return _memory(decode)


def memory_client() -> float:
    """Decode 100,000 objects as `list_objects` does, and read one attribute of each."""
    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.object_stats_list import ObjectStatsList

    client = ApiClient()

    def decode(data: bytes) -> Any:
        results = client.deserialize(Answer(data), (ObjectStatsList,), True).results
        return results, sum(len(stats.path) for stats in results)

    return _memory(decode)


def memory_sdk() -> float:
    """Run the same by lakefs_sdk."""
    from lakefs_sdk import ObjectStatsList

    def decode(data: bytes) -> Any:
        results = ObjectStatsList.from_dict(json.loads(data)).results
        return results, sum(len(stats.path) for stats in results)

    return _memory(decode)
