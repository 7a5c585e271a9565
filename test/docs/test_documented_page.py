"""The examples of the vendor's page of ExperimentalApi run unchanged.

The page is not part of this repository. The tests are skipped without it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import urllib3
from support.scripted import Answer, Received, ScriptedServer

from docs.conftest import ROOT
from lakefs_client.sandbox import Sandbox

PAGE = ROOT.parent / "shared" / "reference" / "ExperimentalApi.txt"
# Two examples do not import all their names.
NEEDS_IMPORT = ("complete_presign_multipart_upload", "create_user_external_principal")

WORDS = {
    "repository_example": "example-repo",
    "branch_example": "main",
    "ref_example": "v1.0",
    "userId_example": "admin",
}
"""Placeholders of the examples, and the sandbox's values for them."""


class Call(NamedTuple):
    """A request of an example, and the expected status.

    Attributes:
        method: The HTTP method.
        path: Path below the base path, with the query.
        body: JSON of the body, or None.
        status: Status of the sandbox's response.
    """

    method: str
    path: str
    body: Any
    status: int


BRANCH = "/repositories/repository_example/branches/branch_example"
UPLOAD = f"{BRANCH}/staging/pmpu/uploadId_example?path=path_example"
USER = "/auth/users/userId_example/external/principals"
ADDRESS = {"physical_address": "physical_address_example"}
COMPLETION = {
    **ADDRESS,
    "parts": [{"part_number": 1, "etag": "etag_example"}],
    "user_metadata": {"key": "key_example"},
    "content_type": "content_type_example",
}
STS = {
    "code": "code_example",
    "state": "state_example",
    "redirect_uri": "redirect_uri_example",
    "ttl_seconds": 1,
}
LOGIN = {"token_expiration_duration": 1, "identityRequest": {}}
EXPECTED = {
    "abort_presign_multipart_upload": [
        Call("DELETE", UPLOAD, None, 400),  # the body is missing
        Call("DELETE", UPLOAD, ADDRESS, 400),  # the address does not exist
    ],
    "complete_presign_multipart_upload": [
        Call("PUT", UPLOAD, None, 400),
        Call("PUT", UPLOAD, COMPLETION, 400),
    ],
    "create_presign_multipart_upload": [
        Call("POST", f"{BRANCH}/staging/pmpu?path=path_example", None, 201),
        Call("POST", f"{BRANCH}/staging/pmpu?path=path_example&parts=1", None, 201),
    ],
    "create_user_external_principal": [
        Call("POST", f"{USER}?principalId=principalId_example", None, 201),
        # The client sends the list of one map as one object, as servers expect.
        Call(
            "POST",
            f"{USER}?principalId=principalId_example",
            {"settings": {"key": "key_example"}},
            409,
        ),
    ],
    "delete_user_external_principal": [
        Call("DELETE", f"{USER}?principalId=principalId_example", None, 404)
    ],
    "external_principal_login": [Call("POST", "/auth/external/principal/login", LOGIN, 403)],
    "get_external_principal": [
        Call("GET", "/auth/external/principals?principalId=principalId_example", None, 404)
    ],
    "hard_reset_branch": [
        Call("PUT", f"{BRANCH}/hard_reset?ref=ref_example", None, 204),
        Call("PUT", f"{BRANCH}/hard_reset?ref=ref_example&force=false", None, 204),
    ],
    "list_user_external_principals": [
        Call("GET", f"{USER}/ls", None, 200),
        Call("GET", f"{USER}/ls?prefix=prefix_example&after=after_example&amount=100", None, 200),
    ],
    "sts_login": [Call("POST", "/sts/login", STS, 200)],
}
WITHOUT_CREDENTIALS = ("external_principal_login", "sts_login")

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason=f"{PAGE.name} is not beside this repository"
)
each_example = pytest.mark.parametrize("method", EXPECTED)


def examples() -> dict[str, str]:
    """Return the code of each example by its method."""
    text = PAGE.read_text("utf-8")
    found = re.findall(r"^Example\n\n(import time\n.*?)\n\nParameters$", text, re.M | re.S)
    return {re.findall(r"api_instance\.(\w+)\(", code)[0]: code for code in found}


class Proxy(ScriptedServer):
    """Proxy for http://localhost/api/v1, the server of the examples.

    It forwards requests to a sandbox, or answers 401 without one.
    """

    def __init__(self, sandbox: Sandbox | None) -> None:
        super().__init__(otherwise=self._forward)
        self._sandbox = sandbox
        self._http = urllib3.PoolManager(retries=False, timeout=60)

    def close(self) -> None:
        super().close()
        self._http.clear()

    def _forward(self, request: Received) -> Answer:
        if self._sandbox is None:
            return Answer(401, json={"message": "error authenticating request"})
        target = request.target
        for word, name in WORDS.items():
            target = target.replace(word, name)
        headers = {"Content-Type": request.headers.get("content-type", "")}
        if "authorization" in request.headers:
            user = f"{self._sandbox.access_key_id}:{self._sandbox.secret_access_key}"
            headers |= urllib3.make_headers(basic_auth=user)
        answer = self._http.request(
            request.method,
            target.replace("http://localhost", self._sandbox.endpoint),
            body=request.body or None,
            headers=headers,
        )
        return Answer(
            answer.status,
            answer.data,
            headers={"Content-Type": answer.headers.get("Content-Type")},
        )


def run(method: str, sandbox: Sandbox | None) -> tuple[str, list[Received]]:
    """Run an example in a separate process. Return its output and its requests."""
    code = examples()[method]
    if method in NEEDS_IMPORT:
        code = f"from lakefs_client.models import *\n{code}"
    with Proxy(sandbox) as proxy:
        environment = {
            name: value for name, value in os.environ.items() if "proxy" not in name.lower()
        }
        environment["http_proxy"] = proxy.url
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=100,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, proxy.requests


def failures(printed: str) -> list[int]:
    """Return the statuses that an example reports."""
    pattern = r"^Exception when calling .*: \((\d+)\) \w+: "
    return [int(status) for status in re.findall(pattern, printed, re.M)]


def test_page_has_ten_examples() -> None:
    assert examples().keys() == EXPECTED.keys()
    assert len(EXPECTED) == 10


@each_example
def test_example_sends_the_expected_requests(method: str, example_sandbox: Sandbox) -> None:
    printed, requests = run(method, example_sandbox)
    sent = [(r.method, r.target, json.loads(r.body) if r.body else None) for r in requests]
    assert sent == [
        (call.method, f"http://localhost/api/v1{call.path}", call.body) for call in EXPECTED[method]
    ]
    statuses = [call.status for call in EXPECTED[method]]
    assert [request.status for request in example_sandbox.requests] == statuses
    assert failures(printed) == [status for status in statuses if status >= 400]


@each_example
def test_example_reports_rejected_credentials(method: str) -> None:
    printed, requests = run(method, None)
    assert failures(printed) == [401] * len(EXPECTED[method])
    assert len(requests) == len(EXPECTED[method])
    for request in requests:
        if method in WITHOUT_CREDENTIALS:
            assert not request.headers.keys() & {"authorization", "cookie"}
        else:
            assert request.headers["authorization"] == "Bearer YOUR_BEARER_TOKEN"
            assert request.headers["cookie"] == (
                "oidc_auth_session=YOUR_API_KEY; saml_auth_session=YOUR_API_KEY"
            )
