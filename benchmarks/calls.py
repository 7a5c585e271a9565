"""CPU seconds of calls to a server in another process."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from time import process_time
from typing import Any

USER, PASSWORD = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_BATCHES = 20


def _cpu(call: Callable[[], Any], count: int) -> float:
    """Return the seconds per call in the fastest batch, as other processes only add time."""
    best = float("inf")
    for _ in range(_BATCHES + 1):
        start = process_time()
        for _ in range(count // _BATCHES):
            call()
        best = min(best, process_time() - start)
    return best / (count // _BATCHES)


def _floor(url: str) -> Callable[[], Any]:
    """Return a function that sends a GET with urllib3 and decodes the answer with json."""
    import urllib3

    headers = {
        **urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}", user_agent="floor"),
        "Accept": "application/json",
    }
    pool = urllib3.PoolManager()
    return lambda: json.loads(pool.request("GET", url, headers=headers).data)


def _api(package: str, group: str, url: str) -> Any:
    """Return a group of operations of lakefs_client or lakefs_sdk."""
    module = import_module(package)
    client = module.ApiClient(
        module.Configuration(host=f"{url}/api/v1", username=USER, password=PASSWORD)
    )
    return getattr(import_module(f"{package}.api.{group}_api"), f"{group.title()}Api")(client)


def _small(package: str, url: str, count: str) -> float:
    api = _api(package, "repositories", url)
    return _cpu(lambda: api.get_repository("example-repo").id, int(count))


def small_floor(url: str, count: str) -> float:
    """Send a small GET with urllib3 and json alone."""
    get = _floor(f"{url}/api/v1/repositories/example-repo")
    return _cpu(lambda: get()["id"], int(count))


def small_client(url: str, count: str) -> float:
    """Send a small GET whose result is a model."""
    return _small("lakefs_client", url, count)


def small_sdk(url: str, count: str) -> float:
    """Send the small GET with lakefs_sdk."""
    return _small("lakefs_sdk", url, count)


def _page(package: str, url: str, count: str) -> float:
    api = _api(package, "objects", url)
    return _cpu(
        lambda: [
            stats.path for stats in api.list_objects("example-repo", "main", amount=1000).results
        ],
        int(count),
    )


def page_floor(url: str, count: str) -> float:
    """List 1,000 objects with urllib3 and json, and read one value of each."""
    get = _floor(f"{url}/api/v1/repositories/example-repo/refs/main/objects/ls?amount=1000")
    return _cpu(lambda: [stats["path"] for stats in get()["results"]], int(count))


def page_client(url: str, count: str) -> float:
    """List 1,000 objects, decoded and checked, and read one attribute of each."""
    return _page("lakefs_client", url, count)


def page_sdk(url: str, count: str) -> float:
    """List the 1,000 objects with lakefs_sdk."""
    return _page("lakefs_sdk", url, count)
