"""The command `python -m lakefs_client.sandbox`."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lakefs_client.sandbox import Sandbox


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_runs_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "lakefs_client.sandbox", "--port", "0"]
    command += ["--data", str(tmp_path), "--access-key-id", "id", "--secret-access-key", "key"]
    with subprocess.Popen(
        [*command, "--no-presigned-multipart"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline().decode()
        assert first.startswith("lakeFS sandbox at http://127.0.0.1:")
        for line in process.stdout:
            if b"Ctrl-C" in line:
                break
        url = urlsplit(first.split()[-1])
        connection = http.client.HTTPConnection(url.netloc, timeout=30)
        connection.request("GET", "/api/v1/config", headers={"Authorization": "Basic aWQ6a2V5"})
        config = json.loads(connection.getresponse().read())
        assert config["storage_config"]["pre_sign_multipart_upload"] is False
        connection.close()
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""
    assert (tmp_path / "state.json").exists()


def test_command_explains_a_failed_start(sandbox: Sandbox) -> None:
    port = str(urlsplit(sandbox.endpoint).port)
    command = [sys.executable, "-m", "lakefs_client.sandbox", "--port", port]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"The sandbox cannot start: ")
