"""A client of lakeFS, version control for data lakes."""

from __future__ import annotations

from lakefs_client._version import __version__ as __version__

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from lakefs_client import api as api
    from lakefs_client import apis as apis
    from lakefs_client import client as client
    from lakefs_client import credentials as credentials
    from lakefs_client import ensure as ensure
    from lakefs_client import exceptions as exceptions
    from lakefs_client import model as model
    from lakefs_client import model_utils as model_utils
    from lakefs_client import models as models
    from lakefs_client import rest as rest
    from lakefs_client import sandbox as sandbox
    from lakefs_client import tokens as tokens
    from lakefs_client import transactions as transactions
    from lakefs_client import transfer as transfer
    from lakefs_client import uri as uri
    from lakefs_client._paginate import paginate
    from lakefs_client.api_client import ApiClient
    from lakefs_client.configuration import Configuration
    from lakefs_client.exceptions import (
        ApiAttributeError,
        ApiConnectionError,
        ApiException,
        ApiKeyError,
        ApiTimeoutError,
        ApiTypeError,
        ApiValueError,
        BranchProtectedError,
        HookRefusedError,
        MergeConflictError,
        NothingToCommitError,
        OpenApiException,
    )
    from lakefs_client.retry import RetryPolicy
    from lakefs_client.transactions import transaction

__all__ = [
    "ApiAttributeError",
    "ApiClient",
    "ApiConnectionError",
    "ApiException",
    "ApiKeyError",
    "ApiTimeoutError",
    "ApiTypeError",
    "ApiValueError",
    "BranchProtectedError",
    "Configuration",
    "HookRefusedError",
    "MergeConflictError",
    "NothingToCommitError",
    "OpenApiException",
    "RetryPolicy",
    "__version__",
    "paginate",
    "transaction",
]

# Modules of the names that load on first use. Exceptions are in `exceptions`.
_HOMES = {
    "ApiClient": "api_client",
    "Configuration": "configuration",
    "RetryPolicy": "retry",
    "paginate": "_paginate",
    "transaction": "transactions",
}
_MODULES = (
    "api", "api_client", "apis", "client", "configuration", "credentials", "ensure", "exceptions",
    "model", "model_utils", "models", "rest", "retry", "sandbox", "tokens", "transactions",
    "transfer", "uri",
)  # fmt: skip


if not TYPE_CHECKING:
    # Hidden from type checkers, which would accept any name.

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = import_module(f"{__name__}.{_HOMES.get(name, 'exceptions')}")
        value = globals()[name] = getattr(home, name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
