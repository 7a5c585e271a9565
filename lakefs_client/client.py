"""A client with all groups of operations."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lakefs_client import apis
from lakefs_client.api_client import ApiClient

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack, deprecated

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
        for name in type(self).__annotations__:
            group = "".join(word.capitalize() for word in name.split("_"))
            setattr(self, name, getattr(apis, group)(self._api))

    @classmethod
    def from_environment(cls, **explicit: Unpack[Options]) -> Self:
        """Return a client with lakectl's settings, as `Configuration.from_environment` does."""
        from lakefs_client.configuration import Configuration

        return cls(Configuration.from_environment(**explicit))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._api.configuration!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections, as `ApiClient.close` does."""
        self._api.close()

    if TYPE_CHECKING:
        # Deprecated names, each for the attribute of the same name with ``_api``.

        @property
        @deprecated("use actions_api")
        def actions(self) -> apis.ActionsApi: ...

        @property
        @deprecated("use auth_api")
        def auth(self) -> apis.AuthApi: ...

        @property
        @deprecated("use branches_api")
        def branches(self) -> apis.BranchesApi: ...

        @property
        @deprecated("use commits_api")
        def commits(self) -> apis.CommitsApi: ...

        @property
        @deprecated("use config_api")
        def config(self) -> apis.ConfigApi: ...

        @property
        @deprecated("use experimental_api")
        def experimental(self) -> apis.ExperimentalApi: ...

        @property
        @deprecated("use external_api")
        def external(self) -> apis.ExternalApi: ...

        @property
        @deprecated("use health_check_api")
        def health_check(self) -> apis.HealthCheckApi: ...

        @property
        @deprecated("use internal_api")
        def internal(self) -> apis.InternalApi: ...

        @property
        @deprecated("use metadata_api")
        def metadata(self) -> apis.MetadataApi: ...

        @property
        @deprecated("use objects_api")
        def objects(self) -> apis.ObjectsApi: ...

        @property
        @deprecated("use pulls_api")
        def pulls(self) -> apis.PullsApi: ...

        @property
        @deprecated("use refs_api")
        def refs(self) -> apis.RefsApi: ...

        @property
        @deprecated("use repositories_api")
        def repositories(self) -> apis.RepositoriesApi: ...

        @property
        @deprecated("use staging_api")
        def staging(self) -> apis.StagingApi: ...

        @property
        @deprecated("use tags_api")
        def tags(self) -> apis.TagsApi: ...

    else:

        def __getattr__(self, name: str) -> Any:
            if f"{name}_api" not in type(self).__annotations__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            warnings.warn(
                f"LakeFSClient.{name} is deprecated, use {name}_api",
                DeprecationWarning,
                stacklevel=2,
            )
            return getattr(self, f"{name}_api")
