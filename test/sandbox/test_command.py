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

COMMAND = [sys.executable, "-m", "lakefs_client.sandbox"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_runs_until_signal(tmp_path: Path, number: signal.Signals) -> None:
    command = [*COMMAND, "--port", "0"]
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
    assert (tmp_path / "state.jsonl").exists()


def test_command_reports_failed_start(sandbox: Sandbox) -> None:
    port = str(urlsplit(sandbox.endpoint).port)
    command = [*COMMAND, "--port", port, "--store-port", "0"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"The sandbox cannot start: ")


def test_json_line_has_both_ports(free_ports: tuple[int, int]) -> None:
    port, store_port = free_ports
    command = [*COMMAND, "--json", "--port", str(port), "--store-port", str(store_port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        description = json.loads(process.stdout.readline())
        process.terminate()
        assert process.stdout.read() == b""
    assert description == {
        "endpoint": f"http://127.0.0.1:{port}",
        "store_endpoint": f"http://127.0.0.1:{store_port}",
        "access_key_id": description["access_key_id"],
        "secret_access_key": description["secret_access_key"],
        "storage_namespace": "s3://sandbox/",
        "pid": process.pid,
    }


@pytest.fixture
def free_ports() -> tuple[int, int]:
    with Sandbox() as sandbox:
        ports = [urlsplit(url).port for url in (sandbox.endpoint, sandbox.store_endpoint)]
    assert ports[0]
    assert ports[1]
    return ports[0], ports[1]
