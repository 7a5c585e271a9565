"""HTML in notebooks: tables of models and reports, and short reprs."""

from __future__ import annotations

import pickle
import re

from lakefs_client import ApiClient, Configuration
from lakefs_client.apis import ObjectsApi, RepositoriesApi
from lakefs_client.client import LakeFSClient
from lakefs_client.models import (
    CredentialsWithSecret,
    ObjectStats,
    ObjectStatsList,
    Pagination,
    Ref,
)
from lakefs_client.sandbox import Sandbox
from lakefs_client.transfer import DirectoryReport, Transfer
from lakefs_client.transfer.directory.report import Failure


def stats(path: str, address: str = "s3://b/k") -> ObjectStats:
    return ObjectStats(path, "object", address, "abc", 0, size_bytes=7)


def test_model_html_is_a_table_of_properties() -> None:
    html = Ref("main", "<script>")._repr_html_()
    assert html.startswith("<table><caption>Ref</caption>")
    assert "<tr><td>id</td><td>main</td></tr>" in html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_page_html_is_a_table_of_results() -> None:
    page = ObjectStatsList(
        Pagination(False, "", 60, 1000), [stats(f"a/{number}") for number in range(60)]
    )
    html = page._repr_html_()
    assert html.count("<tr>") == 1 + 50
    assert "10 more on this page" in html
    assert "<th>size_bytes</th>" in html
    empty = ObjectStatsList(Pagination(False, "", 0, 1000), [])
    assert "<tbody></tbody>" in empty._repr_html_()


def test_html_columns_follow_the_declaration(lakefs_sandbox: Sandbox) -> None:
    # Servers sort the properties by name, so their order would show checksums first.
    with ApiClient(lakefs_sandbox.configuration()) as client:
        RepositoriesApi(client).create_repository(
            {"name": "birds", "storage_namespace": f"{lakefs_sandbox.storage_namespace}birds"}
        )
        ObjectsApi(client).upload_object("birds", "main", "a.csv", content=b"1")
        listing = ObjectsApi(client).list_objects("birds", "main")._repr_html_()
        one = ObjectsApi(client).stat_object("birds", "main", "a.csv")._repr_html_()
    assert re.findall("<th>(.*?)</th>", listing)[:2] == ["path", "path_type"]
    assert re.findall("<tr><td>(.*?)</td>", one)[:2] == ["path", "path_type"]


def test_html_hides_secrets() -> None:
    credentials = CredentialsWithSecret(
        access_key_id="AKIA", secret_access_key="very secret", creation_date=0
    )
    assert "AKIA" in credentials._repr_html_()
    assert "very secret" not in credentials._repr_html_()
    signed = stats("a", "https://store/k?X-Amz-Signature=0123456789abcdef")
    assert "0123456789abcdef" not in signed._repr_html_()


def test_report_html_shows_counts_and_failures() -> None:
    report = DirectoryReport(transferred=3, failed=1)
    report.failures.append(Failure("<a>", OSError("no room")))
    html = report._repr_html_()
    assert "<td>transferred</td><td>3</td>" in html
    assert "<td>&lt;a&gt;</td><td>no room</td>" in html


def test_repr_shows_host_and_user_and_hides_secrets() -> None:
    configuration = Configuration(
        "https://a.example", username="AKIA", password="very secret", access_token="a token"
    )
    client = ApiClient(configuration)
    groups = LakeFSClient(configuration)
    for thing in (configuration, client, ObjectsApi(client), Transfer(client), groups):
        assert type(thing).__name__ in repr(thing)
        assert "host='https://a.example/api/v1' username='AKIA'" in repr(thing)
        assert "secret" not in repr(thing)
        assert "a token" not in repr(thing)
        assert len(repr(thing)) < 150
    assert repr(pickle.loads(pickle.dumps(client))) == repr(client)
