"""The iterator over all items of a paginated listing."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripted import Answer, ScriptedServer

from lakefs_client import ApiClient, ApiException, ApiTypeError, ApiValueError, paginate
from lakefs_client.apis import BranchesApi, HealthCheckApi, ObjectsApi, RepositoriesApi
from lakefs_client.exceptions import NotFoundException, ServiceException


def page(*names: str, more: bool = False, offset: str | None = None) -> Answer:
    return Answer(
        json={
            "pagination": {
                "has_more": more,
                "next_offset": names[-1] if offset is None and names else offset or "",
                "results": len(names),
                "max_per_page": 1000,
            },
            "results": [{"id": name, "commit_id": "c"} for name in names],
        }
    )


def branches(api: ApiClient, **options: Any) -> list[str]:
    return [branch.id for branch in paginate(BranchesApi(api).list_branches, "repo", **options)]


def test_items_of_all_pages_are_yielded_in_order(api: ApiClient, server: ScriptedServer) -> None:
    server.script(page("a", "b", more=True), page("c", more=True), page("d"))
    assert branches(api, amount=2, prefix="x") == ["a", "b", "c", "d"]
    assert [request.query for request in server.requests] == [
        "amount=2&prefix=x", "amount=2&prefix=x&after=b", "amount=2&prefix=x&after=c"
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [page(), page(offset="unused"), page("a", offset="unused")])
def test_last_page_ends_the_listing(api: ApiClient, server: ScriptedServer, answer: Answer) -> None:
    server.script(answer)
    assert branches(api) == [item["id"] for item in answer.json["results"]]


def test_empty_page_does_not_end_the_listing(api: ApiClient, server: ScriptedServer) -> None:
    server.script(page(more=True, offset="m"), page("n"))
    assert branches(api) == ["n"]
    assert server.requests[1].query == "amount=1000&after=m"


def test_listing_starts_at_after(api: ApiClient, server: ScriptedServer) -> None:
    server.script(page("c", more=True), page("d"))
    assert branches(api, after="b") == ["c", "d"]
    queries = [request.query for request in server.requests]
    assert queries == ["after=b&amount=1000", "after=c&amount=1000"]


def test_pages_are_fetched_lazily(api: ApiClient, server: ScriptedServer) -> None:
    server.script(page("a", "b", more=True), page("c"))
    items = paginate(BranchesApi(api).list_branches, "repo")
    assert server.connections == 0
    assert [next(items).id, next(items).id] == ["a", "b"]
    assert len(server.requests) == 1
    assert next(items).id == "c"
    with pytest.raises(StopIteration):
        next(items)


@pytest.mark.parametrize(
    ("answers", "given"),
    [
        ([page("a", more=True), page("b", more=True, offset="a")], {}),
        ([page("a", more=True, offset="x"), page("b", more=True, offset="x")], {}),
        ([page("a", more=True, offset="")], {}),
        ([page("a", more=True, offset="here")], {"after": "here"}),
    ],
)
def test_repeated_offset_is_an_error(
    api: ApiClient, server: ScriptedServer, answers: list[Answer], given: dict[str, str]
) -> None:
    server.script(*answers)
    seen = []
    items = paginate(BranchesApi(api).list_branches, "repo", **given)
    with pytest.raises(ApiException, match="list_branches") as caught:
        seen.extend(branch.id for branch in items)
    assert caught.value.status == 200


def test_page_errors_are_raised_unchanged(api: ApiClient, server: ScriptedServer) -> None:
    api.configuration.retries = False
    server.script(Answer(404), page("a", more=True), Answer(503))
    with pytest.raises(NotFoundException):
        branches(api)
    items = paginate(BranchesApi(api).list_branches, "repo")
    assert next(items).id == "a"
    with pytest.raises(ServiceException):
        next(items)


@pytest.mark.parametrize("option", ["async_req", "_preload_content", "_return_http_data_only"])
def test_result_options_are_rejected_immediately(api: ApiClient, option: str) -> None:
    with pytest.raises(ApiTypeError, match=f"paginate does not take {option}"):
        paginate(BranchesApi(api).list_branches, "repo", **{option: True})


def test_method_without_pages_is_rejected(api: ApiClient, server: ScriptedServer) -> None:
    server.script(Answer(204))
    method: Any = HealthCheckApi(api).health_check
    with pytest.raises(ApiTypeError, match="health_check have no pages"):
        list(paginate(method))


def test_invalid_arguments_raise_before_sending(api: ApiClient, server: ScriptedServer) -> None:
    with pytest.raises(ApiValueError, match="amount"):
        list(paginate(RepositoriesApi(api).list_repositories, amount=5000))
    with pytest.raises(ApiTypeError, match="required"):
        list(paginate(ObjectsApi(api).list_objects))  # type: ignore[call-arg]
    assert server.connections == 0
