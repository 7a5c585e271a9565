"""The examples of the documented page of ExperimentalApi run unchanged.

The page is not part of this repository; it is read from beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from docs.conftest import ROOT
from lakefs_client.sandbox import Sandbox

PAGE = ROOT.parent / "shared" / "reference" / "ExperimentalApi.txt"
# Two examples use names that they do not import.
NEEDS_IMPORT = ("complete_presign_multipart_upload", "create_user_external_principal")

# Method, path below the base path, and query of the requests that each example makes.
BRANCH = "/repositories/repository_example/branches/branch_example"
UPLOAD = f"{BRANCH}/staging/pmpu/uploadId_example"
USER = "/auth/users/userId_example/external/principals"
EXPECTED = {
    "abort_presign_multipart_upload": [("DELETE", UPLOAD, "path=path_example")] * 2,
    "complete_presign_multipart_upload": [("PUT", UPLOAD, "path=path_example")] * 2,
    "create_presign_multipart_upload": [
        ("POST", f"{BRANCH}/staging/pmpu", "path=path_example"),
        ("POST", f"{BRANCH}/staging/pmpu", "path=path_example&parts=1"),
    ],
    "create_user_external_principal": [("POST", USER, "principalId=principalId_example")] * 2,
    "delete_user_external_principal": [("DELETE", USER, "principalId=principalId_example")],
    "external_principal_login": [("POST", "/auth/external/principal/login", "")],
    "get_external_principal": [
        ("GET", "/auth/external/principals", "principalId=principalId_example")
    ],
    "hard_reset_branch": [
        ("PUT", f"{BRANCH}/hard_reset", "ref=ref_example"),
        ("PUT", f"{BRANCH}/hard_reset", "ref=ref_example&force=false"),
    ],
    "list_user_external_principals": [
        ("GET", f"{USER}/ls", ""),
        ("GET", f"{USER}/ls", "prefix=prefix_example&after=after_example&amount=100"),
    ],
    "sts_login": [("POST", "/sts/login", "")],
}


def examples() -> dict[str, str]:
    """The code of each example, by the method that it calls."""
    text = PAGE.read_text("utf-8")
    found = re.findall(r"^Example\n\n(import time\n.*?)\n\nParameters$", text, re.M | re.S)
    return {re.findall(r"api_instance\.(\w+)\(", code)[0]: code for code in found}


@pytest.mark.skipif(not PAGE.exists(), reason=f"{PAGE.name} is not beside this repository")
@pytest.mark.parametrize("method", EXPECTED)
def test_runs_as_it_stands(method: str, sandbox: Sandbox) -> None:
    code = examples()[method]
    if method in NEEDS_IMPORT:
        code = f"from lakefs_client.models import *\n{code}"
    with Sandbox(external_principals=True) as server:
        # The examples call http://localhost: as their proxy the sandbox gets these requests.
        environment = {**os.environ, "http_proxy": server.endpoint, "no_proxy": ""}
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=60
        )
        requests = list(server.requests)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(EXPECTED) == len(examples())
    sent = [(r.method, r.path.removeprefix("/api/v1"), r.query) for r in requests]
    assert sent == EXPECTED[method]
    # What failed did so by the server's word, not for want of one.
    for error in re.findall(r"^Exception when calling .*", done.stdout, re.M):
        assert re.search(r": \([45]\d\d\)$", error), error
