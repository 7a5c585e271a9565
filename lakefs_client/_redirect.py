"""Redirects: their target, and the check that credentials may go there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from lakefs_client._proxy import port_of

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def redirected(url: str, location: str) -> str | None:
    """Return the URL that a Location means, without user information; None if it is not HTTP's."""
    try:
        # Headers arrive decoded as Latin-1, and servers forget to escape.
        escaped = quote(location.encode("latin-1"), safe="!#$%&'()*+,/:;=?@[]~")
        parts = urlsplit(urljoin(url, escaped))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return None
    except ValueError:
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def keeps_credentials(here: SplitResult, there: SplitResult) -> bool:
    """Return True for the same origin, and for the upgrade of a host from port 80 to 443."""
    if here.hostname != there.hostname:
        return False
    ports = (port_of(here), port_of(there))
    if here.scheme == there.scheme:
        return ports[0] == ports[1]
    return (here.scheme, there.scheme) == ("http", "https") and ports == (80, 443)
