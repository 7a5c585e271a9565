"""The check that a branch accepts writes, beside the first part of an upload.

lakeFS itself checks this after the last part, and then answers 403.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakefs_client.api.repositories_api import RepositoriesApi
from lakefs_client.transfer.pool import WorkerPool

if TYPE_CHECKING:
    from lakefs_client.model.branch_protection_rule import BranchProtectionRule
    from lakefs_client.transfer.context import TransferContext

logger = logging.getLogger("lakefs_client.transfer")


def refusal(context: TransferContext, repository: str, branch: str) -> Future[str | None]:
    """Return the reason why a branch rejects writes, or None if none is known.

    The server is asked once per branch, in threads of their own.
    """
    cache, key = context.preflight, (repository, branch)
    with cache.lock:
        known = cache.answers.get(key)
        # A refusal is not final: the branch may accept writes by now.
        if known is not None and not (known.done() and known.result()):
            return known
        repositories = RepositoriesApi(context.client)
        pool = WorkerPool(2, "lakefs-client-preflight")
        rules = pool.submit(repositories.get_branch_protection_rules, repository)
        answer = cache.answers[key] = pool.submit(_reason, repositories, repository, branch, rules)
        pool.finish()
        return answer


def _reason(
    repositories: RepositoriesApi,
    repository: str,
    branch: str,
    rules: Future[list[BranchProtectionRule]],
) -> str | None:
    try:
        if repositories.get_repository(repository).get("read_only"):
            return f"the repository {repository} is read-only"
        for rule in rules.result():
            if rule.pattern == branch:
                return f"the branch {branch} is protected"
            if fnmatchcase(branch, rule.pattern):
                # lakeFS matches patterns in its own way, so only the server can decide.
                logger.warning(
                    "lakefs://%s/%s: the rule %r may protect the branch; lakeFS may refuse the "
                    "upload at its end", repository, branch, rule.pattern,
                )  # fmt: skip
    except Exception as error:
        # Any failure: the server itself decides at the end of the upload.
        logger.debug(
            "lakefs://%s/%s: the protection rules are not known (%r)", repository, branch, error
        )
    return None
