"""CPU seconds of calls to a server in another process."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import process_time
from typing import Any

USER, PASSWORD = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


_BATCHES = 20


def _cpu(call: Callable[[], Any], count: int) -> float:
    """Seconds a call, in the best of some batches: others' work on the machine only adds."""
    best = float("inf")
    for _ in range(_BATCHES + 1):
        start = process_time()
        for _ in range(count // _BATCHES):
            call()
        best = min(best, process_time() - start)
    return best / (count // _BATCHES)


def _floor(url: str) -> Any:
    import urllib3

    headers = {
        **urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}", user_agent="floor"),
        "Accept": "application/json",
    }
    pool = urllib3.PoolManager()
    return lambda: json.loads(pool.request("GET", url, headers=headers).data)


def _client(url: str) -> Any:
    import lakefs_client

    return lakefs_client.ApiClient(
        lakefs_client.Configuration(host=f"{url}/api/v1", username=USER, password=PASSWORD)
    )


def _sdk(url: str) -> Any:
    import lakefs_sdk

    return lakefs_sdk.ApiClient(
        lakefs_sdk.Configuration(host=f"{url}/api/v1", username=USER, password=PASSWORD)
    )


def small_floor(url: str, count: str) -> float:
    """Send a small GET with urllib3 and json alone."""
    get = _floor(f"{url}/api/v1/repositories/example-repo")
    return _cpu(lambda: get()["id"], int(count))


def small_client(url: str, count: str) -> float:
    """Send a small GET with a model as its result."""
    from lakefs_client.api.repositories_api import RepositoriesApi

    api = RepositoriesApi(_client(url))
    return _cpu(lambda: api.get_repository("example-repo").id, int(count))


def small_sdk(url: str, count: str) -> float:
    """Run the same by lakefs_sdk."""
    from lakefs_sdk.api.repositories_api import RepositoriesApi

    api = RepositoriesApi(_sdk(url))
    return _cpu(lambda: api.get_repository("example-repo").id, int(count))


def page_floor(url: str, count: str) -> float:
    """List 1,000 objects with urllib3 and json, and read one value of each."""
    get = _floor(f"{url}/api/v1/repositories/example-repo/refs/main/objects/ls?amount=1000")
    return _cpu(lambda: [stats["path"] for stats in get()["results"]], int(count))


def page_client(url: str, count: str) -> float:
    """List 1,000 objects, decoded and checked, and read one attribute of each."""
    from lakefs_client.api.objects_api import ObjectsApi

    api = ObjectsApi(_client(url))
    return _cpu(
        lambda: [
            stats.path for stats in api.list_objects("example-repo", "main", amount=1000).results
        ],
        int(count),
    )


def page_sdk(url: str, count: str) -> float:
    """Run the same by lakefs_sdk."""
    from lakefs_sdk.api.objects_api import ObjectsApi

    api = ObjectsApi(_sdk(url))
    return _cpu(
        lambda: [
            stats.path for stats in api.list_objects("example-repo", "main", amount=1000).results
        ],
        int(count),
    )
