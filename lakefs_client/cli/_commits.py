"""The output of commands that make a commit."""

from __future__ import annotations

from lakefs_client.cli._app import as_dict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lakefs_client.cli._app import App
    from lakefs_client.model.commit import Commit


def write(app: App, commit: Commit) -> None:
    """Write a commit: its id, or everything as JSON."""
    app.out.one(as_dict(commit), {"id": 0})
