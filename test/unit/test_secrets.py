"""Logs, messages and reprs hide secrets, even at the level DEBUG."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path

import pytest

import lakefs_client
from lakefs_client.apis import AuthApi, ExperimentalApi, ObjectsApi, RepositoriesApi, StagingApi
from lakefs_client.exceptions import ApiException, TransferError
from lakefs_client.models import (
    AccessKeyCredentials,
    AuthenticationToken,
    CredentialsWithSecret,
    LoginInformation,
    RepositoryCreation,
    StsAuthRequest,
)
from lakefs_client.retry import RetryPolicy
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import Transfer, TransferConfig

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
SIGNED = re.compile(r"(?:X-Amz-(?:Signature|Credential)|Signature|sig)=(?!\*\*\*)\w")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all log records."""
    caplog.set_level(logging.DEBUG)
    return caplog


def assert_clean(text: str, *secrets: str) -> None:
    for secret in secrets:
        assert secret not in text
    assert not SIGNED.search(text), SIGNED.search(text)


def test_transfer_session_logs_no_secrets(logged: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(bytes(6 << 20))
    texts: list[str] = []
    with Sandbox(secret_access_key=SECRET) as sandbox:
        configuration = sandbox.configuration()
        configuration.debug = True
        with lakefs_client.ApiClient(configuration) as client:
            token = AuthApi(client).login(
                login_information=LoginInformation(sandbox.access_key_id, SECRET)
            )
            texts += [repr(token), str(token)]
            RepositoriesApi(client).create_repository(
                RepositoryCreation("example-repo", f"{sandbox.storage_namespace}example-repo")
            )
            transfer = Transfer(
                client, TransferConfig(part_size=5 << 20, retry=RetryPolicy(2, 0.0, 0.0))
            )
            transfer.upload_file(source, "example-repo", "main", "file")
            for fault in ("expired", "reset_after", "truncate"):
                sandbox.faults.add("store_put_part", fault)
                texts.append(repr(transfer.upload_file(source, "example-repo", "main", "file")))
            sandbox.faults.add("store_put_part", "status", status=403, times=2)
            with pytest.raises(TransferError) as failed:
                transfer.upload_file(source, "example-repo", "main", "file")
            texts += [str(failed.value), repr(failed.value), str(vars(failed.value))]
            texts.append(
                repr(ObjectsApi(client).stat_object("example-repo", "main", "file", presign=True))
            )
            ObjectsApi(client).get_object("example-repo", "main", "file", presign=True).close()
            texts.append(
                repr(
                    StagingApi(client).get_physical_address(
                        "example-repo", "main", "x", presign=True
                    )
                )
            )
            created = ExperimentalApi(client).create_presign_multipart_upload(
                "example-repo", "main", "x", parts=2
            )
            texts.append(repr(created))
            assert "X-Amz-Signature=" in created.presigned_urls[0]

            configuration.access_token = token.token
            configuration.api_key["cookie_auth"] = "session-value-of-a-cookie"
            with pytest.raises(ApiException) as missing:
                RepositoriesApi(client).get_repository("nope-nope")
            texts += [str(missing.value), repr(configuration), configuration.to_debug_report()]
        configuration.debug = False
    records = [record.getMessage() for record in logged.records]
    assert any("urllib3" in record.name for record in logged.records)
    assert any("PUT" in message and "X-Amz-Signature=***" in message for message in records)
    text = "\n".join([*texts, *records, logged.text])
    assert_clean(text, SECRET, token.token, "session-value-of-a-cookie")


@pytest.mark.parametrize(
    "model",
    [
        LoginInformation("id", SECRET),
        AuthenticationToken(SECRET),
        CredentialsWithSecret("id", SECRET, 1),
        AccessKeyCredentials("id", SECRET),
        StsAuthRequest(code=SECRET, state="state", redirect_uri="uri"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_only_model_data_contains_secrets(
    model: lakefs_client.models.LoginInformation,
) -> None:
    assert SECRET not in repr(model) + str(model) + model.to_str() + f"{model}"
    assert SECRET in str(model.to_dict())
    assert pickle.loads(pickle.dumps(model)) == model


def test_error_text_hides_returned_secrets() -> None:
    error = ApiException(400, "Bad Request")
    error.body = f'Value:\\n {{\\"secret_access_key\\": \\"{SECRET}\\"}}'
    error.headers = {"Set-Cookie": f"internal_auth_session={SECRET}; Path=/"}
    assert_clean(str(error), SECRET)
    assert SECRET in error.body


@pytest.mark.parametrize(
    "url",
    [
        f"https://s3.example.com/b/k?X-Amz-Credential=x&X-Amz-Signature={SECRET}",
        f"https://s3.example.com/b/k?X-Amz-Security-Token={SECRET}&x-id=PutObject",
        f"https://storage.example.com/b/k?X-Goog-Signature={SECRET}&X-Goog-Credential={SECRET}",
        f"https://b.s3.example.com/k?AWSAccessKeyId=x&Signature={SECRET}&Expires=1",
        f"https://account.blob.example.net/c/b?sv=2024&se=2026-01-01&sig={SECRET}",
    ],
)
def test_error_text_hides_url_signatures(url: str) -> None:
    error = ApiException(403, f"refused: {url}")
    assert SECRET not in str(error)
    assert url.partition("?")[0] in str(error)
