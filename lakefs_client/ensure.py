"""Creation of repositories, branches and tags that may exist already.

Each function takes the body of the matching ``create_…`` method. It returns what exists,
creates it if it is missing, and raises the server's 409 if what exists is something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.api.tags_api import TagsApi
from lakefs_client.exceptions import (
    ApiConnectionError,
    ApiException,
    ConflictException,
    NotFoundException,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.branch_creation import BranchCreation
    from lakefs_client.model.ref import Ref
    from lakefs_client.model.repository import Repository
    from lakefs_client.model.repository_creation import RepositoryCreation
    from lakefs_client.model.tag_creation import TagCreation

T = TypeVar("T")


def ensure_repository(
    api_client: ApiClient, repository_creation: RepositoryCreation | dict[str, Any]
) -> Repository:
    """Return the repository, after creating it if it is missing.

    Args:
        api_client: The client to call through.
        repository_creation: The body of `RepositoriesApi.create_repository`.

    Raises:
        ConflictException: The repository exists with another storage namespace, or the storage
            namespace belongs to another repository.
        ApiException: A request failed.
    """
    api = RepositoriesApi(api_client)
    name = repository_creation["name"]
    namespace: str = repository_creation["storage_namespace"]

    def matches(repository: Repository) -> bool:
        return repository.storage_namespace.rstrip("/") == namespace.rstrip("/")

    return _ensure(
        lambda: api.get_repository(name),
        lambda: api.create_repository(repository_creation),
        matches,
    )


def ensure_branch(
    api_client: ApiClient, repository: str, branch_creation: BranchCreation | dict[str, Any]
) -> Ref:
    """Return the branch, after creating it if it is missing.

    An existing branch is returned whatever it was created from, since branches move on.

    Args:
        api_client: The client to call through.
        repository: Id of the repository.
        branch_creation: The body of `BranchesApi.create_branch`.

    Raises:
        ConflictException: A tag has that name.
        NotFoundException: The repository or the source does not exist.
        ApiException: A request failed.
    """
    api = BranchesApi(api_client)

    def get() -> Ref:
        return api.get_branch(repository, branch_creation["name"])

    def create() -> Ref:
        api.create_branch(repository, branch_creation)
        return get()

    return _ensure(get, create, lambda _: True)


def ensure_tag(
    api_client: ApiClient, repository: str, tag_creation: TagCreation | dict[str, Any]
) -> Ref:
    """Return the tag, after creating it if it is missing.

    Args:
        api_client: The client to call through.
        repository: Id of the repository.
        tag_creation: The body of `TagsApi.create_tag`.

    Raises:
        ConflictException: The tag exists at another commit, or a branch has that name.
        NotFoundException: The repository or the tag's `ref` does not exist.
        ApiException: A request failed.
    """
    api = TagsApi(api_client)

    def matches(tag: Ref) -> bool:
        return (
            CommitsApi(api_client).get_commit(repository, tag_creation["ref"]).id == tag.commit_id
        )

    return _ensure(
        lambda: api.get_tag(repository, tag_creation["id"]),
        lambda: api.create_tag(repository, tag_creation),
        matches,
    )


def _ensure(get: Callable[[], T], create: Callable[[], T], matches: Callable[[T], bool]) -> T:
    """Return what exists and matches, else what the creation returns or raises."""
    try:
        found = get()
        if matches(found):
            return found
    except NotFoundException:
        pass  # also when the repository is missing, which the creation then reports
    try:
        return create()
    except (ConflictException, ApiConnectionError) as error:
        # Another client was first, or the response to the creation was lost.
        failure = error
    try:
        found = get()
        if matches(found):
            return found
    except ApiException:
        pass  # the first failure says more
    raise failure
