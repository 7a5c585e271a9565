"""branch: branches, and the rules that protect them."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._app import as_dict
from lakefs_client.cli._errors import CONFLICT, NOT_FOUND, CommandError, UsageError
from lakefs_client.cli._listing import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.cli._app import App

COLUMNS = {"id": 24, "commit_id": 0}
PATTERN = {
    "pattern": 0,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of branch."""
    add = _parser.add_verbs(parser)
    verb = add("create", "Create a branch", create)
    _branch(verb)
    verb.add_argument(
        "-s", "--source", metavar="REF", required=True, type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/REF where it begins",
    )  # fmt: skip
    _parser.add_exist_ok(verb, "the branch, wherever it began,")
    _parser.add_globals(verb)

    verb = add("list", "List the branches of a repository", list_all)
    _repository(verb)
    verb.add_argument("--prefix", metavar="TEXT", help="list those whose names begin with TEXT")
    _parser.add_amount(verb)
    _parser.add_globals(verb)

    verb = add("show", "Show the commit of a branch", show)
    _branch(verb)
    _parser.add_globals(verb)

    verb = add("delete", "Delete a branch, with its uncommitted changes", delete)
    _branch(verb)
    _parser.add_yes(verb)
    _parser.add_globals(verb)

    verb = add("reset", "Discard uncommitted changes of a branch", reset)
    _branch(verb)
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--object", metavar="PATH", help="discard the change of this object only")
    which.add_argument("--prefix", metavar="PATH", help="discard the changes below this path only")
    _parser.add_yes(verb)
    _parser.add_globals(verb)

    _protect(add("protect", "Protect branches from direct changes", None))


def _protect(parser: argparse.ArgumentParser) -> None:
    add = _parser.add_verbs(parser, "rule")
    verb = add("list", "List the patterns of protected branches", list_rules)
    _repository(verb)
    _parser.add_globals(verb)
    for name, summary, run in (
        ("add", "Protect the branches that match a pattern", add_rule),
        ("delete", "Remove a pattern", delete_rule),
    ):
        verb = add(name, summary, run)
        _repository(verb)
        verb.add_argument("pattern", metavar="PATTERN", help="a branch, or a pattern such as rel-*")
        _parser.add_globals(verb)


def _repository(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "repository", metavar="REPOSITORY", type=_parser.uri("repository"),
        help="lakefs://REPOSITORY",
    )  # fmt: skip


def _branch(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "branch", metavar="BRANCH", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/BRANCH",
    )  # fmt: skip


def create(app: App, options: argparse.Namespace) -> None:
    """Create a branch."""
    from lakefs_client.ensure import ensure_branch

    branch, source = options.branch, options.source
    if branch.repository != source.repository:
        raise UsageError(f"{branch} and {source}: a branch begins in its own repository")
    creation = {"name": branch.name, "source": source.name}
    if options.exist_ok:
        commit = ensure_branch(app.client, branch.repository, creation).commit_id
    else:
        commit = app.lakefs.branches_api.create_branch(branch.repository, creation)
    app.out.one({"id": branch.name, "commit_id": commit}, COLUMNS)


def list_all(app: App, options: argparse.Namespace) -> None:
    """List branches."""
    found = listing(
        app.lakefs.branches_api.list_branches, options.repository,
        amount=options.amount, after=options.after, prefix=options.prefix,
    )  # fmt: skip
    app.out.many(found, COLUMNS)


def show(app: App, options: argparse.Namespace) -> None:
    """Show a branch."""
    repository, name = options.branch
    app.out.one(as_dict(app.lakefs.branches_api.get_branch(repository, name)), COLUMNS)


def delete(app: App, options: argparse.Namespace) -> None:
    """Delete a branch."""
    repository, name = options.branch
    app.confirm(f"Delete the branch {options.branch}", yes=options.yes)
    app.lakefs.branches_api.delete_branch(repository, name)
    app.out.note(f"deleted {options.branch}")
    app.out.changed({"deleted": name})


def reset(app: App, options: argparse.Namespace) -> None:
    """Discard uncommitted changes."""
    repository, name = options.branch
    creation: dict[str, Any] = {"type": "reset"}
    what = "all uncommitted changes"
    if options.object is not None:
        creation = {"type": "object", "path": options.object}
        what = f"the change of {options.object}"
    elif options.prefix is not None:
        creation = {"type": "common_prefix", "path": options.prefix}
        what = f"the uncommitted changes below {options.prefix}"
    app.confirm(f"Discard {what} on {options.branch}", yes=options.yes)
    app.lakefs.branches_api.reset_branch(repository, name, creation)
    app.out.note(f"discarded {what} on {options.branch}")
    app.out.changed({"reset": name, **creation})


def list_rules(app: App, options: argparse.Namespace) -> None:
    """List the patterns of protected branches."""
    app.out.many(_rules(app, options)[0], PATTERN)


def add_rule(app: App, options: argparse.Namespace) -> None:
    """Add a pattern."""
    rules, etag = _rules(app, options)
    if any(rule["pattern"] == options.pattern for rule in rules):
        raise CommandError(f"{options.pattern}: is a rule already", CONFLICT)
    _set_rules(app, options, [*rules, {"pattern": options.pattern}], etag)
    app.out.note(f"protected {options.pattern}")
    app.out.changed({"pattern": options.pattern})


def delete_rule(app: App, options: argparse.Namespace) -> None:
    """Remove a pattern."""
    rules, etag = _rules(app, options)
    remaining = [rule for rule in rules if rule["pattern"] != options.pattern]
    if len(remaining) == len(rules):
        raise CommandError(
            f"{options.pattern}: there is no such rule", NOT_FOUND,
            "'lakefs-client branch protect list' lists the rules.",
        )  # fmt: skip
    _set_rules(app, options, remaining, etag)
    app.out.note(f"no longer protected: {options.pattern}")
    app.out.changed({"deleted": options.pattern})


def _rules(app: App, options: argparse.Namespace) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rules, and the ETag that makes a change of them safe."""
    method: Any = app.lakefs.repositories_api.get_branch_protection_rules
    rules, _, headers = method(options.repository, _return_http_data_only=False)
    return [as_dict(rule) for rule in rules], headers.get("ETag")


def _set_rules(
    app: App, options: argparse.Namespace, rules: list[dict[str, Any]], etag: str | None
) -> None:
    # The ETag of a repository without rules is empty, which is refused as a condition.
    condition: dict[str, Any] = {"if_match": etag} if etag else {}
    app.lakefs.repositories_api.set_branch_protection_rules(options.repository, rules, **condition)
