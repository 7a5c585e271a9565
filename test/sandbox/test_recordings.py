"""Replay of exchanges that were recorded with a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from lakefs_client.sandbox import Sandbox

from .client import MIB, HttpClient

RECORDINGS = Path(__file__).with_name("exchanges.json")

NOT_REPLAYED = {
    "symlink": "the recorded store rejects the name; the sandbox's store accepts it",
    "list repositories": "the recorded server had other repositories",
}

# Headers and bodies that are missing in the recordings.
HEADERS = {
    "upload over an existing object with If-None-Match": {"If-None-Match": "*"},
    "get object range": {"Range": "bytes=0-3"},
    "get object unsatisfiable range": {"Range": "bytes=100-200"},
    "wrong credentials": {"Authorization": "Basic eDp5"},
    "wrong token": {"Authorization": "Bearer x.y.z"},
}
BODIES = {
    "PUT part 1 to its presigned URL": b"x" * 5 * MIB,
    "PUT part 2 to its presigned URL": b"tail",
}

# Values that must be equal after translation of identifiers.
COMPARED = {
    "checksum",
    "content_type",
    "default_branch",
    "error",
    "generation",
    "id",
    "has_more",
    "max_per_page",
    "message",
    "meta_range_id",
    "metadata",
    "path",
    "path_type",
    "read_only",
    "results",
    "size_bytes",
    "state",
    "status",
    "type",
    "user_id",
    "version",
    "commit_id",
    "parents",
    "next_offset",
    "physical_address",
    "reference",
    "storage_namespace",
}
COMPARED_HEADERS = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Range",
    "Content-Type",
    "X-Content-Type-Options",
)
# Random values. The replay translates later occurrences.
IDENTIFIERS = {
    "id",
    "upload_id",
    "physical_address",
    "reference",
    "meta_range_id",
    "parents",
    "presigned_url",
}


class Replay:
    """Translates the recorded identifiers to the sandbox's, and compares answers."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.client = HttpClient(sandbox)
        self.words = {"s3://lake/": sandbox.storage_namespace}
        self.urls: dict[str, list[str]] = {}
        self.token = ""

    def translate(self, text: str) -> str:
        for recorded in sorted(self.words, key=len, reverse=True):
            text = text.replace(recorded, self.words[recorded])
        return text

    def send(self, exchange: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        scenario, request = exchange["scenario"], exchange["request"]
        if "path" not in request:
            return self.put(scenario)
        headers = dict(HEADERS.get(scenario, {}))
        if scenario.startswith("token as"):
            header = {"bearer": "Authorization", "session cookie": "Cookie"}[scenario[9:]]
            prefix = {"Authorization": "Bearer ", "Cookie": "internal_auth_session="}[header]
            headers[header] = prefix + self.token
        if "content_type" in request:
            headers["Content-Type"] = request["content_type"]
        for name, value in (
            exchange["response"].get("json", {}).get("metadata", {}).items()
            if (scenario.startswith("upload object"))
            else ()
        ):
            headers[f"x-lakefs-meta-{name}"] = value
        body = request["body"]
        if scenario.startswith("login"):
            body = {
                "access_key_id": self.client.sandbox.access_key_id,
                "secret_access_key": "x"
                if "wrong" in scenario
                else self.client.sandbox.secret_access_key,
            }
        if body is not None:
            body = json.loads(self.translate(json.dumps(body)))
        return self.client.call(
            request["method"],
            self.translate(request["path"]),
            body,
            query={key: self.translate(str(value)) for key, value in request["query"].items()},
            headers=headers,
            raw=request["raw_body"].encode() if "raw_body" in request else None,
            auth="no credentials" not in scenario
            and "token" not in scenario
            and ("Authorization" not in headers),
        )

    def put(self, scenario: str) -> urllib3.BaseHTTPResponse:
        first, second = self.urls["create presign multipart upload"]
        url = {
            "PUT part 1 to its presigned URL": first,
            "PUT part 2 to its presigned URL": second,
            "PUT part with a broken signature": first[:-4] + "0000",
            "PUT part after abort": self.urls.get("create for too small parts", [""])[0],
        }[scenario]
        return self.client.put(url, BODIES.get(scenario, b"small"))

    def compare(self, exchange: dict[str, Any], response: urllib3.BaseHTTPResponse) -> None:
        recorded = exchange["response"]
        assert response.status == recorded["status"], response.data
        # MinIO's headers differ from S3's.
        for name in () if exchange["server"].startswith("S3") else COMPARED_HEADERS:
            assert response.headers.get(name) == recorded["headers"].get(name), name
        for name in ("Etag", "Location", "Set-Cookie"):
            assert (name in response.headers) == (name in map(str.title, recorded["headers"]))
        if "json" in recorded:
            self.compare_json("", recorded["json"], response.json())
            if "presigned_urls" in recorded["json"]:
                self.urls[exchange["scenario"]] = response.json()["presigned_urls"]
            self.token = response.json()["token"] if "token" in recorded["json"] else self.token
        elif recorded["text"].startswith("<?xml"):
            code = re.search("<Code>.*</Message>", recorded["text"])
            assert code is not None
            assert code.group() in response.data.decode()
        elif recorded["status"] == 201 and recorded["text"]:
            self.words[recorded["text"]] = response.data.decode()
        else:
            assert response.data.decode() == recorded["text"]

    def compare_json(self, key: str, recorded: Any, actual: Any) -> None:
        assert type(actual) is type(recorded), key
        if isinstance(recorded, dict):
            assert actual.keys() == recorded.keys(), key
            for name in recorded:
                self.compare_json(name, recorded[name], actual[name])
        elif isinstance(recorded, list) and key != "presigned_urls":
            assert len(actual) == len(recorded), key
            for expected, item in zip(recorded, actual):
                self.compare_json(key, expected, item)
        elif isinstance(recorded, str):
            if key in IDENTIFIERS and recorded and recorded not in self.words:
                # Store hosts, signatures and identifiers inside addresses differ.
                self.words[recorded] = actual
                self.words[recorded.removeprefix("s3://lake/example-repo/")] = actual.removeprefix(
                    f"{self.client.sandbox.storage_namespace}example-repo/"
                )
            if key in COMPARED and not recorded.startswith("http://"):
                assert _plain(actual) == _plain(self.translate(recorded)), key
        elif key in COMPARED:
            assert actual == recorded, key


def _plain(text: str) -> str:
    """Return a message without random ids and without the excerpt of the schema."""
    text = text.partition("\nSchema:")[0]
    return re.sub(r"(RequestID: |HostID: |run id ')\w+", r"\1…", text)


def _exchanges(*, external: bool) -> list[dict[str, Any]]:
    exchanges = json.loads(RECORDINGS.read_text(encoding="utf-8"))
    return [
        exchange
        for exchange in exchanges
        if exchange["server"].startswith("with external") == external
        and exchange["scenario"] not in NOT_REPLAYED
    ]


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Iterator[Replay]:
    # The recorded server was built without a version.
    with Sandbox(external_principals=request.param, version="dev") as sandbox:
        replay = Replay(sandbox)
        yield replay
        replay.client.close()


@pytest.mark.parametrize("replay", [False], indirect=True)
def test_answers_equal_open_source_server(replay: Replay) -> None:
    for exchange in _exchanges(external=False):
        if exchange["scenario"] == "complete: part too small":
            for url in replay.urls["create for too small parts"]:
                assert replay.client.put(url, b"small").status == 200
        try:
            replay.compare(exchange, replay.send(exchange))
        except AssertionError as error:
            raise AssertionError(f"{exchange['scenario']}: {error}") from error


@pytest.mark.parametrize("replay", [True], indirect=True)
def test_answers_equal_server_with_external_authentication(replay: Replay) -> None:
    principals = "/auth/users/admin/external/principals"
    query = {"principalId": "arn:aws:sts::1:assumed-role/x/y"}
    assert replay.client.call("POST", principals, query=query).status == 201
    for exchange in _exchanges(external=True):
        try:
            replay.compare(exchange, replay.send(exchange))
        except AssertionError as error:
            raise AssertionError(f"{exchange['scenario']}: {error}") from error
