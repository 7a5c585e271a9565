"""A client for single HTTP requests to a sandbox."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.util import make_headers

from lakefs_client.sandbox import Sandbox

MIB = 1024 * 1024


class HttpClient:
    """Sends single requests with the user's credentials, without retries or redirects."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = urllib3.PoolManager(retries=False, timeout=30)
        credentials = f"{sandbox.access_key_id}:{sandbox.secret_access_key}"
        self.headers = dict(make_headers(basic_auth=credentials))

    def close(self) -> None:
        """Close all connections."""
        self.http.clear()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        raw: Any = None,
        auth: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Call an operation. `body` is sent as JSON, `raw` unchanged."""
        sent = {**(self.headers if auth else {}), **(headers or {})}
        if body is not None:
            raw = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        url = f"{self.sandbox.endpoint}/api/v1{path}"
        if query:
            url += "?" + urlencode(query, doseq=True)
        return self.http.request(method, url, body=raw, headers=sent, redirect=False)

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call an operation that must succeed, and return its JSON."""
        response = self.call(method, path, body, **options)
        assert 200 <= response.status < 300, (response.status, response.data)
        return (
            response.json() if response.headers.get("Content-Type") == "application/json" else None
        )

    def error(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str]:
        """Call an operation that must fail, and return the status and the message."""
        response = self.call(method, path, body, **options)
        assert response.status >= 400, (response.status, response.data)
        return response.status, response.json().get("message", "")

    def put(self, url: str, body: Any, **headers: str) -> urllib3.BaseHTTPResponse:
        """Send a PUT to the blockstore."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request("PUT", url, body=body, headers=sent)

    # Common steps of tests

    def create_repository(self, name: str = "repo") -> str:
        namespace = f"{self.sandbox.storage_namespace}{name}"
        self.ok("POST", "/repositories", {"name": name, "storage_namespace": namespace})
        return f"/repositories/{name}"

    def upload(self, path: str, data: bytes, branch: str = "main", **options: Any) -> Any:
        query = {"path": path}
        place = f"/repositories/repo/branches/{branch}/objects"
        return self.ok("POST", place, query=query, raw=data, **options)

    def commit(self, message: str, branch: str = "main", **body: Any) -> str:
        place = f"/repositories/repo/branches/{branch}/commits"
        commit_id: str = self.ok("POST", place, {"message": message, **body})["id"]
        return commit_id

    def branch(self, name: str, source: str = "main") -> None:
        self.ok("POST", "/repositories/repo/branches", {"name": name, "source": source})

    def paths(self, ref: str, **query: Any) -> list[str]:
        listing = self.ok("GET", f"/repositories/repo/refs/{ref}/objects/ls", query=query)
        return [item["path"] for item in listing["results"]]

    def read(self, path: str, ref: str = "main") -> bytes:
        response = self.call("GET", f"/repositories/repo/refs/{ref}/objects", query={"path": path})
        assert response.status == 200, response.data
        return response.data

    def create_upload(self, path: str, parts: int = 1, branch: str = "main") -> Any:
        place = f"/repositories/repo/branches/{branch}/staging/pmpu"
        return self.ok("POST", place, query={"path": path, "parts": parts})

    def complete(
        self, upload: Any, path: str, etags: list[str], branch: str = "main", **body: Any
    ) -> urllib3.BaseHTTPResponse:
        parts = [{"part_number": n, "etag": etag} for n, etag in enumerate(etags, 1)]
        place = f"/repositories/repo/branches/{branch}/staging/pmpu/{upload['upload_id']}"
        body = {"physical_address": upload["physical_address"], "parts": parts, **body}
        return self.call("PUT", place, body, query={"path": path})

    def abort(self, upload: Any, path: str) -> None:
        place = f"/repositories/repo/branches/main/staging/pmpu/{upload['upload_id']}"
        body = {"physical_address": upload["physical_address"]}
        self.ok("DELETE", place, body, query={"path": path})


def connect(sandbox: Sandbox) -> socket.socket:
    """Open a connection to the API's port."""
    host, _, port = urlsplit(sandbox.endpoint).netloc.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def credentials(sandbox: Sandbox) -> dict[str, str]:
    """Return the body of a login."""
    return {
        "access_key_id": sandbox.access_key_id,
        "secret_access_key": sandbox.secret_access_key,
    }
