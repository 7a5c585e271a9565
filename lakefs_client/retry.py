"""Retries: the policy, an immutable value, and the rule what may be retried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lakefs_client.exceptions import ApiConnectionError, ApiException, ApiTypeError, ApiValueError

if TYPE_CHECKING:
    import urllib3

Safety = Literal["never", "unsent", "idempotent", "part"]
"""Safety of a retry, as for `may_repeat`."""


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of retries.

    A policy limits how often and when the client retries. It never makes an unsafe request
    retryable. The wait before attempt ``n + 1`` is random between zero and ``min(max_wait,
    min_wait * 2 ** (n - 1))`` seconds ("full jitter"), and at least the ``Retry-After`` of the
    server.

    Attributes:
        attempts: Maximum number of attempts, including the first. 1 turns retries off.
        min_wait: Upper limit of the first wait, in seconds.
        max_wait: Upper limit of all waits, in seconds, except for ``Retry-After``.
        max_retry_after: Longest ``Retry-After`` that the client honors, in seconds. If the server
            asks for more, the error is raised at once.
        deadline: No attempt starts later than this many seconds after the first. None for no
            limit.

    Raises:
        ApiTypeError: A value is not a number.
        ApiValueError: A value is negative or not finite, or ``attempts`` is below 1.
    """

    attempts: int = 5
    min_wait: float = 0.2
    max_wait: float = 20.0
    max_retry_after: float = 60.0
    deadline: float | None = None

    def __post_init__(self) -> None:
        if type(self.attempts) is not int:
            raise ApiTypeError("RetryPolicy.attempts must be an int")
        if self.attempts < 1:
            raise ApiValueError("RetryPolicy.attempts must be at least 1")
        for name in ("min_wait", "max_wait", "max_retry_after", "deadline"):
            value = getattr(self, name)
            if value is None and name == "deadline":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ApiTypeError(f"RetryPolicy.{name} must be a number of seconds")
            if not 0 <= value < float("inf"):
                raise ApiValueError(f"RetryPolicy.{name} must be finite and not negative")

    def wait(self, failures: int, retry_after: float | None, random: float) -> float | None:
        """Return the seconds to wait, or None if the server asks for too long a wait.

        Args:
            failures: Number of failed attempts.
            retry_after: Seconds that the server asks for, if it does.
            random: Random number from [0, 1).
        """
        if retry_after is not None and retry_after > self.max_retry_after:
            return None
        # 2.0 ** 1024 overflows; no wait is worth more than 64 doublings.
        limit = min(self.max_wait, self.min_wait * 2.0 ** min(failures - 1, 64))
        return max(limit * random, retry_after or 0.0)


_DEFAULT = RetryPolicy()

# What urllib3's Retry counts or chooses apart. The two that urllib3 may lower without the user's
# wish, redirect and raise_on_redirect, concern redirects alone.
_WITHOUT_COUNTERPART = ("connect", "read", "status", "other", "status_forcelist", "allowed_methods")


def retry_policy(value: RetryPolicy | urllib3.Retry | int | None) -> RetryPolicy:
    """Translate what ``Configuration.retries`` accepts.

    None means the default policy, an int the number of repetitions, False none, and urllib3's
    Retry its ``total``, ``backoff_factor`` and ``backoff_max``.

    Raises:
        ApiTypeError: The value is none of these.
        ApiValueError: The number is negative, or a Retry asks for something that has no
            counterpart: a status list, separate counts for kinds of errors, other methods.
    """
    if value is None:
        return _DEFAULT
    if isinstance(value, RetryPolicy):
        return value
    if value is True:
        raise ApiTypeError("Configuration.retries must be an int, False or a RetryPolicy, not True")
    if isinstance(value, int):
        if value < 0:
            raise ApiValueError("Configuration.retries must not be negative")
        return RetryPolicy(attempts=1 + value)

    from urllib3 import Retry

    if not isinstance(value, Retry):
        raise ApiTypeError(
            "Configuration.retries must be a RetryPolicy, a number of repetitions, False, or "
            f"urllib3's Retry, not {type(value).__name__}"
        )
    unasked = Retry()
    asked = [n for n in _WITHOUT_COUNTERPART if getattr(value, n) != getattr(unasked, n)]
    if asked:
        raise ApiValueError(
            f"Configuration.retries: Retry({', '.join(asked)}) has no counterpart in RetryPolicy, "
            "which retries what is safe to retry. Give a RetryPolicy."
        )
    if value.total is None:
        raise ApiValueError("Configuration.retries: Retry(total=None) has no limit")
    min_wait = value.backoff_factor or RetryPolicy.min_wait
    return RetryPolicy(1 + int(value.total), min_wait, value.backoff_max)


def may_repeat(error: ApiException, safety: Safety) -> bool:
    """Return True if the request may be retried. No other function decides this.

    A request that never reached the server may always be retried. Otherwise it depends on
    `safety`:

    - ``never``: no retry.
    - ``unsent``: after 420 and 429, because the server did not start.
    - ``idempotent``: also after 502, 503, 504, timeouts and resets, because a second request has
      the same effect and the same response.
    - ``part``: also after 408, 500 and S3's 400 RequestTimeout, as stores ask of their clients.
    """
    if isinstance(error, ApiConnectionError):
        from urllib3.exceptions import (
            ConnectTimeoutError,
            NewConnectionError,
            ProxyError,
            SSLError,
        )

        cause: Any = error.__cause__
        unreachable = (NewConnectionError, ConnectTimeoutError)
        if isinstance(cause, ProxyError) and isinstance(cause.original_error, unreachable):
            cause = cause.original_error  # as for an unreachable server
        if isinstance(cause, (SSLError, ProxyError)) and not error.sent:
            return False  # a retry does not fix a certificate or a proxy's refusal
        return not error.sent or safety in ("idempotent", "part")
    if safety == "never":
        return False
    if error.status in (420, 429):
        return True
    if error.status in (502, 503, 504):
        return safety in ("idempotent", "part")
    if safety == "part":
        stalled = error.status == 400 and "<Code>RequestTimeout</Code>" in (error.body or "")
        return error.status in (408, 500) or stalled
    return False


def is_inconclusive(error: ApiException) -> bool:
    """Return True if the server may have carried out the request, or may still do so."""
    if isinstance(error, ApiConnectionError):
        return error.sent
    return error.status in (502, 503, 504)
