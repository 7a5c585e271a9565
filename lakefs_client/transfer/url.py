"""Presigned URLs: how long they are good for, and when to have fresh ones made."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from lakefs_client.exceptions import ApiException

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 15.0
"""Seconds before its end at which a URL is renewed: a request takes a while to arrive."""


def lacks_presigning(error: ApiException) -> bool:
    """Whether lakeFS refuses a request because its store has no presigned URLs.

    That is what 501 means. Servers of 1.84 say it with 400 where they look at an object, and with
    500 for a new address, where other things go wrong as well: there the words tell.
    """
    words = "operation not supported"
    return error.status == 501 or (error.status in (400, 500) and words in (error.body or ""))


class RenewalUnsupportedError(ApiException):
    """A presigned URL is over, and the server cannot make another for a part."""


class SignedUrl(NamedTuple):
    """A presigned URL as it came, with the ``Date`` header of the answer that brought it."""

    url: str
    date: str | None


class ExpiringUrl:
    """A presigned URL that is renewed before it expires. Threads may share it.

    Without a first one, which was received at that time of the clock, one is made when needed.
    """

    def __init__(
        self,
        renew: Callable[[], SignedUrl],
        clock: Callable[[], float],
        first: SignedUrl | None = None,
        received: float = 0.0,
    ) -> None:
        self._make = renew
        self._clock = clock
        self._lock = threading.Lock()
        self._url: str | None = None
        self._end: float | None = None
        self._doubts = 0
        if first is not None:
            self._take(first, received)

    def get(self) -> str:
        """A URL that is good for now."""
        with self._lock:
            if self._url is None or (self._end is not None and self._clock() >= self._end):
                self._renew()
            elif self._doubts > (0 if self._end is None else 1):
                try:
                    self._renew()
                except RenewalUnsupportedError:
                    self._doubts = 0  # it may be good all the same
            assert self._url is not None
            return self._url

    def doubt(self) -> None:
        """The store broke off a request, which may be how the end of the URL's life, or of the
        credentials behind it, shows while a body is on its way: where the life is not known,
        and after a second time in a row, `get` has a fresh one made."""
        self._doubts += 1

    def life(self) -> float | None:
        """Seconds for which the URL is good yet; None where that is not known."""
        return None if self._end is None else self._end - self._clock()

    def renew(self, refused: str | None = None) -> None:
        """Have a fresh one made: the store says that this one has expired. Where it is told which
        one, and another thread had that one renewed meanwhile, nothing is left to do."""
        with self._lock:
            # Not by its text: another that was made in the same second has the same.
            if refused is None or refused is self._url:
                self._renew()

    def _renew(self) -> None:
        self._take(self._make(), self._clock())

    def _take(self, signed: SignedUrl, received: float) -> None:
        life = lifetime(signed)
        self._url = signed.url
        self._doubts = 0
        self._end = None if life is None else received + max(0.0, life - MARGIN)


def lifetime(signed: SignedUrl) -> float | None:
    """Seconds that a presigned URL was good for when the answer that brought it was written; None
    where it cannot be told.

    No field of lakeFS's answer says so: it is read from the URL's own parameters, as AWS and
    Google (``X-Amz-Date`` and ``X-Amz-Expires``, likewise ``X-Goog-``; or ``Expires``) and
    Azure (``se``) define them. Both moments are of servers' clocks; this machine's is not asked.
    """
    try:
        return _end(_parameters(signed.url)) - _of_header(signed.date or "")
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


def _end(values: dict[str, str]) -> float:
    for store in ("x-amz-", "x-goog-"):
        if store + "expires" in values:
            return _of_signature(values[store + "date"]) + int(values[store + "expires"])
    if "expires" in values:
        return float(int(values["expires"]))
    # Azure's fractions have seven digits, which Python 3.10 does not read.
    end = re.sub(r"\.\d+", "", unquote(values["se"]))
    moment = datetime.fromisoformat(end.replace("Z", "+00:00"))
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


# The parts of an upload have these moments in common, and so have small files of one second.
@lru_cache(maxsize=64)
def _of_signature(date: str) -> float:
    return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


@lru_cache(maxsize=64)
def _of_header(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


def is_azure(url: str) -> bool:
    """Whether it is a shared access signature, whose store wants to know the type of blob."""
    return "sig=" in url and {"sv", "se", "sig"} <= _parameters(url).keys()


def _parameters(url: str) -> dict[str, str]:
    """What is in a URL's query, by names in lower case; escapes are left as they are."""
    # urlsplit refuses some hosts; whether the URL is of use is not for here to say.
    pairs = url.partition("?")[2].partition("#")[0].split("&")
    return {name.lower(): value for name, _, value in (pair.partition("=") for pair in pairs)}
