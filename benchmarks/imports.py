"""CPU seconds of imports, each in a fresh interpreter."""

from __future__ import annotations

from time import process_time


def example_floor() -> float:
    """Import urllib3 alone."""
    start = process_time()
    import urllib3  # noqa: F401

    return process_time() - start


def example_client() -> float:
    """Import the package, an API module and two models, like an example."""
    start = process_time()
    import lakefs_client  # noqa: F401
    from lakefs_client.api import experimental_api  # noqa: F401
    from lakefs_client.model.complete_presign_multipart_upload import (  # noqa: F401
        CompletePresignMultipartUpload,
    )
    from lakefs_client.model.object_stats import ObjectStats  # noqa: F401

    return process_time() - start


def example_sdk() -> float:
    """Import the corresponding modules of lakefs_sdk."""
    start = process_time()
    import lakefs_sdk  # noqa: F401
    from lakefs_sdk.api import experimental_api  # noqa: F401
    from lakefs_sdk.models.complete_presign_multipart_upload import (  # noqa: F401
        CompletePresignMultipartUpload,
    )
    from lakefs_sdk.models.object_stats import ObjectStats  # noqa: F401

    return process_time() - start


everything_floor = example_floor
everything_sdk = example_sdk  # the package always loads everything


def everything_client() -> float:
    """Load all API groups and all models."""
    start = process_time()
    from lakefs_client import apis, models

    for name in apis.__all__:
        getattr(apis, name)
    for name in models.__all__:
        getattr(models, name)
    return process_time() - start


def everything_legacy() -> float:
    """Load all API groups and all models of lakefs_client 1.44."""
    start = process_time()
    import lakefs_client.apis
    import lakefs_client.models  # noqa: F401

    return process_time() - start
