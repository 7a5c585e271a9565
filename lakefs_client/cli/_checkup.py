"""The checks of doctor."""

from __future__ import annotations

import io
import os
import re
import time
import uuid
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakefs_client.cli._errors import explain
from lakefs_client.cli._output import as_text
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    InvalidAnswerError,
    NotFoundException,
    UnauthorizedException,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from lakefs_client.cli._app import App
    from lakefs_client.cli._uri import Ref

    Finding = dict[str, Any]

CLOCK_WARNING, CLOCK_LIMIT = 60, 300
"""Seconds of difference between two clocks. S3 refuses signatures from 900 on."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
# As lakectl's doctor has it. Other authenticators may have other keys.
_KEY_ID = re.compile(r"AKIA[IJ|][A-Z0-9]{14}Q")


class _Failed(Exception):
    """Ends the checks, since those that follow need the one that failed."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding


def findings(app: App, branch: Ref | None) -> Iterator[Finding]:
    """Check one thing after the other, until one fails that the others need."""
    try:
        yield from _settings(app)
        headers, took = yield from _server(app)
        yield _clock(headers, took)
        yield from _user(app)
        yield from _store(app, branch)
    except _Failed as failure:
        yield failure.finding


def _finding(check: str, status: str, detail: str, hint: str = "", code: int = 0) -> Finding:
    return {
        "check": check, "status": status, "detail": detail, "hint": hint, "exit_code": code
    }  # fmt: skip


@contextmanager
def _checking(check: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        code, sentence, hint = explain(error)
        hint = _advice(check, error) or hint
        raise _Failed(_finding(check, "failed", sentence, hint, code)) from error


def _advice(check: str, error: Exception) -> str:
    """Return what to do about a server that cannot be reached or is not lakeFS."""
    if isinstance(error, (InvalidAnswerError, NotFoundException)) and check == "server":
        return "This is not the API of lakeFS: check the address, and its path if it has one."
    if not isinstance(error, ApiConnectionError):
        return ""
    text = str(error.reason)
    if "certificate" in text or "TLS" in text:
        return (
            "Give the authority's certificates as SSL_CERT_FILE, or use http:// if the server "
            "has no TLS."
        )
    if "proxy" in text:
        return "Check HTTPS_PROXY, HTTP_PROXY, and NO_PROXY, which lists hosts to reach directly."
    return "Check the address, and that this machine may reach it."


def _settings(app: App) -> Iterator[Finding]:
    with _checking("settings"):
        discovery = app.discovery
        configuration = app.configuration
    origins = {setting.name: setting.origin for setting in discovery.settings}
    yield _finding(
        "settings", "ok", f"{configuration.host} (from {origins['host']}), credentials from "
        f"{origins.get('access_token') or origins.get('username')}",
    )  # fmt: skip
    address = urlsplit(configuration.host)
    proxies = [f"{name}={_without_password(os.environ[name])}" for name in _proxy_variables()]
    yield _finding("proxy", "ok", as_text(", ".join(proxies)) or "none in the environment")
    if address.scheme == "https":
        authorities = configuration.ssl_ca_cert or os.environ.get("SSL_CERT_FILE") or "certifi"
        yield _finding("tls", "ok", f"certificates are checked against {authorities}")
    elif address.hostname in _LOCAL:
        yield _finding("tls", "ok", "none, and none needed on this machine")
    else:
        yield _finding(
            "tls", "warning", f"credentials go to {address.hostname} unencrypted",
            "Use an https:// address.",
        )  # fmt: skip


def _proxy_variables() -> list[str]:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    return [name for name in os.environ if name.lower() in names and os.environ[name]]


def _without_password(proxy: str) -> str:
    return re.sub(r"[^/]*@", "", proxy)


def _server(app: App) -> Generator[Finding, None, tuple[Any, float]]:
    check: Any = app.lakefs.health_check_api.health_check
    with _checking("server"):
        began = time.monotonic()
        _, _, headers = check(_return_http_data_only=False)
        took = time.monotonic() - began
        detail = f"answers in {took * 1000:.0f} ms"
        try:
            version = app.lakefs.config_api.get_config().get("version_config") or {}
            detail = f"lakeFS {version.get('version', '')}, {detail}"
        except UnauthorizedException:
            pass  # which is what the check of the credentials says
    yield _finding("server", "ok", as_text(detail))
    return headers, took


def _clock(headers: Any, took: float) -> Finding:
    try:
        there = parsedate_to_datetime(headers["Date"]).timestamp()
    except (TypeError, ValueError, KeyError):
        return _finding("clock", "skipped", "the server does not tell its time")
    # The header counts whole seconds.
    ahead = time.time() - took / 2 - (there + 0.5)
    difference = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
    if abs(ahead) < CLOCK_WARNING:
        return _finding("clock", "ok", f"this machine's clock is {difference}")
    failed = abs(ahead) >= CLOCK_LIMIT
    return _finding(
        "clock", "failed" if failed else "warning", f"this machine's clock is {difference}",
        "Set it: presigned URLs and tokens hold for minutes.", int(failed),
    )  # fmt: skip


def _user(app: App) -> Iterator[Finding]:
    key_id = app.configuration.username or ""
    try:
        with _checking("credentials"):
            user = app.lakefs.auth_api.get_current_user().user.id
    except _Failed as failure:
        if key_id and not _KEY_ID.fullmatch(key_id):
            failure.finding["hint"] += " The access key id has an unusual form."
        raise
    yield _finding("credentials", "ok", f"user {as_text(user)}")
    with _checking("permissions"):
        page = app.lakefs.repositories_api.list_repositories(amount=1)
    detail = "may list repositories" + ("" if page.results else ", of which there are none")
    yield _finding("permissions", "ok", detail)


def _store(app: App, branch: Ref | None) -> Iterator[Finding]:
    if branch is None:
        detail = "give lakefs://REPOSITORY/BRANCH to try upload and download"
        yield _finding("store", "skipped", detail)
        return
    with _checking("store"):
        storage = app.lakefs.config_api.get_config().storage_config
    way = "presigned URLs" if storage.pre_sign_support else "the server"
    path = f".lakefs-client-doctor-{uuid.uuid4().hex}"
    content = path.encode()
    place = (branch.repository, branch.name, path)
    with _checking("upload"):
        app.transfer().upload_fileobj(io.BytesIO(content), *place)
    try:
        yield _finding("upload", "ok", f"through {way}")
        with _checking("download"), app.transfer().open(*place) as reader:
            if reader.read() != content:
                raise ApiException(0, "other bytes came back than were uploaded")
        yield _finding("download", "ok", f"through {way}")
    finally:
        with _checking("deletion"):
            app.lakefs.objects_api.delete_object(*place)
