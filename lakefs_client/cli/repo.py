"""repo: repositories."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._listing import listing
from lakefs_client.cli._output import as_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.cli._app import App

COLUMNS = {
    "id": 24,
    "created": 20,
    "default_branch": 12,
    "storage_namespace": 0,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of repo."""
    add = _parser.add_verbs(parser)
    verb = add("create", "Create a repository", create)
    _name(verb)
    verb.add_argument(
        "namespace", metavar="NAMESPACE", help="where it keeps its objects, as s3://bucket/prefix"
    )
    verb.add_argument(
        "-d", "--default-branch", metavar="NAME", default="main", help="default: %(default)s"
    )
    verb.add_argument("--sample-data", action="store_true", help="put sample objects into it")
    _parser.add_exist_ok(verb, "the repository, with this namespace,")
    _parser.add_globals(verb)

    verb = add("list", "List the repositories", list_all)
    verb.add_argument("--prefix", metavar="TEXT", help="list those whose names begin with TEXT")
    _parser.add_amount(verb)
    _parser.add_globals(verb)

    verb = add("show", "Show a repository", show)
    _name(verb)
    _parser.add_globals(verb)

    verb = add("delete", "Delete a repository, its branches, tags and commits", delete)
    _name(verb)
    _parser.add_yes(verb)
    _parser.add_globals(verb)


def _name(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "repository", metavar="REPOSITORY", type=_parser.uri("repository"),
        help="lakefs://REPOSITORY",
    )  # fmt: skip


def create(app: App, options: argparse.Namespace) -> None:
    """Create a repository."""
    from lakefs_client.ensure import ensure_repository

    creation = {
        "name": options.repository,
        "storage_namespace": options.namespace,
        "default_branch": options.default_branch,
        "sample_data": options.sample_data,
    }
    if options.exist_ok:
        created = ensure_repository(app.client, creation)
    else:
        created = app.lakefs.repositories_api.create_repository(creation)
    app.out.one(_record(app, as_dict(created)), COLUMNS)


def list_all(app: App, options: argparse.Namespace) -> None:
    """List repositories."""
    found = listing(
        app.lakefs.repositories_api.list_repositories,
        amount=options.amount, after=options.after, prefix=options.prefix,
    )  # fmt: skip
    app.out.many((_record(app, repository) for repository in found), COLUMNS)


def show(app: App, options: argparse.Namespace) -> None:
    """Show a repository."""
    found = app.lakefs.repositories_api.get_repository(options.repository)
    app.out.one(_record(app, as_dict(found)), COLUMNS)


def delete(app: App, options: argparse.Namespace) -> None:
    """Delete a repository. Its objects stay in the store."""
    app.confirm(f"Delete the repository {options.repository} for good", yes=options.yes)
    app.lakefs.repositories_api.delete_repository(options.repository)
    app.out.note(f"deleted lakefs://{options.repository}")
    app.out.changed({"deleted": options.repository})


def _record(app: App, repository: dict[str, Any]) -> dict[str, Any]:
    if app.out.as_json:
        return repository
    return {**repository, "created": as_time(repository["creation_date"])}
