"""A client with all groups of operations."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lakefs_client import apis
from lakefs_client.api_client import ApiClient

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from lakefs_client.configuration import Configuration, Options


class LakeFSClient:
    """A client with an attribute for each group of operations, such as ``objects_api``.

    The names without ``_api`` are deprecated. The arguments are those of `ApiClient`.
    """

    actions_api: apis.ActionsApi
    auth_api: apis.AuthApi
    branches_api: apis.BranchesApi
    commits_api: apis.CommitsApi
    config_api: apis.ConfigApi
    experimental_api: apis.ExperimentalApi
    external_api: apis.ExternalApi
    health_check_api: apis.HealthCheckApi
    import_api: apis.ImportApi
    internal_api: apis.InternalApi
    metadata_api: apis.MetadataApi
    objects_api: apis.ObjectsApi
    pulls_api: apis.PullsApi
    refs_api: apis.RefsApi
    repositories_api: apis.RepositoriesApi
    staging_api: apis.StagingApi
    tags_api: apis.TagsApi

    def __init__(
        self,
        configuration: Configuration | None = None,
        header_name: str | None = None,
        header_value: str | None = None,
        cookie: str | None = None,
        pool_threads: int = 1,
    ) -> None:
        self._api = ApiClient(configuration, header_name, header_value, cookie, pool_threads)

    @classmethod
    def from_environment(cls, **explicit: Unpack[Options]) -> Self:
        """Return a client with lakectl's settings, as `Configuration.from_environment` does."""
        from lakefs_client.configuration import Configuration

        return cls(Configuration.from_environment(**explicit))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, as `ApiClient.close` does."""
        self._api.close()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *type(self).__annotations__})

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            known = type(self).__annotations__
            if name in known:
                group = "".join(word.capitalize() for word in name.split("_"))
                api = getattr(apis, group)(self._api)
                setattr(self, name, api)
                return api
            if f"{name}_api" in known:
                warnings.warn(
                    f"LakeFSClient.{name} is deprecated, use {name}_api",
                    DeprecationWarning,
                    stacklevel=2,
                )
                return getattr(self, f"{name}_api")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
