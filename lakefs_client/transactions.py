"""Transactions: changes that reach a branch all together, or not at all."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from lakefs_client._paginate import paginate
from lakefs_client.api.branches_api import BranchesApi
from lakefs_client.api.commits_api import CommitsApi
from lakefs_client.api.refs_api import RefsApi
from lakefs_client.api_client import ApiClient
from lakefs_client.exceptions import (
    ApiException,
    ApiTypeError,
    ApiValueError,
    MergeConflictError,
    NotFoundException,
    NothingToCommitError,
    annotate,
)
from lakefs_client.model.branch_creation import BranchCreation
from lakefs_client.model.commit_creation import CommitCreation
from lakefs_client.model.merge import Merge
from lakefs_client.rest import repeat
from lakefs_client.retry import RetryPolicy, is_inconclusive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

logger = logging.getLogger("lakefs_client")

IfEmpty = Literal["skip", "error"]
OnError = Literal["delete", "keep"]

_RETRY = RetryPolicy()
_CLEANUP_TIMEOUT = (
    10.0,
    30.0,
)  # seconds; somebody may be waiting for an interrupted program to end
_TERMINATED = 128 + signal.SIGTERM  # the exit code that shells give to a process ended by SIGTERM


class TransactionResult(NamedTuple):
    """The commits of a finished transaction; both None if nothing had changed.

    Attributes:
        commit_id: The last commit on the transaction's branch.
        merge_commit_id: The commit on the base branch that merged it; None if the commits on the
            transaction's branch undo each other.
    """

    commit_id: str | None
    merge_commit_id: str | None


def transaction(
    api_client: ApiClient,
    repository: str,
    base: str,
    *,
    message: str,
    metadata: Mapping[str, str] | None = None,
    if_empty: IfEmpty = "skip",
    on_error: OnError = "delete",
) -> Transaction:
    """Return a context manager for changes that reach a branch all together, or not at all.

    Entering creates a hidden branch from `base`; write to ``tx.branch``. Leaving commits the
    changes and merges them into `base`, even if `base` has changed. If the block raises, or the
    commit or the merge is refused, `base` stays as it was. Ctrl-C and `sys.exit` raise, and so does
    SIGTERM in the main thread of a program without a handler for it.

    ``with transaction(api_client, "repo", "main", message="nightly") as tx: …``

    Args:
        api_client: The client to call through.
        repository: Id of the repository.
        base: The branch to change.
        message: Message of the commit and of the merge commit.
        metadata: Metadata of both commits.
        if_empty: What to do if nothing changed: ``"skip"`` finishes without a commit, ``"error"``
            raises `NothingToCommitError`.
        on_error: What becomes of the transaction's branch if the transaction fails: ``"delete"``,
            or ``"keep"`` for a look at the changes.

    Raises:
        ApiTypeError: An argument has the wrong type.
        ApiValueError: An argument cannot be used.
    """
    return Transaction(
        api_client,
        repository,
        base,
        message=message,
        metadata=metadata,
        if_empty=if_empty,
        on_error=on_error,
    )


class Transaction:
    """A context manager made by `transaction`. Each is used once.

    The error of a failed transaction says what became of its branch: `ApiException` in its text,
    other exceptions in a note.

    Attributes:
        branch: Name of the transaction's branch, to write to.
        result: The commits, once the block was left without an error; None until then.
    """

    def __init__(
        self,
        api_client: ApiClient,
        repository: str,
        base: str,
        *,
        message: str,
        metadata: Mapping[str, str] | None,
        if_empty: IfEmpty,
        on_error: OnError,
    ) -> None:
        if not isinstance(api_client, ApiClient):
            found = type(api_client).__name__
            raise ApiTypeError(f"transaction: api_client must be an ApiClient, not {found}")
        for name, value, choices in (
            ("if_empty", if_empty, get_args(IfEmpty)),
            ("on_error", on_error, get_args(OnError)),
        ):
            if value not in choices:
                raise ApiValueError(f"transaction: {name} must be one of {choices}, not {value!r}")
        self.branch = f"tx-{uuid.uuid4().hex[:16]}"
        self.result: TransactionResult | None = None
        self._client = api_client
        self._repository = repository
        self._base = base
        self._commit = CommitCreation(message, metadata=dict(metadata or {}))
        self._merge = Merge(message=message, metadata=dict(metadata or {}))
        self._if_empty = if_empty
        self._on_error = on_error
        self._process = 0
        self._base_commit = ""
        self._head: str | None = None  # once it is committed
        self._creating = False
        self._merging = False
        self._terminating = False

    def __enter__(self) -> Self:
        if self._process:
            raise ApiValueError("transaction: a transaction cannot be entered twice")
        self._process = os.getpid()
        self._catch_termination()
        try:
            # A tag or a commit could be branched from, and not be merged into at the end.
            branches = BranchesApi(self._client)
            self._base_commit = branches.get_branch(self._repository, self._base).commit_id
            self._creating = True
            self._create_branch(branches)
        except BaseException as error:
            if self._creating and not _is_conclusive(error):
                self._delete_branch()
            self._release_termination()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if os.getpid() != self._process:
            return  # a forked child leaves the block as well; the transaction is its parent's
        try:
            if error is not None:
                self._roll_back(error)
                return
            try:
                self.result = self._finish()
            except BaseException as failure:
                self._roll_back(failure)
                raise
            if problem := self._delete_branch():
                logger.warning("%s is done, but deleting its branch failed: %s", self, problem)
        finally:
            self._release_termination()

    def __str__(self) -> str:
        return f"transaction {self.branch} on {self._repository}/{self._base}"

    def _create_branch(self, branches: BranchesApi) -> None:
        creation = BranchCreation(self.branch, self._base_commit, hidden=True)
        try:
            branches.create_branch(self._repository, creation)
        except ApiException as error:
            if is_inconclusive(error):
                try:
                    branches.get_branch(self._repository, self.branch)
                except NotFoundException:
                    raise error from None
            elif error.status == 400:
                # A server that does not know hidden branches.
                creation = BranchCreation(self.branch, self._base_commit)
                branches.create_branch(self._repository, creation)
            else:
                raise

    def _finish(self) -> TransactionResult:
        timing = self._client.rest_client.timing
        # Nobody else writes to the branch, so that a second commit does no harm.
        self._head = repeat(self._try_commit, is_inconclusive, _RETRY, timing)
        if self._head is None:
            return TransactionResult(None, None)
        self._merging = True
        merged = repeat(self._try_merge, _may_merge_again, _RETRY, timing)
        return TransactionResult(self._head, merged)

    def _try_commit(self) -> str | None:
        """Return the branch's last commit; None if it has none of its own and nothing changed."""
        try:
            commits = CommitsApi(self._client)
            return commits.commit(self._repository, self.branch, self._commit).id
        except NothingToCommitError:
            head = BranchesApi(self._client).get_branch(self._repository, self.branch).commit_id
            if head != self._base_commit:
                return head  # a commit within the block, or one whose response was lost
            if self._if_empty == "error":
                raise
            return None

    def _try_merge(self) -> str | None:
        try:
            refs = RefsApi(self._client)
            return refs.merge_into_branch(
                self._repository, self.branch, self._base, merge=self._merge
            ).reference
        except NothingToCommitError:
            return self._find_merge()
        except ApiException as error:
            merged = is_inconclusive(error) and self._find_merge()
            if merged:
                return merged
            raise

    def _find_merge(self) -> str | None:
        """Return the commit of the base branch that merged the transaction; None if unseen."""
        log = RefsApi(self._client).log_commits
        commits = paginate(log, self._repository, self._base, first_parent=True, amount=100)
        try:
            for commit in commits:
                if self._head in commit.parents[1:]:
                    return commit.id
                if commit.id == self._base_commit:
                    break
        except ApiException:
            pass  # what is known without the log is said
        return None

    def _roll_back(self, error: BaseException) -> None:
        """Delete or keep the branch after a failure, and say so in the error."""
        if self._merging and not _is_conclusive(error):
            text = self._settle_merge()
        else:
            text = f"{self} failed: {self._base} is unchanged. {self._give_up_branch(error)}"
        logger.warning("%s", text)
        annotate(error, text)

    def _give_up_branch(self, error: BaseException) -> str:
        """Delete or keep the branch of a failed transaction, and return what became of it."""
        if self._on_error == "keep":
            changes = f"committed as {self._head}" if self._head else "uncommitted"
            return f"The changes are kept on the branch {self.branch}, {changes}."
        if isinstance(error, MergeConflictError):
            try:
                _ = error.paths  # which nobody can look up without the branch
            except ApiException:
                pass
        if problem := self._delete_branch():
            reason = str(problem.reason).rstrip(".")
            return f"Deleting the branch {self.branch} failed ({reason}): delete it by hand."
        return f"The branch {self.branch} and its changes were deleted."

    def _settle_merge(self) -> str:
        """Look for the commit of an interrupted merge, and return what became of it."""
        if merged := self._find_merge():
            self.result = TransactionResult(self._head, merged)
            self._delete_branch()
            return f"{self} is done: {self._base} has it as commit {merged}."
        return (
            f"{self} failed while merging, and the merge may still take place. The branch "
            f"{self.branch} is kept, committed as {self._head}. If no commit of {self._base} has "
            "that parent, merge the branch again; a second merge does no harm."
        )

    def _delete_branch(self) -> ApiException | None:
        """Delete the transaction's branch, or return the error."""
        try:
            branches = BranchesApi(self._client)
            branches.delete_branch(self._repository, self.branch, _request_timeout=_CLEANUP_TIMEOUT)
        except NotFoundException:
            pass
        except ApiException as error:
            return error
        return None

    def _catch_termination(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminate)

    def _release_termination(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) == self._terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminate(self, *_: Any) -> None:
        if not self._terminating:  # a second signal must not cut the cleanup short
            self._terminating = True
            raise SystemExit(_TERMINATED)


def _is_conclusive(error: BaseException) -> bool:
    """Return True if the error says that nothing was done and nothing will be."""
    return isinstance(error, ApiException) and not is_inconclusive(error)


def _may_merge_again(error: ApiException) -> bool:
    """Return True if another client changed the base branch, or the outcome is unknown."""
    text = error.body or ""
    moved = "predicate failed" in text or "branch is currently locked" in text
    return moved or is_inconclusive(error)
