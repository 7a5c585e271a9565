"""Token renewal: before expiry, after status 401, by one thread at a time."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.fake_time import FakeTime
from support.scripted import Answer, Reset, ScriptedServer

from lakefs_client import ApiClient, ApiException, ApiTypeError, ApiValueError, Configuration
from lakefs_client.apis import AuthApi, ExperimentalApi, ObjectsApi, RepositoriesApi
from lakefs_client.exceptions import ForbiddenException, ServiceException, UnauthorizedException
from lakefs_client.models import RepositoryCreation, StsAuthRequest
from lakefs_client.sandbox import Sandbox
from lakefs_client.tokens import AccessKeyLogin, AwsIamLogin, LoginProvider, StsLogin
from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.progress import Progress

DATE = "Fri, 27 Nov 2026 16:00:00 GMT"
NOW = 1795795200  # DATE as a Unix timestamp

USER = Answer(json={"user": {"id": "u", "creation_date": 1}})
REJECTED = Answer(401, json={"message": "error authenticating request"})


def issued(token: str, lifetime: int | None = 3600, date: str | None = DATE) -> Answer:
    body: dict[str, Any] = {"token": token}
    if lifetime is not None:
        body["token_expiration"] = NOW + lifetime
    return Answer(json=body, headers={"Date": date})


@pytest.fixture
def keys(api: ApiClient) -> ApiClient:
    """Provide a client of the scripted server that logs in with access keys."""
    configuration = api.configuration
    assert configuration.username is not None
    assert configuration.password is not None
    configuration.token_provider = AccessKeyLogin(configuration.username, configuration.password)
    configuration.username = configuration.password = None
    return api


def ask(client: ApiClient) -> None:
    AuthApi(client).get_current_user()


def sent(server: ScriptedServer) -> list[str]:
    """Return the sent requests: "login", or the token of another request."""
    return [
        request.headers.get("authorization", request.path.rpartition("/")[2]).removeprefix(
            "Bearer "
        )
        for request in server.requests
    ]


def test_first_request_logs_in_and_token_is_reused(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("t1"), USER, USER)
    ask(keys)
    ask(keys)
    assert sent(server) == ["login", "t1", "t1"]
    assert json.loads(server.requests[0].body) == {
        "access_key_id": "AKIATESTUSER",
        "secret_access_key": "test-secret-access-key",
    }


@pytest.mark.parametrize(
    ("lifetime", "valid", "expiring"), [(3600, 3299, 3301), (600, 479, 481), (1, 0.79, 0.81)]
)
def test_token_is_renewed_before_expiry(
    keys: ApiClient,
    server: ScriptedServer,
    time: FakeTime,
    lifetime: int,
    valid: float,
    expiring: float,
) -> None:
    server.script(issued("t1", lifetime), USER, USER, issued("t2", lifetime), USER)
    ask(keys)
    time.now = valid
    ask(keys)
    time.now = expiring
    ask(keys)
    assert sent(server) == ["login", "t1", "t1", "login", "t2"]


@pytest.mark.parametrize(
    ("lifetime", "date"), [(None, DATE), (0, DATE), (-60, DATE), (3600, None), (3600, "yesterday")]
)
def test_token_without_expiry_is_used_until_rejected(
    keys: ApiClient, server: ScriptedServer, time: FakeTime, lifetime: int | None, date: str | None
) -> None:
    server.script(issued("t1", lifetime, date), USER, USER, REJECTED, issued("t2"), USER)
    ask(keys)
    time.now = 1e9
    ask(keys)
    ask(keys)
    assert sent(server) == ["login", "t1", "t1", "t1", "login", "t2"]


def test_rejected_token_is_renewed_once(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("t1"), REJECTED, issued("t2"), REJECTED)
    with pytest.raises(UnauthorizedException, match="error authenticating request"):
        ask(keys)
    assert sent(server) == ["login", "t1", "login", "t2"]


def test_insufficient_permissions_do_not_renew_token(
    keys: ApiClient, server: ScriptedServer
) -> None:
    server.script(issued("t1"), Answer(401, json={"message": "insufficient permissions"}), USER)
    with pytest.raises(UnauthorizedException):
        ask(keys)
    ask(keys)
    assert sent(server) == ["login", "t1", "t1"]


def test_unseekable_body_raises_unauthorized(keys: ApiClient, server: ScriptedServer) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.left = [b"data", b""]

        def read(self, size: int = -1) -> bytes:
            return self.left.pop(0) if self.left else b""

    server.script(issued("t1"), REJECTED, issued("t2"), USER)
    with pytest.raises(UnauthorizedException):
        ObjectsApi(keys).upload_object("repo", "main", "a", content=Pipe())
    ask(keys)  # the next request logs in
    assert sent(server) == ["login", "t1", "login", "t2"]


def test_body_is_resent_with_renewed_token(keys: ApiClient, server: ScriptedServer) -> None:
    stats = {
        "path": "a",
        "path_type": "object",
        "physical_address": "s3://a",
        "checksum": "c",
        "mtime": 1,
    }
    server.script(issued("t1"), REJECTED, issued("t2"), Answer(201, json=stats))
    ObjectsApi(keys).upload_object("repo", "main", "a", content=b"data")
    assert [request.body for request in server.requests[1::2]] == [b"data", b"data"]


def test_configured_token_precedes_provider(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(USER, REJECTED)
    keys.configuration.access_token = "static"
    ask(keys)
    with pytest.raises(UnauthorizedException):
        ask(keys)
    assert sent(server) == ["static", "static"]


def test_provider_precedes_username_and_password(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("t1"), USER)
    keys.configuration.username, keys.configuration.password = "u", "p"
    ask(keys)
    assert sent(server) == ["login", "t1"]


def test_unauthenticated_operation_needs_no_token(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("other"))
    AuthApi(keys).login(login_information={"access_key_id": "a", "secret_access_key": "b"})
    assert sent(server) == ["login"]


def test_token_is_not_sent_to_other_server(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("t1"), USER)
    ask(keys)
    with ScriptedServer(issued("t2"), USER) as other:
        configuration = Configuration(other.url)
        configuration.token_provider = keys.configuration.token_provider
        with ApiClient(configuration) as client:
            ask(client)
        assert sent(other) == ["login", "t2"]


def test_token_with_control_characters_is_rejected(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("t\r\nX: y"))
    with pytest.raises(ApiValueError, match="control characters"):
        ask(keys)


# Failed logins


def test_next_request_retries_failed_login(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(REJECTED, issued("t1"), USER)
    with pytest.raises(UnauthorizedException):
        ask(keys)
    ask(keys)
    assert sent(server) == ["login", "login", "t1"]


def test_lost_login_response_is_retried(keys: ApiClient, server: ScriptedServer) -> None:
    server.script(Reset(), Answer(502), issued("t1"), USER)
    ask(keys)
    assert sent(server) == ["login", "login", "login", "t1"]


def test_valid_token_is_used_after_failed_renewal(
    keys: ApiClient, server: ScriptedServer, time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(issued("t1"), USER, Answer(500), USER, USER, issued("t2"), USER)
    ask(keys)
    time.now = 3400
    ask(keys)
    time.now = 3405  # too early for another renewal
    ask(keys)
    time.now = 3411
    ask(keys)
    assert sent(server) == ["login", "t1", "login", "t1", "t1", "login", "t2"]
    assert "renewing the token failed, the old one is used" in caplog.text
    assert "test-secret" not in caplog.text


def test_failed_renewal_of_expired_token_raises(
    keys: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    server.script(issued("t1"), USER, Answer(500))
    ask(keys)
    time.now = 3600
    with pytest.raises(ServiceException):
        ask(keys)


# Threads and processes


class BlockingProvider(LoginProvider):
    """A provider whose logins wait for an event; counts the logins."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.logins = 0
        self.error = error
        self.may_log_in = threading.Event()

    def log_in(self, api_client: ApiClient) -> Any:
        self.logins += 1
        number = self.logins
        assert self.may_log_in.wait(60)
        if self.error:
            raise self.error
        answer = AuthApi(api_client).login(
            login_information={"access_key_id": "a", "secret_access_key": "b"}
        )
        answer.token = f"t{number}"
        return answer, 200, {"Date": DATE}


class CountingEvent(threading.Event):
    """An event that counts the threads that wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting.release()
        return super().wait(timeout)


class TokenRequests:
    """Ten threads that request a token."""

    def __init__(self, provider: BlockingProvider, client: ApiClient) -> None:
        self.pool = ThreadPoolExecutor(10)
        self.barrier = threading.Barrier(11)
        self.results = [self.pool.submit(self.request, provider, client) for _ in range(10)]
        self.barrier.wait(60)

    def request(self, provider: BlockingProvider, client: ApiClient) -> str:
        self.barrier.wait(60)
        return provider.token(client)


@pytest.fixture
def anonymous(server: ScriptedServer, time: FakeTime) -> Iterator[ApiClient]:
    with ApiClient(Configuration(server.url)) as client:
        client.rest_client.timing = time.timing
        yield client


def test_concurrent_requests_share_one_login(anonymous: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("x"))
    provider = BlockingProvider()
    requests = TokenRequests(provider, anonymous)
    provider.may_log_in.set()
    assert {result.result(60) for result in requests.results} == {"t1"}
    assert provider.logins == 1


def test_concurrent_rejections_cause_one_login(
    anonymous: ApiClient, server: ScriptedServer
) -> None:
    server.script(issued("x"), issued("x"))
    provider = BlockingProvider()
    provider.may_log_in.set()
    assert provider.token(anonymous) == "t1"

    def renew() -> str:
        provider.reject("t1")
        return provider.token(anonymous)

    with ThreadPoolExecutor(10) as pool:
        results = [pool.submit(renew) for _ in range(10)]
        assert {result.result(60) for result in results} == {"t2"}
    assert provider.logins == 2


def test_failed_login_is_raised_in_waiting_threads(anonymous: ApiClient) -> None:
    provider = BlockingProvider(ForbiddenException(403, "no"))
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(provider.token, anonymous)]
        while provider._login is None:
            pass
        provider._login.done = done = CountingEvent()
        results += [pool.submit(provider.token, anonymous) for _ in range(3)]
        for _ in range(3):
            assert done.waiting.acquire(timeout=60)
        provider.may_log_in.set()
    for result in results:
        assert result.exception() is provider.error
    assert provider.logins == 1


def test_valid_token_is_used_during_renewal(
    anonymous: ApiClient, server: ScriptedServer, time: FakeTime
) -> None:
    server.script(issued("x"), issued("x"))
    provider = BlockingProvider()
    provider.may_log_in.set()
    assert provider.token(anonymous) == "t1"
    provider.may_log_in.clear()
    time.now = 3400
    with ThreadPoolExecutor(1) as pool:
        renewal = pool.submit(provider.token, anonymous)
        while provider._login is None:
            pass
        assert provider.token(anonymous) == "t1"
        provider.may_log_in.set()
        assert renewal.result(60) == "t2"
    assert provider.token(anonymous) == "t2"


def test_interrupted_login_does_not_block_the_next(
    anonymous: ApiClient, server: ScriptedServer
) -> None:
    server.script(issued("x"))
    provider = BlockingProvider()
    provider.may_log_in.set()
    provider.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        provider.token(anonymous)
    provider.error = None
    assert provider.token(anonymous) == "t2"


def test_recursive_login_is_an_error(anonymous: ApiClient) -> None:
    def code() -> dict[str, Any]:
        AuthApi(anonymous).get_current_user()
        return {}

    anonymous.configuration.token_provider = StsLogin(code)
    with pytest.raises(ApiValueError, match="called an operation that needs its token"):
        ask(anonymous)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork of POSIX")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_does_not_wait_for_parents_login(anonymous: ApiClient) -> None:
    provider = BlockingProvider(ApiException(0, "login failed"))
    pool = ThreadPoolExecutor(1)
    login = pool.submit(provider.token, anonymous)
    while provider._login is None:
        pass
    child = os.fork()
    if child == 0:
        try:
            provider.log_in = lambda _: pytest.fail("a login")  # type: ignore[method-assign]
            try:
                provider.token(anonymous)
            except BaseException:
                os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    provider.may_log_in.set()
    with pytest.raises(ApiException, match="login failed"):
        login.result(60)
    pool.shutdown()


def module_level_code() -> dict[str, str]:
    return {"code": "good", "state": "s", "redirect_uri": "http://x"}


@pytest.mark.parametrize(
    "provider", [AccessKeyLogin("id", "secret"), StsLogin(module_level_code), AwsIamLogin(60)]
)
def test_pickled_provider_has_no_token(
    keys: ApiClient, server: ScriptedServer, provider: LoginProvider
) -> None:
    other: LoginProvider = pickle.loads(pickle.dumps(provider))
    assert repr(other) == repr(provider)
    assert "secret" not in repr(provider)
    server.script(issued("t1"))
    used = keys.configuration.token_provider
    assert used is not None
    assert used.token(keys) == "t1"
    assert b"t1" not in pickle.dumps(used)
    assert "t1" not in repr(used._issued)  # type: ignore[attr-defined]
    assert copy.deepcopy(keys.configuration).token_provider is used


def test_unpicklable_function_names_the_provider() -> None:
    with pytest.raises(ApiTypeError, match="StsLogin cannot be pickled"):
        pickle.dumps(StsLogin(lambda: {"code": "c"}))


# Logins in the sandbox


@pytest.fixture
def external() -> Iterator[Sandbox]:
    with Sandbox(external_principals=True) as sandbox:
        yield sandbox


def using(sandbox: Sandbox, provider: LoginProvider) -> ApiClient:
    configuration = Configuration(sandbox.endpoint)
    configuration.token_provider = provider
    return ApiClient(configuration)


def logins(sandbox: Sandbox) -> list[str]:
    return [r.operation for r in sandbox.requests if "login" in r.operation]


def test_sandbox_accepts_access_key_login(external: Sandbox) -> None:
    provider = AccessKeyLogin(external.access_key_id, external.secret_access_key)
    with using(external, provider) as client:
        ask(client)
        assert AuthApi(client).get_current_user().user.id == "admin"
    assert logins(external) == ["login"]
    with using(external, AccessKeyLogin("a", "b")) as client, pytest.raises(UnauthorizedException):
        ask(client)


def test_sts_login_gets_new_code_per_login(external: Sandbox) -> None:
    codes = iter(["one", "two"])

    def code() -> StsAuthRequest:
        return StsAuthRequest(next(codes), "s", "http://x", ttl_seconds=600)

    with using(external, StsLogin(code)) as client:
        assert AuthApi(client).get_current_user().user.id == "admin"
        external.clock.advance(601)  # the client's clock does not move
        assert AuthApi(client).get_current_user().user.id == "admin"
    assert logins(external) == ["sts_login", "sts_login"]
    with pytest.raises(ApiTypeError, match="get_code must be a function"):
        StsLogin({"code": "x"})  # type: ignore[arg-type]


def test_long_transfer_renews_tokens(
    external: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ApiClient(external.configuration()) as admin:
        namespace = f"{external.storage_namespace}repo"
        RepositoriesApi(admin).create_repository(RepositoryCreation("repo", namespace))
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(6 * 5 * 2**20))
    config = TransferConfig(part_size=5 * 2**20, max_concurrency=1)

    def expire_token(progress: Progress, sent: int) -> None:
        external.clock.advance(700)  # longer than a token's lifetime

    monkeypatch.setattr(Progress, "add", expire_token)  # callbacks run in another thread
    external.requests.clear()
    provider = StsLogin(lambda: StsAuthRequest("code", "s", "http://x", ttl_seconds=600))
    with using(external, provider) as client:
        Transfer(client, config).upload_file(source, "repo", "main", "large.bin")
        target = tmp_path / "back.bin"
        Transfer(client, config).download_file("repo", "main", "large.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert len(logins(external)) > 2


# AWS identities

ARN = "arn:aws:sts::123456789012:assumed-role/team/session"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set AWS credentials in the environment."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "aws-secret",
        "AWS_SESSION_TOKEN": "session/token+",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",  # the default of current releases
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }.items():
        monkeypatch.setenv(name, value)


def proof_in(request: Any) -> dict[str, Any]:
    body = json.loads(request.body)
    proof = base64.b64decode(body["identityRequest"]["identity_token"])
    assert b"aws-secret" not in proof
    decoded: dict[str, Any] = json.loads(proof)
    return decoded


def signature_of(proof: dict[str, Any], headers: dict[str, str]) -> str:
    """Return the AWS Signature Version 4 of a proof."""
    day = proof["date"][:8]
    scope = f"{day}/{proof['region']}/sts/aws4_request"
    query = {
        "Action": proof["action"],
        "Version": proof["version"],
        "X-Amz-Algorithm": proof["algorithm"],
        "X-Amz-Credential": f"{proof['access_key_id']}/{scope}",
        "X-Amz-Date": proof["date"],
        "X-Amz-Expires": proof["expiration_duration"],
        "X-Amz-SignedHeaders": ";".join(proof["signed_headers"]),
    }
    if proof["security_token"]:
        query["X-Amz-Security-Token"] = proof["security_token"]
    canonical = "\n".join(
        [
            proof["method"],
            "/",
            "&".join(f"{quote(k, '-_.~')}={quote(v, '-_.~')}" for k, v in sorted(query.items())),
            *(f"{name}:{headers[name]}" for name in proof["signed_headers"]),
            "",
            ";".join(proof["signed_headers"]),
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{proof['algorithm']}\n{proof['date']}\n{scope}\n{digest}"
    key = b"AWS4aws-secret"
    for step in (day, proof["region"], "sts", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.usefixtures("aws")
def test_aws_login_sends_signed_identity_request(api: ApiClient, server: ScriptedServer) -> None:
    server.script(issued("t1"), USER)
    api.configuration.token_provider = AwsIamLogin(1800, 90)
    ask(api)
    login = server.requests[0]
    assert login.path == "/api/v1/auth/external/principal/login"
    assert json.loads(login.body)["token_expiration_duration"] == 1800
    proof = proof_in(login)
    host = "sts.eu-central-1.amazonaws.com"
    assert {name: proof[name] for name in proof if name not in ("date", "signature")} == {
        "method": "POST",
        "host": host,
        "region": "eu-central-1",
        "action": "GetCallerIdentity",
        "expiration_duration": "90",
        "access_key_id": "AKIDEXAMPLE",
        "version": "2011-06-15",
        "algorithm": "AWS4-HMAC-SHA256",
        "security_token": "session/token+",
        "signed_headers": ["host", "x-lakefs-server-id"],
    }
    headers = {"host": host, "x-lakefs-server-id": "127.0.0.1"}
    assert proof["signature"] == signature_of(proof, headers)


@pytest.mark.usefixtures("aws")
def test_aws_login_signs_custom_headers_without_region(
    api: ApiClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    server.script(issued("t1"), USER)
    api.configuration.token_provider = AwsIamLogin(token_request_headers={"X-Team": "data"})
    ask(api)
    proof = proof_in(server.requests[0])
    assert (proof["region"], proof["security_token"]) == ("us-east-1", "")
    assert proof["signed_headers"] == ["host", "x-team"]
    assert proof["signature"] == signature_of(proof, {"host": proof["host"], "x-team": "data"})


@pytest.mark.usefixtures("aws")
def test_missing_aws_credentials_are_named(
    api: ApiClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    api.configuration.token_provider = AwsIamLogin()
    with pytest.raises(ApiException, match="no AWS credentials found"):
        ask(api)
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(ApiException, match="AWS credentials cannot be used"):
        ask(api)
    assert server.connections == 0


def test_missing_botocore_names_the_extra(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("botocore", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    api.configuration.token_provider = AwsIamLogin()
    with pytest.raises(ImportError, match=r"lakefs_client\[aws\]"):
        ask(api)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0,), ApiValueError),
        ((1.5,), ApiTypeError),
        ((60, -1), ApiValueError),
        ((True,), ApiTypeError),
    ],
)
def test_invalid_token_ttl_is_rejected(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="_ttl_seconds must be"):
        AwsIamLogin(*arguments)


def test_sandbox_accepts_external_principal_login(external: Sandbox) -> None:
    with ApiClient(external.configuration()) as admin:
        ExperimentalApi(admin).create_user_external_principal("admin", ARN)

    class Principal(LoginProvider):
        def log_in(self, api_client: ApiClient) -> Any:
            call: Callable[..., Any] = AuthApi(api_client).external_principal_login
            return call(
                external_login_information={"identity_request": {"principal": ARN}},
                _return_http_data_only=False,
            )

    with using(external, Principal()) as client:
        assert AuthApi(client).get_current_user().user.id == "admin"
    assert logins(external) == ["external_principal_login"]
