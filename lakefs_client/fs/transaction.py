"""Transactions of the file system: a temporary branch that is merged at the end."""

from __future__ import annotations

import logging
import os
import random
import string
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.api.refs_api import RefsApi
from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.api.tags_api import TagsApi
from lakefs_client.exceptions import ApiException, annotate
from lakefs_client.fs._fsspec import Transaction
from lakefs_client.models import (
    BranchCreation,
    CommitCreation,
    Merge,
    RevertCreation,
    TagCreation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefs_client.fs.location import Location
    from lakefs_client.fs.tree import Tree
    from lakefs_client.model.commit import Commit
    from lakefs_client.model.ref import Ref

    Delete = Literal["onsuccess", "always", "never"]


logger = logging.getLogger("lakefs_client")

DIGITS = 12
"""Digits of a branch's name. With lakefs-spec's six, names collide if many branches are kept."""


class Branch(str):
    """A branch's name, which is its `id` too, as of lakefs-spec's branches."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The name."""
        return str(self)


class LakeFSTransaction(Transaction):
    """A temporary branch for the block, as lakefs-spec's transactions make it.

        with fs.transaction("repository", "main") as tx:
            fs.pipe(f"repository/{tx.branch}/a.txt", b"a")
            tx.commit("Add a.txt")

    Only paths on `branch` take part. If the block raises, nothing is merged. Leaving the block
    aborts files of the branch that are still open, and warns if changes are not committed. The
    branch is then deleted, with the uncommitted changes, or kept, as `delete` says. Transactions
    may be nested, and threads may have one each. Their methods raise `ApiException`, whose text
    says whether the branch is kept, if the block ends with it.

    Attributes:
        repository: Name of the repository.
        base_branch: The branch that `branch` begins with, and is merged into.
        branch: The temporary branch.
        files: The files on the branch that the block opened for writing.
    """

    def __init__(self, fs: Tree) -> None:
        super().__init__(fs)
        self.fs: Any = fs
        self.files: deque[Any] = deque()
        self.repository = ""
        self.base_branch = Branch()
        self.branch = Branch()
        self._automerge = True
        self._delete: Delete = "onsuccess"
        self._merge_options: dict[str, Any] = {}
        self._process = 0

    def __call__(
        self,
        repository: Any,
        base_branch: Any = "main",
        branch_name: str | None = None,
        automerge: bool = True,
        delete: Delete = "onsuccess",
        merge_kwargs: Mapping[str, Any] | None = None,
    ) -> LakeFSTransaction:
        """Choose repository and branches of the transaction.

        Args:
            repository: Name of the repository.
            base_branch: The branch to begin with, and to merge into.
            branch_name: Name of the temporary branch; by default ``transaction-`` and digits.
            automerge: Merge the temporary branch if the block succeeds. If False, the block
                merges, or `delete` is ``"never"``: commits are lost with their branch.
            delete: Delete the temporary branch ``"onsuccess"`` of block and merge, ``"always"`` or
                ``"never"``.
            merge_kwargs: Properties of the merge: ``message``, ``metadata``, ``strategy`` …

        Raises:
            ValueError: There is no such repository, or `delete` is something else.
            ApiTypeError, ApiValueError: A merge has no such property.
        """
        if delete not in ("onsuccess", "always", "never"):
            raise ValueError(f"delete must be 'onsuccess', 'always' or 'never', not {delete!r}")
        self._merge_options = dict(merge_kwargs or {})
        Merge(**self._merge_options)  # an error now, not after the work of the block
        self.repository = _id(repository)
        try:
            RepositoriesApi(self.fs.client).get_repository(self.repository)
        except ApiException as error:
            if error.status not in (400, 404):  # 400: no repository can have this name
                raise
            raise ValueError(f"repository {self.repository!r} does not exist") from None
        self.base_branch = Branch(_id(base_branch))
        self._automerge, self._delete = automerge, delete
        digits = "".join(random.choices(string.digits, k=DIGITS))
        self.branch = Branch(branch_name or f"transaction-{digits}")
        return self

    def __enter__(self) -> LakeFSTransaction:
        if not self.repository:
            raise ValueError("name the repository: with fs.transaction('repository', 'main') as tx")
        self._branches.create_branch(
            self.repository, BranchCreation(name=self.branch, source=self.base_branch)
        )
        self._process = os.getpid()
        self.fs.transactions.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        if os.getpid() != self._process:
            return  # a forked child leaves the block as well; the transaction is its parent's
        self.fs.transactions.remove(self)
        self._discard_open_files(warn=error is None)
        failure: BaseException | None = error
        uncommitted = False
        try:
            uncommitted = self._uncommitted()
            if error is None and self._automerge:
                self.merge(self.branch, self.base_branch, **self._merge_options)
        except ApiException as caught:
            failure = failure or caught  # the block's exception is the one to raise
        delete = self._delete == "always" or (failure is None and self._delete == "onsuccess")
        deleted = delete and self._delete_branch()
        self.fs.invalidate_cache()
        if failure is not None:
            annotate(
                failure, f"The branch {self.branch} {'was deleted' if deleted else 'is kept'}."
            )
        if uncommitted:
            text = f"the transaction's branch {self.branch!r} has uncommitted changes"
            lost = ", which are lost. Call tx.commit." if deleted else ""
            warnings.warn(text + lost, stacklevel=2)
        if failure is not None and failure is not error:
            raise failure

    def collect(self, place: Location, file: Any) -> None:
        """Remember a file that is open for writing, if it is on the branch."""
        if place[:2] == (self.repository, self.branch):
            self.files.append(file)

    def _discard_open_files(self, *, warn: bool) -> None:
        while self.files:
            file = self.files.popleft()
            if file.closed:
                continue
            file.discard()
            if warn:
                text = f"the transaction left {file.path!r} open: no object is made"
                warnings.warn(text, stacklevel=3)

    def _delete_branch(self) -> bool:
        """Delete the branch. Log a failure, and return False."""
        try:
            self._branches.delete_branch(self.repository, self.branch)
        except ApiException as error:
            logger.warning(
                "deleting the branch %s/%s of a transaction failed: %s",
                self.repository, self.branch, error.message,
            )  # fmt: skip
            return False
        return True

    @property
    def _branches(self) -> BranchesApi:
        return BranchesApi(self.fs.client)

    def _uncommitted(self) -> bool:
        return bool(self._branches.diff_branch(self.repository, self.branch, amount=1).results)

    def commit(self, message: str, metadata: dict[str, str] | None = None) -> Commit:
        """Commit the branch, and return the commit; the branch's last one if nothing changed."""
        if not self._uncommitted():
            return self.rev_parse(self.branch)
        creation = CommitCreation(message=message, metadata=metadata or {})
        commit: Commit = CommitsApi(self.fs.client).commit(self.repository, self.branch, creation)
        self.fs.invalidate_cache()  # refs such as `main@` show other objects now
        return commit

    def merge(self, source_ref: Any, into: Any, **options: Any) -> Commit:
        """Merge, and return the target's last commit. If nothing differs, merge nothing."""
        source, target = _id(source_ref), _id(into)
        refs = RefsApi(self.fs.client)
        if refs.diff_refs(self.repository, target, source, amount=1).results:
            refs.merge_into_branch(self.repository, source, target, merge=Merge(**options))
            self.fs.invalidate_cache()
        return self.rev_parse(target)

    def revert(self, branch: Any, ref: Any, parent_number: int = 1) -> Commit:
        """Revert a commit on a branch, and return the new commit."""
        creation = RevertCreation(ref=_id(ref), parent_number=parent_number)
        self._branches.revert_branch(self.repository, _id(branch), creation)
        self.fs.invalidate_cache()
        return self.rev_parse(branch)

    def rev_parse(self, ref: Any) -> Commit:
        """Return the commit that a ref resolves to."""
        commits = RefsApi(self.fs.client).log_commits(
            self.repository, _id(ref), amount=1, limit=True
        )
        return commits.results[0]

    def tag(self, ref: Any, name: str) -> Ref:
        """Tag a commit."""
        return TagsApi(self.fs.client).create_tag(
            self.repository, TagCreation(id=name, ref=_id(ref))
        )


def _id(named: Any) -> str:
    """Return the name of a branch, ref, commit or repository, or the name itself."""
    return named if isinstance(named, str) else str(named.id)
