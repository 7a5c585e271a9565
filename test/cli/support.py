"""A runner of `lakefs-client` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.support import Server

PROGRAM = (sys.executable, "-m", "lakefs_client")
PATIENCE = 60
INHERITED = ("PATH", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG")


@dataclass
class Result:
    """The exit code and the two streams of a command."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def json(self) -> Any:
        (line,) = self.lines
        return json.loads(line)

    @property
    def items(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


Process = subprocess.Popen[bytes]


class Cli:
    """A runner of commands that checks their exit codes."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.folder = folder
        home = folder / "home"
        home.mkdir()
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "HOME": str(home),
            "LAKECTL_SERVER_ENDPOINT_URL": server.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": server.access_key_id,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": server.secret_access_key,
        }

    def __call__(
        self, *arguments: object, code: int = 0, stdin: bytes = b"", **environment: str | None
    ) -> Result:
        """Run a command; fail if its exit code is not `code`."""
        result = self.run(*arguments, stdin=stdin, **environment)
        assert result.code == code, result
        assert "Traceback" not in result.err, result.err
        return result

    def run(self, *arguments: object, stdin: bytes = b"", **environment: str | None) -> Result:
        """Run a command, with any exit code."""
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env=self.variables(environment),
            timeout=PATIENCE,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    @contextmanager
    def start(self, *arguments: object, stdout: Any = subprocess.PIPE) -> Iterator[Process]:
        """Start a command, and kill the process at the end of the block."""
        command = [*PROGRAM, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=stdout, stderr=subprocess.PIPE, cwd=self.folder, env=self.environment
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def variables(self, changes: dict[str, str | None]) -> dict[str, str]:
        changed = {**self.environment, **changes}
        return {name: value for name, value in changed.items() if value is not None}

    def file(self, name: str, content: bytes) -> Path:
        """Write a file into the commands' working folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path
