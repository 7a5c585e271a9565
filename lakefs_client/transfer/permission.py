"""Whether a branch may be written to, asked before it is too late and at no cost in time."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakefs_client.api.repositories_api import RepositoriesApi

if TYPE_CHECKING:
    from lakefs_client.api_client import ApiClient

logger = logging.getLogger("lakefs_client.transfer")


class Permissions:
    """Asks once a branch, in a thread of its own, where the caller may ask.

    lakeFS itself looks at it when the last part has arrived, and says 403 then.
    """

    def __init__(self, client: ApiClient) -> None:
        self._repositories = RepositoriesApi(client)
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Future[str | None]] = {}

    def ask(self, repository: str, branch: str) -> Future[str | None]:
        """The reason why the branch cannot be written to; None where there is none known."""
        place = (repository, branch)
        with self._lock:
            future = self._known.get(place)
            if future is not None and not (future.done() and future.result()):
                return future
            # What was refused may be permitted by now.
            future = self._known[place] = Future()
        threading.Thread(target=self._answer, args=(place, future), daemon=True).start()
        return future

    def _answer(self, place: tuple[str, str], future: Future[str | None]) -> None:
        reason = None
        try:
            reason = self._reason(*place)
        except Exception as error:
            # Whatever it is: the server itself has the last word.
            logger.debug("%s: it is not known whether it is protected (%r)", place, error)
        future.set_result(reason)

    def _reason(self, repository: str, branch: str) -> str | None:
        if self._repositories.get_repository(repository).get("read_only"):
            return f"the repository {repository} is read-only"
        for rule in self._repositories.get_branch_protection_rules(repository):
            if rule.pattern == branch:
                return f"the branch {branch} is protected"
            if fnmatchcase(branch, rule.pattern):
                # lakeFS has its own way with patterns: only it can tell.
                logger.warning(
                    "lakefs://%s/%s: the branch seems to be protected by the rule %r; the upload "
                    "may be refused in the end", repository, branch, rule.pattern,
                )  # fmt: skip
        return None
