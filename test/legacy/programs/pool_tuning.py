"""Settings of urllib3 through `rest_client.pool_manager`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3

import lakefs_client
from lakefs_client import models
from lakefs_client.client import LakeFSClient


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    configuration = lakefs_client.Configuration(host=endpoint, username=key, password=secret)
    configuration.connection_pool_maxsize = 5
    configuration.retries = urllib3.Retry(total=2, backoff_factor=0.1)
    client = LakeFSClient(configuration)
    client.repositories_api.create_repository(
        models.RepositoryCreation("pools", "s3://sandbox/pools")
    )
    manager = client._api.rest_client.pool_manager
    before = manager.connection_pool_kw["maxsize"]

    # A custom pool manager with other limits.
    own = urllib3.PoolManager(num_pools=2, maxsize=8, block=True)
    client._api.rest_client.pool_manager = own

    def branch(n: int) -> str:
        return client.branches_api.create_branch(
            "pools", models.BranchCreation(name=f"b{n}", source="main")
        )

    with ThreadPoolExecutor(8) as executor:
        created = list(executor.map(branch, range(16)))
    branches = client.branches_api.list_branches("pools", prefix="b", amount=100).results
    # The same pool, for a separate request.
    raw = own.request("GET", f"{endpoint}/api/v1/healthcheck")
    pools = len(own.pools)
    own.clear()
    return {
        "manager": isinstance(manager, urllib3.PoolManager),
        "maxsize": before,
        "same": len(set(created)),
        "branches": sorted(branch.id for branch in branches),
        "raw": raw.status,
        "pools": pools,
    }
