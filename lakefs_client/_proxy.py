"""The choice of a proxy: the configuration's, or the environment's as other tools read it."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.request import getproxies_environment

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from lakefs_client.configuration import Configuration


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL, its scheme's by default."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def proxy_for(parts: SplitResult, configuration: Configuration) -> str | None:
    """Return the address of the proxy for a URL; None to connect directly."""
    environment = getproxies_environment()
    exempt = configuration.no_proxy
    if exempt is None:
        exempt = environment.get("no", "")
    if is_exempt(parts.hostname or "", port_of(parts), exempt):
        return None
    if configuration.proxy:
        return configuration.proxy
    return environment.get(parts.scheme) or environment.get("all") or None


def without_credentials(proxy: str | None) -> str:
    """Return a proxy's address for messages: scheme, host and port."""
    scheme, separator, rest = (proxy or "").rpartition("://")
    return f"{scheme}{separator}{rest.partition('/')[0].rpartition('@')[2]}"


def is_exempt(host: str, port: int, exempt: str) -> bool:
    """Return True if a host matches an entry of NO_PROXY, separated by commas or spaces.

    An entry is ``*``; a host or a domain with all below it (``corp``, ``.corp``, ``*.corp``); an
    address or a network (``10.0.0.0/8``); each but a network may have a port. IPv6 addresses may
    stand in brackets. A host's address is not looked up.
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    return any(
        _matches(host, address, port, entry) for entry in exempt.replace(",", " ").lower().split()
    )


def _matches(
    host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int, entry: str
) -> bool:
    if entry == "*":
        return True
    if address is not None and "/" in entry:
        network = _network(entry)
        return network is not None and address in network
    if entry.count(":") == 1 or "]:" in entry:
        entry, _, wanted = entry.rpartition(":")
        if wanted != str(port):
            return False
    if address is not None:
        return _address(entry) == address
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


@lru_cache(maxsize=64)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None
