"""Exceptions: hierarchy, messages, attributes and pickling."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, Configuration, RetryPolicy, exceptions
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.exceptions import (
    ApiAttributeError,
    ApiConnectionError,
    ApiException,
    ApiKeyError,
    ApiTimeoutError,
    ApiTypeError,
    ApiValueError,
    ConflictException,
    ForbiddenException,
    InvalidAnswerError,
    NotFoundException,
    ObjectExistsError,
    OpenApiException,
    PreconditionFailedException,
    RateLimitException,
    ServiceException,
    TransferError,
    UnauthorizedException,
    render_path,
)


class Response:
    """A response, as the constructors of exceptions take it."""

    def __init__(self, status: int, data: Any = b"{}", reason: str = "Reason") -> None:
        self.status = status
        self.reason = reason
        self.data = data
        self.headers = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("cls", "bases"),
    [
        (OpenApiException, [Exception]),
        (ApiTypeError, [OpenApiException, TypeError]),
        (ApiValueError, [OpenApiException, ValueError]),
        (ApiKeyError, [OpenApiException, KeyError]),
        (ApiAttributeError, [OpenApiException, AttributeError]),
        (ApiException, [OpenApiException]),
        (NotFoundException, [ApiException]),
        (UnauthorizedException, [ApiException]),
        (ForbiddenException, [ApiException]),
        (ConflictException, [ApiException]),
        (PreconditionFailedException, [ApiException]),
        (RateLimitException, [ApiException]),
        (ServiceException, [ApiException]),
        (ApiConnectionError, [ApiException, ConnectionError]),
        (ApiTimeoutError, [ApiConnectionError, TimeoutError]),
        (TransferError, [ApiException]),
        (ObjectExistsError, [TransferError, PreconditionFailedException]),
        (InvalidAnswerError, [ApiException, ApiTypeError, TypeError]),
    ],
)
def test_exception_has_its_base_classes(cls: type, bases: list[type]) -> None:
    for base in bases:
        assert issubclass(cls, base)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (300, ApiException),
        (400, ApiException),
        (401, UnauthorizedException),
        (403, ForbiddenException),
        (404, NotFoundException),
        (405, ApiException),
        (409, ConflictException),
        (410, ApiException),
        (412, PreconditionFailedException),
        (420, RateLimitException),
        (422, ApiException),
        (429, RateLimitException),
        (499, ApiException),
        (500, ServiceException),
        (501, ServiceException),
        (503, ServiceException),
        (599, ServiceException),
        (600, ApiException),
        (799, ApiException),
    ],
)
def test_status_selects_the_exception_class(
    api: ApiClient, server: ScriptedServer, status: int, cls: type[ApiException]
) -> None:
    api.configuration.retries = False
    server.script(Answer(status, json={"message": "words"}, reason="Some Reason"))
    with pytest.raises(ApiException) as caught:
        RepositoriesApi(api).get_repository("repo")
    error = caught.value
    assert type(error) is cls
    assert (error.status, error.reason) == (status, "Some Reason")
    assert json.loads(error.body or "") == {"message": "words"}
    assert error.headers is not None
    for name in ("Content-Type", "content-type", "CONTENT-TYPE"):
        assert error.headers[name] == "application/json"


def test_str_shows_status_reason_headers_and_body() -> None:
    error = ApiException(http_resp=Response(404, b'{"message": "gone"}', "Not Found"))
    assert str(error) == (
        "(404)\n"
        "Reason: Not Found\n"
        "HTTP response headers: {'Content-Type': 'application/json'}\n"
        'HTTP response body: {"message": "gone"}\n'
    )


@pytest.mark.parametrize(
    ("data", "body"),
    [(b"", ""), ("text", "text"), ("\u20ac".encode(), "\u20ac"), (b"\xff\xfe", "\ufffd\ufffd"),
     (None, None)],
)  # fmt: skip
def test_body_is_decoded_to_text(data: Any, body: str | None) -> None:
    assert ApiException(http_resp=Response(500, data)).body == body


def test_manually_built_exception_has_its_attributes() -> None:
    error = NotFoundException(status=404, reason="Not Found")
    assert (error.status, error.reason, error.body, error.headers) == (404, "Not Found", None, None)
    assert str(error) == "(404)\nReason: Not Found\n"
    assert repr(error) == "NotFoundException(404, 'Not Found')"
    assert ApiException(418, "Teapot").status == 418
    empty = ApiException()
    assert (empty.status, empty.reason) == (None, None)


def test_repr_shows_status_and_reason() -> None:
    assert repr(ApiException(http_resp=Response(418))) == "ApiException(418, 'Reason')"


def test_str_shows_path_to_item() -> None:
    error = ApiTypeError("Wrong", ["results", 0, "path"], (int, str), True)
    assert str(error) == "Wrong at ['results'][0]['path']"
    assert error.path_to_item == ["results", 0, "path"]
    assert error.valid_classes == (int, str)
    assert error.key_type is True
    bare = ApiTypeError("Wrong")
    assert str(bare) == "Wrong"
    assert (bare.path_to_item, bare.valid_classes, bare.key_type) == (None, None, None)
    for cls in (ApiValueError, ApiAttributeError, ApiKeyError):
        assert str(cls("Wrong", ["a"])) == "Wrong at ['a']"
        assert str(cls("Wrong")) == "Wrong"


def test_render_path() -> None:
    assert render_path([]) == ""
    assert render_path(("a", 1, "b'c")) == "['a'][1][\"b'c\"]"


EXAMPLES: dict[type, Exception] = {
    OpenApiException: OpenApiException("words"),
    ApiTypeError: ApiTypeError("Wrong", ["a", 1], (int,), False),
    ApiValueError: ApiValueError("Wrong", ["a", 1]),
    ApiKeyError: ApiKeyError("Wrong", ["a", 1]),
    ApiAttributeError: ApiAttributeError("Wrong", ["a", 1]),
    ApiConnectionError: ApiConnectionError("refused", sent=False),
    ApiTimeoutError: ApiTimeoutError("too slow", sent=True),
    TransferError: TransferError(
        "failed",
        outcome="aborted",
        cause=ServiceException(http_resp=Response(500)),
        part_number=3,
        upload_id="id",
        physical_address="mem://x",
    ),
    ObjectExistsError: ObjectExistsError("exists", outcome="aborted"),
    InvalidAnswerError: InvalidAnswerError(
        Response(200), "get_repository", ApiTypeError("Wrong", ["a"], (int,), False)
    ),
}
PUBLIC = [
    cls
    for name, cls in vars(exceptions).items()
    if inspect.isclass(cls) and issubclass(cls, OpenApiException) and not name.startswith("_")
]


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    "again",
    [
        *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in (2, 4, 5)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_exception_survives_pickling_and_copying(cls: type[Any], again: Any) -> None:
    error = EXAMPLES.get(cls) or cls(http_resp=Response(404, b"body"))
    result = again(error)
    assert type(result) is cls
    assert str(result) == str(error)
    assert result.args == error.args
    state, expected = vars(result), vars(error)
    assert {k: repr(v) for k, v in state.items()} == {k: repr(v) for k, v in expected.items()}


def test_error_of_an_answer_survives_pickling(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(404, json={"message": "gone"}))
    with pytest.raises(NotFoundException) as caught:
        RepositoriesApi(api).get_repository("repo")
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert error.headers["content-TYPE"] == "application/json"
    assert json.loads(error.body) == {"message": "gone"}


def test_transfer_error_has_status_and_body_of_cause() -> None:
    cause = ForbiddenException(http_resp=Response(403, b"no", "Forbidden"))
    error = TransferError("failed", outcome="not linked", cause=cause, physical_address="mem://x")
    assert (error.status, error.body) == (403, "no")
    assert error.__cause__ is cause
    assert (error.part_number, error.upload_id) == (None, None)
    for part in ("failed", "not linked", "mem://x", "no"):
        assert part in str(error)
    unknown = TransferError("failed", outcome="unknown")
    assert (unknown.status, unknown.body, unknown.headers) == (0, None, None)


def test_transfer_error_names_upload_and_address() -> None:
    text = str(EXAMPLES[TransferError])
    assert "id" in text
    assert "mem://x" in text


# Errors of a call


def failing_call(server: ScriptedServer, answer: Answer, **settings: Any) -> ApiException:
    """Return the error of `get_object` for an answer."""
    server.script(answer)
    configuration = Configuration(server.url, **settings)
    configuration.retries = 0
    with ApiClient(configuration) as api, pytest.raises(ApiException) as caught:
        ObjectsApi(api).get_object("repo", "main", "a b")
    return caught.value


def test_error_names_operation_request_and_message(server: ScriptedServer) -> None:
    answer = Answer(404, json={"message": "object not found"}, headers={"X-Request-Id": "r-7"})
    error = failing_call(server, answer, username="u", password="p")
    assert str(error).splitlines()[0] == "(404) get_object: object not found"
    url = f"{server.url}/api/v1/repositories/repo/refs/main/objects"
    assert f"GET {url}, request id r-7" in str(error)
    assert (error.operation, error.method, error.url) == ("get_object", "GET", url)
    assert (error.message, error.request_id, error.attempts) == ("object not found", "r-7", 1)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.operation, twin.url) == (str(error), error.operation, error.url)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "first line\\nsecond"}', "first line"),
        (b'{"reference": ""}', "Not Found"),
        (b"", "Not Found"),
        (b"[1", "Not Found"),
        (b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>", "no such key"),
    ],
)
def test_message_falls_back_to_reason(server: ScriptedServer, body: bytes, message: str) -> None:
    assert failing_call(server, Answer(404, body), username="u", password="p").message == message


def test_error_counts_attempts(server: ScriptedServer) -> None:
    server.script(Answer(503), Answer(503))
    configuration = Configuration(server.url)
    configuration.retries = RetryPolicy(attempts=2, min_wait=0, max_wait=0)
    with ApiClient(configuration) as api, pytest.raises(ServiceException) as caught:
        ObjectsApi(api).stat_object("repo", "main", "a")
    assert caught.value.attempts == 2
    assert "2 attempts" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({}, "No credentials were sent: set username and password"),
        ({"username": "u"}, "has a username and no password"),
        ({"password": "p"}, "has a password and no username"),
        ({"username": "u", "password": "p"}, None),
    ],
)
def test_unauthorized_error_names_missing_credentials(
    server: ScriptedServer, settings: dict[str, str], hint: str | None
) -> None:
    error = failing_call(server, Answer(401), **settings)
    assert (error.hint is None) if hint is None else (hint in str(error))
