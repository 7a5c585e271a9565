"""Presigned URLs: their lifetime, and their renewal."""

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
"""Seconds before its expiry at which a URL is renewed, since a request takes time to arrive."""
MAX_RENEWALS = 2
"""Consecutive renewals of a URL before the store's refusal counts as its answer."""


class RenewalUnsupportedError(ApiException):
    """A presigned URL expired, and the server cannot make another one for a part."""


class SignedUrl(NamedTuple):
    """A presigned URL, with the ``Date`` header of the response that it came in."""

    url: str
    date: str | None


class ExpiringUrl:
    """A presigned URL that renews itself before it expires. Threads may share it.

    Args:
        renew: Requests a new URL.
        clock: Monotonic seconds.
        first: The URL to start with; without one, `get` requests it.
        received: The clock's time when `first` arrived.
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
        """Return a URL that is valid now."""
        with self._lock:
            if self._url is None or (self._end is not None and self._clock() >= self._end):
                self._renew()
            elif self._doubts > (0 if self._end is None else 1):
                try:
                    self._renew()
                except RenewalUnsupportedError:
                    self._doubts = 0  # the URL may be valid all the same
            assert self._url is not None
            return self._url

    def doubt(self) -> None:
        """Note that the store broke off a request.

        A store may do so while a body is on its way if the URL or its credentials expired. `get`
        renews the URL if its lifetime is not known, or after two such failures in a row.
        """
        self._doubts += 1

    def renew(self, refused: str | None = None) -> None:
        """Request a new URL after the store refused one as expired.

        Do nothing if `refused` is given and another thread has renewed that URL already.
        """
        with self._lock:
            # By identity: two URLs of the same second have the same text.
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
    """Return the seconds that a presigned URL was valid for when its response was written, or
    None if they are not known.

    No field of lakeFS's response names them. They come from the URL's own parameters, as AWS and
    Google (``X-Amz-Date`` and ``X-Amz-Expires``, likewise ``X-Goog-``; or ``Expires``) and
    Azure (``se``) define them. Both times are those of servers' clocks, not of this machine's.
    """
    try:
        return _expiry(_parameters(signed.url)) - _header_time(signed.date or "")
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


def _expiry(values: dict[str, str]) -> float:
    for prefix in ("x-amz-", "x-goog-"):
        if prefix + "expires" in values:
            return _signature_time(values[prefix + "date"]) + int(values[prefix + "expires"])
    if "expires" in values:
        return float(int(values["expires"]))
    # Azure's fractions have seven digits, which Python 3.10 does not parse.
    end = re.sub(r"\.\d+", "", unquote(values["se"]))
    moment = datetime.fromisoformat(end.replace("Z", "+00:00"))
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


# The parts of an upload share these dates, as do small files of the same second.
@lru_cache(maxsize=64)
def _signature_time(date: str) -> float:
    return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


@lru_cache(maxsize=64)
def _header_time(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


def is_azure(url: str) -> bool:
    """Return True for a shared access signature, whose store requires the type of blob."""
    return "sig=" in url and {"sv", "se", "sig"} <= _parameters(url).keys()


def _parameters(url: str) -> dict[str, str]:
    """Return a URL's query parameters by lower-case name, without decoding escapes."""
    # urlsplit refuses some hosts; the request itself will say whether the URL works.
    pairs = url.partition("?")[2].partition("#")[0].split("&")
    return {name.lower(): value for name, _, value in (pair.partition("=") for pair in pairs)}
