"""tag: tags."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import UsageError
from lakefs_client.cli._listing import listing
from lakefs_client.exceptions import NotFoundException

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App

COLUMNS = {"id": 24, "commit_id": 0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of tag."""
    add = _parser.add_verbs(parser)
    verb = add("create", "Create a tag", create)
    _tag(verb)
    verb.add_argument(
        "ref", metavar="REF", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/REF to tag",
    )  # fmt: skip
    verb.add_argument("-f", "--force", action="store_true", help="replace a tag of this name")
    _parser.add_exist_ok(verb, "the tag, at this commit,")
    _parser.add_globals(verb)

    verb = add("list", "List the tags of a repository", list_all)
    verb.add_argument(
        "repository", metavar="REPOSITORY", type=_parser.uri("repository"),
        help="lakefs://REPOSITORY",
    )  # fmt: skip
    verb.add_argument("--prefix", metavar="TEXT", help="list those whose names begin with TEXT")
    _parser.add_amount(verb)
    _parser.add_globals(verb)

    verb = add("show", "Show the commit of a tag", show)
    _tag(verb)
    _parser.add_globals(verb)

    verb = add("delete", "Delete a tag", delete)
    _tag(verb)
    _parser.add_yes(verb)
    _parser.add_globals(verb)


def _tag(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("tag", metavar="TAG", type=_parser.uri("ref"), help="lakefs://REPOSITORY/TAG")


def create(app: App, options: argparse.Namespace) -> None:
    """Create a tag."""
    from lakefs_client.ensure import ensure_tag

    tag, ref = options.tag, options.ref
    if tag.repository != ref.repository:
        raise UsageError(f"{tag} and {ref}: a tag names a commit of its own repository")
    tags = app.lakefs.tags_api
    creation = {"id": tag.name, "ref": ref.name}
    if options.force:
        # Resolved first, so that a reference that does not exist does not cost the tag.
        creation["ref"] = app.lakefs.commits_api.get_commit(ref.repository, ref.name).id
        try:
            tags.delete_tag(tag.repository, tag.name)
        except NotFoundException:
            pass
    if options.exist_ok:
        created = ensure_tag(app.client, tag.repository, creation)
    else:
        created = tags.create_tag(tag.repository, creation)
    app.out.one(as_dict(created), COLUMNS)


def list_all(app: App, options: argparse.Namespace) -> None:
    """List tags."""
    found = listing(
        app.lakefs.tags_api.list_tags, options.repository,
        amount=options.amount, after=options.after, prefix=options.prefix,
    )  # fmt: skip
    app.out.many(found, COLUMNS)


def show(app: App, options: argparse.Namespace) -> None:
    """Show a tag."""
    repository, name = options.tag
    app.out.one(as_dict(app.lakefs.tags_api.get_tag(repository, name)), COLUMNS)


def delete(app: App, options: argparse.Namespace) -> None:
    """Delete a tag."""
    repository, name = options.tag
    app.confirm(f"Delete the tag {options.tag}", yes=options.yes)
    app.lakefs.tags_api.delete_tag(repository, name)
    app.out.note(f"deleted {options.tag}")
    app.out.changed({"deleted": name})
