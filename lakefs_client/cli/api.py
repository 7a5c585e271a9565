"""api: any operation of the API, with options made of its signature."""

from __future__ import annotations

from lakefs_client.cli import _parser
from lakefs_client.cli._errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from lakefs_client._kinds import Kind
    from lakefs_client.cli._app import App

EXAMPLES = """\
examples:
  lakefs-client api
  lakefs-client api repositories
  lakefs-client api repositories get_repository --help
  lakefs-client api repositories get_repository --repository repo
  lakefs-client api branches create_branch --repository repo \\
      --branch-creation '{"name": "dev", "source": "main"}'
"""
_PREFIX = "argument_"
_WINDOW = 1 << 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of api."""
    parser.usage = f"{parser.prog} [GROUP [METHOD [--name VALUE ...]]]"
    parser.add_argument("group", metavar="GROUP", nargs="?", help="as objects; default: list them")
    parser.add_argument(
        "method", metavar="METHOD", nargs="?", help="as list_objects; default: list those of GROUP"
    )
    parser.set_defaults(run=run, operation=None)


def parse(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Parse the arguments. The method's own options follow a group and a method."""
    group, method = [*options.words, "-", "-"][:2]
    if group.startswith("-") or method.startswith("-"):
        return parser.parse_args(options.words, options)
    options.group, options.method, options.run = group, method, run
    try:
        options.operation = _method(group, method).operation
    except UsageError as error:
        parser.exit(error.code, f"{parser.prog}: error: {error}\nhint: {error.hint}\n")
    return method_parser(group, method).parse_args(options.words[2:], options)


def method_parser(group: str, method: str) -> argparse.ArgumentParser:
    """Return a parser with an option for each argument of a method."""
    import textwrap

    call = _method(group, method)
    first, _, others = call.__doc__.partition("\n")
    text = f"{first}\n{textwrap.dedent(others)}".rstrip()
    parser = _parser.new(f"api {group} {method}", text)
    for argument in call.operation.parameters.values():
        names = dict.fromkeys((f"--{argument.name.replace('_', '-')}", f"--{argument.name}"))
        parser.add_argument(
            *names, dest=_PREFIX + argument.name, required=argument.required,
            **_reading(argument.kind),
        )  # fmt: skip
    _parser.add_globals(parser)
    return parser


def _reading(kind: Kind) -> dict[str, Any]:
    """Return the options of argparse that make a value of a type."""
    from lakefs_client import _kinds

    if isinstance(kind, _kinds.Nullable):
        return _reading(kind.inner)
    if isinstance(kind, _kinds.File):
        return {"type": _content, "metavar": "FILE", "help": "a file, or - for stdin"}
    if isinstance(kind, _kinds.DateTime):
        return {"type": _parser.argument(_parser.time), "metavar": "TIME"}
    if isinstance(kind, _kinds.ListOf) and isinstance(kind.item, _kinds.Primitive):
        return {"action": "append", "metavar": "TEXT", "help": "may be repeated"}
    if not isinstance(kind, _kinds.Primitive):
        help = "JSON, @FILE to read it from a file, or - to read it from stdin"
        return {"type": _parser.argument(_json), "metavar": "JSON", "help": help}
    if kind.classes == (bool,):
        # Alone it means true.
        return {"nargs": "?", "const": True, "type": _parser.argument(_boolean), "metavar": "BOOL"}
    cls = kind.classes[0]
    reading: dict[str, Any] = {"type": cls, "metavar": "NUMBER" if cls is not str else "TEXT"}
    if kind.enum:
        reading |= {"choices": kind.enum, "metavar": None}
    return reading


def _content(text: str) -> Any:
    if text == "-":
        import sys

        return sys.stdin.buffer
    from pathlib import Path

    return Path(text)


def _json(text: str) -> Any:
    import json
    import sys

    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        with open(text[1:], encoding="utf-8") as file:
            text = file.read()
    return json.loads(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"got {text!r}, expected true or false")
    return text.lower() == "true"


def groups() -> list[str]:
    """Return the names of the groups of operations."""
    from lakefs_client.client import LakeFSClient

    return [name.removesuffix("_api") for name in LakeFSClient.__annotations__]


def methods(group: str) -> dict[str, Callable[..., Any]]:
    """Return the methods of a group by name.

    Raises:
        UsageError: There is no such group.
    """
    from lakefs_client import apis

    if group not in groups():
        raise UsageError(f"{group}: no such group of operations", "'lakefs-client api' lists them.")
    api = getattr(apis, "".join(word.capitalize() for word in f"{group}_api".split("_")))
    names = sorted(name for name in dir(api) if hasattr(getattr(api, name), "operation"))
    return {name: getattr(api, name) for name in names}


def _method(group: str, method: str) -> Any:
    found = methods(group)
    if method not in found:
        raise UsageError(
            f"{method}: no such method of {group}",
            f"'lakefs-client api {group}' lists them.",
        )  # fmt: skip
    return found[method]


def run(app: App, options: argparse.Namespace) -> None:
    """Call the operation and write its result, or list groups and methods."""
    if options.group is None:
        app.out.many(({"group": group} for group in groups()), {"group": 0})
    elif options.operation is None:
        rows = (
            {"method": name, "summary": (method.__doc__ or "").partition("\n")[0]}
            for name, method in methods(options.group).items()
        )
        app.out.many(rows, {"method": 32, "summary": 0})
    else:
        _call(app, options)


def _call(app: App, options: argparse.Namespace) -> None:
    from lakefs_client.cli._app import as_dict

    given = {
        name.removeprefix(_PREFIX): value
        for name, value in vars(options).items()
        if name.startswith(_PREFIX) and value is not None
    }
    api = getattr(app.lakefs, f"{options.group}_api")
    result = getattr(api, options.method)(**given)
    if result is None:
        return
    if hasattr(result, "read"):
        with result:
            while window := result.read(_WINDOW):
                app.out.data(window)
    elif isinstance(result, str) and not app.out.as_json:
        app.out.text(result)
    else:
        app.out.json(as_dict(result))
