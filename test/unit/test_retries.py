"""Retries: every fault for every kind of operation, Retry-After, deadlines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.fake_time import FakeTime
from support.scripted import Answer, Close, Raw, Received, Reset, ScriptedServer, Stall, Step

from lakefs_client import (
    ApiClient,
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    Configuration,
    RetryPolicy,
)
from lakefs_client.apis import (
    BranchesApi,
    CommitsApi,
    ExperimentalApi,
    ObjectsApi,
    RepositoriesApi,
    StagingApi,
)
from lakefs_client.exceptions import (
    ConflictException,
    NotFoundException,
    RateLimitException,
    ServiceException,
)
from lakefs_client.models import (
    AbortPresignMultipartUpload,
    BranchCreation,
    CommitCreation,
    CompletePresignMultipartUpload,
    StagingLocation,
    StagingMetadata,
    UploadPart,
    UploadPartFrom,
)

from .conftest import REPOSITORY

STATS = {"path": "p", "path_type": "object", "physical_address": "data/x", "checksum": "c",
         "mtime": 1}  # fmt: skip
COMMIT = {"id": "c", "parents": [], "committer": "me", "message": "m", "creation_date": 1,
          "meta_range_id": ""}  # fmt: skip
CONTENT = b"0123456789" * 2000


class Unseekable(io.RawIOBase):
    """A stream that cannot be rewound."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


class Operation(NamedTuple):
    """An operation, its answer, the safety of its retry, and the body that it sends."""

    call: Callable[[ApiClient], object]
    answer: Answer
    safety: str
    body: bytes | None = None


def upload(content: Any, **options: Any) -> Callable[[ApiClient], object]:
    return lambda a: ObjectsApi(a).upload_object("repo", "main", "p", content=content(), **options)


OPERATIONS = {
    "get": Operation(
        lambda a: RepositoriesApi(a).get_repository("repo"), Answer(json=REPOSITORY), "idempotent"
    ),
    "head": Operation(
        lambda a: ObjectsApi(a).head_object("repo", "main", "p"), Answer(200), "idempotent"
    ),
    "download": Operation(
        lambda a: ObjectsApi(a).get_object("repo", "main", "p").read() == CONTENT,
        Answer(body=CONTENT),
        "idempotent",
    ),
    "put, idempotent": Operation(
        lambda a: ExperimentalApi(a).upload_part(
            "repo", "main", "id", "p", 1, UploadPartFrom("mem://x")
        ),
        Answer(json={"presigned_url": "http://x"}),
        "idempotent",
        b'{"physical_address":"mem://x"}',
    ),
    "put, link": Operation(
        lambda a: StagingApi(a).link_physical_address(
            "repo", "main", "p", StagingMetadata(StagingLocation(physical_address="a"), "c", 1)
        ),
        Answer(json=STATS),
        "idempotent",
    ),
    "post, idempotent": Operation(upload(lambda: CONTENT), Answer(201, json=STATS), "idempotent",
                                  CONTENT),
    "post, stream": Operation(
        upload(lambda: io.BytesIO(CONTENT)), Answer(201, json=STATS), "idempotent", CONTENT
    ),
    "post, unseekable stream": Operation(
        upload(lambda: Unseekable(CONTENT)), Answer(201, json=STATS), "never", CONTENT
    ),
    "post, conditional": Operation(
        upload(lambda: CONTENT, if_none_match="*"), Answer(201, json=STATS), "unsent", CONTENT
    ),
    "delete, idempotent": Operation(
        lambda a: ExperimentalApi(a).abort_presign_multipart_upload(
            "repo", "main", "id", "p",
            abort_presign_multipart_upload=AbortPresignMultipartUpload("mem://x"),
        ),
        Answer(204),
        "idempotent",
    ),
    "delete": Operation(
        lambda a: BranchesApi(a).delete_branch("repo", "b"), Answer(204), "unsent"
    ),
    "post": Operation(
        lambda a: CommitsApi(a).commit("repo", "main", CommitCreation("m")),
        Answer(201, json=COMMIT),
        "unsent",
        b'{"message":"m"}',
    ),
    "post, text answer": Operation(
        lambda a: BranchesApi(a).create_branch("repo", BranchCreation("b", "main")),
        Answer(201, b"b"),
        "unsent",
    ),
    "put": Operation(
        lambda a: ExperimentalApi(a).hard_reset_branch("repo", "main", "main~1"),
        Answer(204),
        "unsent",
    ),
    "complete": Operation(
        lambda a: ExperimentalApi(a).complete_presign_multipart_upload(
            "repo", "main", "id", "p",
            complete_presign_multipart_upload=CompletePresignMultipartUpload(
                "mem://x", [UploadPart(1, "etag")]
            ),
        ),
        Answer(json=STATS),
        "never",
    ),
}  # fmt: skip


class Fault(NamedTuple):
    """A fault of the first request, the kinds of operation to retry, and the error."""

    step: Callable[[Answer], Step]
    retried: tuple[str, ...]
    error: type[ApiException]
    status: int


def status(number: int, retried: tuple[str, ...], error: type[ApiException]) -> Fault:
    return Fault(lambda _: Answer(number, b'{"message": "x"}'), retried, error, number)


def broken(step: Callable[[Answer], Step]) -> Fault:
    return Fault(step, ("idempotent",), ApiConnectionError, 0)


def cut(answer: Answer) -> Step:
    """Return an answer that is shorter than its Content-Length."""
    return Answer(200 if answer.status == 204 else answer.status, b"x" * 100, cut=50, then="close")


FAULTS = {
    "400": status(400, (), ApiException),
    "404": status(404, (), NotFoundException),
    "408": status(408, (), ApiException),
    "409": status(409, (), ConflictException),
    "420": status(420, ("idempotent", "unsent"), RateLimitException),
    "429": status(429, ("idempotent", "unsent"), RateLimitException),
    "500": status(500, (), ServiceException),
    "501": status(501, (), ServiceException),
    "502": status(502, ("idempotent",), ServiceException),
    "503": status(503, ("idempotent",), ServiceException),
    "504": status(504, ("idempotent",), ServiceException),
    "507": status(507, (), ServiceException),
    "503 before the body was read": Fault(
        lambda _: Answer(503, early=True, then="close"), ("idempotent",), ServiceException, 503
    ),
    "reset before the body": broken(lambda _: Reset(after=0)),
    "reset in the body": broken(lambda _: Reset(after=10)),
    "reset after the body": broken(lambda _: Reset()),
    "closed without an answer": broken(lambda _: Close()),
    "answer other than HTTP": broken(lambda _: Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")),
    "truncated head": broken(lambda _: Raw(b"HTTP/1.1 200 OK\r\nContent-Len", then="reset")),
    "truncated body": broken(cut),
    "no answer in time": Fault(lambda _: Stall(), ("idempotent",), ApiTimeoutError, 0),
}


PAIRS = [(operation, fault) for operation in OPERATIONS for fault in FAULTS]
PAIRS.remove(("head", "truncated body"))  # the answer to a HEAD has no body


@pytest.mark.parametrize(("operation_name", "fault_name"), PAIRS)
def test_fault_is_retried_only_if_safe(
    api: ApiClient, server: ScriptedServer, time: FakeTime, operation_name: str, fault_name: str
) -> None:
    operation, fault = OPERATIONS[operation_name], FAULTS[fault_name]
    if fault.error is ApiTimeoutError:
        api.configuration.read_timeout = 1
    step = fault.step(operation.answer)
    if operation.safety in fault.retried:
        server.script(step, operation.answer)
        assert operation.call(api) is not False
        assert len(time.sleeps) == 1
        assert server.requests[0][:2] == server.requests[1][:2]
        assert server.requests[1].headers.get("authorization")
        if operation.body is not None:
            assert server.requests[1].body == operation.body
    else:
        server.script(step)
        with pytest.raises(ApiException) as caught:
            operation.call(api)
        assert type(caught.value) is fault.error
        assert caught.value.status == fault.status
        assert time.sleeps == []
        if isinstance(step, Answer) and fault.status:
            assert caught.value.body == (step.body.decode() if operation_name != "head" else "")
    if isinstance(step, Stall):
        step.release.set()
    server.check()
    assert len(server.requests) == 1 + len(time.sleeps)


@pytest.mark.parametrize("operation_name", OPERATIONS)
def test_failed_connection_is_always_retried(
    configuration: Configuration, time: FakeTime, operation_name: str
) -> None:
    operation = OPERATIONS[operation_name]
    with ScriptedServer(operation.answer, deaf=True) as server:
        configuration.host = server.url

        def sleep(seconds: float) -> None:
            time.sleep(seconds)
            if len(time.sleeps) == 2:
                server.listen()

        with ApiClient(configuration) as client:
            client.rest_client.timing = time.timing._replace(sleep=sleep)
            assert operation.call(client) is not False
        assert len(time.sleeps) == 2
        assert len(server.requests) == 1


@pytest.mark.parametrize("operation_name", OPERATIONS)
def test_default_policy_makes_five_attempts(
    api: ApiClient, time: FakeTime, operation_name: str
) -> None:
    with ScriptedServer(deaf=True) as server:
        api.configuration.host = server.url
        with pytest.raises(ApiConnectionError, match="refused") as caught:
            OPERATIONS[operation_name].call(api)
    assert caught.value.sent is False
    assert time.sleeps == pytest.approx([0.1, 0.2, 0.4, 0.8])


@pytest.mark.parametrize("attempts", [1, 2, 5, 7])
def test_last_error_is_raised(
    api: ApiClient, server: ScriptedServer, time: FakeTime, attempts: int
) -> None:
    api.configuration.retries = RetryPolicy(attempts=attempts)
    server.script(*[Answer(503, f"try {number}".encode()) for number in range(attempts)])
    with pytest.raises(ServiceException, match=f"try {attempts - 1}"):
        RepositoriesApi(api).get_repository("repo")
    assert len(server.requests) == attempts
    assert len(time.sleeps) == attempts - 1


def test_attempts_count_faults_of_all_kinds(
    api: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    server.script(Answer(503), Reset(), Answer(429), Answer(json=REPOSITORY, cut=5, then="close"),
                  Answer(json=REPOSITORY))  # fmt: skip
    assert RepositoriesApi(api).get_repository("repo").id == "repo"
    assert time.sleeps == pytest.approx([0.1, 0.2, 0.4, 0.8])


def test_unsafe_fault_ends_the_retries(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(429), Answer(500))
    with pytest.raises(ServiceException):
        CommitsApi(api).commit("repo", "main", CommitCreation("m"))
    assert len(server.requests) == 2


def test_waits_follow_policy_and_jitter(
    api: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    api.configuration.retries = RetryPolicy(attempts=7, min_wait=1, max_wait=10)
    time.chance = 0.75
    server.script(*[Answer(503)] * 6, Answer(json=REPOSITORY))
    RepositoriesApi(api).get_repository("repo")
    assert time.sleeps == [0.75, 1.5, 3.0, 6.0, 7.5, 7.5]


def test_call_api_retries_only_get(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(503), Answer(json={}), Answer(503))
    api.call_api("/x", "GET")
    with pytest.raises(ServiceException):
        api.call_api("/x", "PUT")
    assert [request.method for request in server.requests] == ["GET", "GET", "PUT"]


def test_retry_sends_file_from_initial_offset(
    api: ApiClient, server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    server.script(Reset(after=5000), Answer(503), Answer(201, json=STATS))
    server.script(Reset(after=5000), Answer(503), Answer(201, json=STATS))
    ObjectsApi(api).upload_object("repo", "main", "p", content=path)
    with path.open("rb") as file:
        file.seek(1000)
        ObjectsApi(api).upload_object("repo", "main", "p", content=file)
    bodies = [request.body for request in server.requests]
    assert bodies[1:3] == [CONTENT] * 2
    assert bodies[4:6] == [CONTENT[1000:]] * 2


# Retry-After


def http_date(seconds: float) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "waited"),
    [
        ("0", 0),
        ("1", 1),
        ("7.5", 7.5),
        ("  5  ", 5),
        ("007", 7),
        ("60", 60),
        ("60.001", None),
        ("61", None),
        ("86400", None),
        ("9" * 400, None),
        # Invalid values are ignored.
        ("", 0.1),
        ("-1", 0.1),
        ("-0", 0.1),
        ("+5", 0.1),
        ("nan", 0.1),
        ("NaN", 0.1),
        ("inf", 0.1),
        ("-inf", 0.1),
        ("Infinity", 0.1),
        ("1e1", 0.1),
        ("1_0", 0.1),
        ("0x10", 0.1),
        ("5s", 0.1),
        ("5 seconds", 0.1),
        ("5, 10", 0.1),
        (".", 0.1),
        ("\xb2", 0.1),
        ("soon", 0.1),
        ("Wed, 99 Nov 2020 99:99:99 GMT", 0.1),
        ("Wed, 21 Oct", 0.1),
        ("Mon, 01 Jan 99999 00:00:00 GMT", 0.1),
        # Dates in the past, and in the distant future.
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.1),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.1),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ],
)
def test_retry_honours_retry_after(
    api: ApiClient, server: ScriptedServer, time: FakeTime, value: str, waited: float | None
) -> None:
    time.chance = 0.5 if waited == 0.1 else 0
    server.script(Answer(503, headers={"Retry-After": value}))
    if waited is None:
        with pytest.raises(ServiceException):
            RepositoriesApi(api).get_repository("repo")
        assert time.sleeps == []
    else:
        server.script(Answer(json=REPOSITORY))
        RepositoriesApi(api).get_repository("repo")
        assert time.sleeps == [waited]


def test_retry_honours_retry_after_date(
    api: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    server.script(Answer(429, headers={"Retry-After": http_date(59)}), Answer(json=REPOSITORY))
    RepositoriesApi(api).get_repository("repo")
    (waited,) = time.sleeps
    assert 0 < waited < 60
    server.script(Answer(429, headers={"Retry-After": http_date(3600)}))
    with pytest.raises(RateLimitException):
        RepositoriesApi(api).get_repository("repo")
    assert len(time.sleeps) == 1


def test_max_retry_after_is_configurable(
    api: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    api.configuration.retries = RetryPolicy(max_retry_after=600)
    server.script(Answer(503, headers={"Retry-After": "500"}), Answer(json=REPOSITORY))
    RepositoriesApi(api).get_repository("repo")
    assert time.sleeps == [500]


def test_jittered_wait_may_exceed_retry_after(
    api: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    api.configuration.retries = RetryPolicy(min_wait=10)
    server.script(Answer(503, headers={"Retry-After": "2"}), Answer(json=REPOSITORY))
    RepositoriesApi(api).get_repository("repo")
    assert time.sleeps == [5]


# Deadline


@pytest.mark.parametrize(
    ("deadline", "sleeps"),
    [(0, []), (5, []), (10, []), (15, [10]), (40, [10, 20]), (1e6, [10, 20, 40, 80])],
)
def test_deadline_prevents_further_attempts(
    api: ApiClient, server: ScriptedServer, time: FakeTime, deadline: float, sleeps: list[float]
) -> None:
    api.configuration.retries = RetryPolicy(min_wait=20, max_wait=2000, deadline=deadline)
    server.script(*[Answer(503)] * (len(sleeps) + 1))
    with pytest.raises(ServiceException):
        RepositoriesApi(api).get_repository("repo")
    assert time.sleeps == pytest.approx(sleeps)


def test_deadline_includes_duration_of_attempts(api: ApiClient, time: FakeTime) -> None:
    api.configuration.retries = RetryPolicy(min_wait=20, max_wait=2000, deadline=100)
    lengths = iter([80.0, 9.0])

    def slow_failure(_: Received) -> Step:
        time.now += next(lengths)
        return Answer(503)

    with ScriptedServer(otherwise=slow_failure) as server:
        api.configuration.host = server.url
        with pytest.raises(ServiceException):
            RepositoriesApi(api).get_repository("repo")
        assert len(server.requests) == 2
    assert time.sleeps == [10]


def test_retry_after_beyond_deadline_raises(
    api: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    api.configuration.retries = RetryPolicy(deadline=10)
    server.script(Answer(503, headers={"Retry-After": "11"}))
    with pytest.raises(ServiceException):
        RepositoriesApi(api).get_repository("repo")
    assert time.sleeps == []


def test_retries_are_logged_without_secrets(
    api: ApiClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(Answer(503), Answer(json=REPOSITORY))
    with caplog.at_level("DEBUG", "lakefs_client"):
        RepositoriesApi(api).get_repository("repo")
    (message,) = [r.getMessage() for r in caplog.records if r.name == "lakefs_client"]
    assert message == "attempt 1 of 5 failed (503 Service Unavailable), the next in 0.10 s"
    assert json.dumps(REPOSITORY) not in caplog.text
