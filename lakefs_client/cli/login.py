"""login: check credentials, and keep them."""

from __future__ import annotations

import os
import sys

from lakefs_client.cli import _parser
from lakefs_client.cli._errors import NOT_ALLOWED, CommandError, UsageError, server_message
from lakefs_client.cli._output import is_terminal
from lakefs_client.exceptions import UnauthorizedException

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from pathlib import Path
    from typing import Any

    from lakefs_client.cli._app import App

EXAMPLES = """\
examples:
  lakefs-client login
  lakefs-client login --endpoint-url https://lakefs.example.com --access-key-id AKIA... < secret
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of login."""
    parser.add_argument("--endpoint-url", metavar="URL", help="the server's address")
    parser.add_argument(
        "--access-key-id", metavar="ID",
        help="access key id; the secret access key is asked for, or read from stdin",
    )  # fmt: skip
    _parser.add_yes(parser)
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> None:
    """Check the credentials with the server, and write them to lakectl's file."""
    from lakefs_client.client import LakeFSClient
    from lakefs_client.configuration import Configuration

    endpoint = options.endpoint_url or _ask("Address of the server: ", "--endpoint-url")
    key_id = options.access_key_id or _ask("Access key id: ", "--access-key-id")
    secret = _secret()
    configuration = Configuration(host=endpoint, username=key_id, password=secret)
    try:
        with LakeFSClient(configuration) as lakefs:
            user = lakefs.auth_api.get_current_user().user.id
    except UnauthorizedException as error:
        raise CommandError(
            f"{configuration.host}: {server_message(error)} (HTTP status 401)", NOT_ALLOWED,
            "Check the access key id and the secret access key.",
        ) from error  # fmt: skip
    path = _path(app)
    if path.exists():
        app.confirm(f"Replace the server and the credentials in {path}", yes=options.yes)
    _write(path, endpoint, key_id, secret)
    app.out.note(f"logged in as {user}; the credentials are in {path}")
    app.out.changed({"user": user, "endpoint_url": configuration.host, "file": str(path)})


def _ask(question: str, option: str) -> str:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(f"there is no terminal to ask for {option}", f"Give {option}.")
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if not answer:
        raise UsageError(f"got no answer, expected {option}")
    return answer


def _secret() -> str:
    if is_terminal(sys.stdin):
        from getpass import getpass

        return getpass("Secret access key: ", sys.stderr)
    # A secret among the arguments would be seen by every user of the machine.
    secret = sys.stdin.readline().strip() if sys.stdin else ""
    if not secret:
        raise UsageError("there is no secret access key on stdin")
    return secret


def _path(app: App) -> Path:
    from pathlib import Path

    from lakefs_client.credentials import FILE_VARIABLE

    named = app.options.config or os.environ.get(FILE_VARIABLE)
    try:
        return Path(named).expanduser() if named else Path.home() / ".lakectl.yaml"
    except RuntimeError:
        raise UsageError("there is no home directory to write to", "Give --config FILE.") from None


def _write(path: Path, endpoint: str, key_id: str, secret: str) -> None:
    """Write lakectl's keys, and leave others in the file as they are."""
    import json
    import tempfile

    content = _read(path)
    content.setdefault("server", {})["endpoint_url"] = endpoint
    content["credentials"] = {"access_key_id": key_id, "secret_access_key": secret}
    target = os.path.realpath(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # JSON is YAML, and needs no package. A temporary file is for its owner alone.
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".lakectl-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(_lines(content, json.dumps)) + "\n")
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _lines(content: dict[str, Any], quoted: Any, indent: str = "") -> list[str]:
    """Return nested mappings as lines of YAML whose scalars are JSON."""
    lines = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, quoted, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {quoted(value)}")
    return lines


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        import yaml
    except ImportError:
        raise UsageError(
            f"{path} exists, and reading it needs PyYAML",
            "Run: pip install 'lakefs_client[cli]'. Or remove the file.",
        ) from None
    try:
        content = yaml.safe_load(path.read_text("utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("server", {}), dict):
        raise UsageError(
            f"{path} is not a configuration file of lakectl", "Correct it, or remove it."
        )
    return content
