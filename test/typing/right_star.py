"""Star imports, as in notebooks."""

from __future__ import annotations

from typing_extensions import assert_type

from lakefs_client.apis import *  # noqa: F403
from lakefs_client.models import *  # noqa: F403


def star(api: ExperimentalApi) -> None:  # noqa: F405
    part = UploadPart(part_number=1, etag="etag")  # noqa: F405
    assert_type(part.etag, str)
    assert_type(CommitCreation("message").message, str)  # noqa: F405
    assert_type(api.get_external_principal("p").id, str)
