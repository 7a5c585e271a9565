"""The parser of a command, built when that command runs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from itertools import takewhile

from lakefs_client.cli import _commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from types import ModuleType
    from typing import Any, NoReturn

PROGRAM = "lakefs-client"
EVERYWHERE = {flags.rpartition("--")[2].replace("-", "_") for flags, *_ in _commands.OPTIONS}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Knows the width without `shutil`, which would double the start-up time."""

    def __init__(self, prog: str, **options: Any) -> None:
        options.setdefault("width", _width())
        super().__init__(prog, max_help_position=30, **options)

    def add_usage(self, usage: Any, actions: Any, *rest: Any, **options: Any) -> None:
        """Leave the options of every command out of the usage line."""
        own = [action for action in actions if action.dest not in EVERYWHERE]
        super().add_usage(usage, own, *rest, **options)


def _width() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
        except (AttributeError, ValueError, OSError):
            columns = 80
    return max(40, min(columns, 100) - 2)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _Formatter)
        super().__init__(allow_abbrev=False, **options)
        self._words: Sequence[str] = ()

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Remember the words, which argparse passes first, for `error`."""
        self._words = args[0] if args else ()
        return super().parse_known_args(*args, **options)

    def error(self, message: str) -> NoReturn:
        """Name an unknown option rather than its value, which argparse takes for an argument."""
        words = takewhile(lambda word: word != "--", self._words)
        if unknown := next(filter(self._is_unknown, words), ""):
            message = f"unknown option {unknown}{_guess(unknown, self._option_string_actions)}"
        super().error(message)

    def _is_unknown(self, word: str) -> bool:
        if self._subparsers or not re.fullmatch(r"-[^\d\s]\S*", word):
            return False  # an argument, such as - or a number, or an option of a verb
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        return name not in self._option_string_actions


class _Program(_Parser):
    def format_help(self) -> str:
        return _commands.text()


def add_globals(parser: argparse.ArgumentParser, *, keep: bool = True) -> None:
    """Add the options of every command.

    Args:
        parser: The parser of a command, or of the program.
        keep: Leave an option that is not given as it is, since it may stand before the
            command's name.
    """
    group = parser.add_argument_group("options of every command")
    for flags, value, line in _commands.OPTIONS:
        action: dict[str, Any] = {"metavar": value} if value else {"action": "store_true"}
        if keep:
            action["default"] = argparse.SUPPRESS
        group.add_argument(*flags.split(), help=line, **action)


def program_parser() -> argparse.ArgumentParser:
    """Return the parser of the options before a command, and of its name."""
    from lakefs_client._version import __version__

    parser = _Program(prog=PROGRAM, usage=f"{PROGRAM} [options] COMMAND ...")
    parser.add_argument("name", metavar="COMMAND")
    add_globals(parser, keep=False)
    parser.add_argument("-v", "--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def load(name: str) -> ModuleType:
    """Import the module of a command."""
    from importlib import import_module

    return import_module(_commands.module_of(name))


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    parser = new(name, f"{_commands.summary(name)}.")
    configure(parser, name)
    return parser


def new(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser without arguments, for a command or a part of one."""
    return _Parser(prog=f"{PROGRAM} {name}", description=description)


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of a command to a parser."""
    module = load(name)
    module.arguments(parser)
    if not parser._subparsers:  # verbs have these options themselves
        add_globals(parser)
    parser.epilog = getattr(module, "EXAMPLES", None)


def full_parser() -> argparse.ArgumentParser:
    """Return a parser of all commands, for completion scripts and the guide."""
    parser = _Parser(prog=PROGRAM, usage=f"{PROGRAM} [options] COMMAND ...")
    add_globals(parser)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    for name in _commands.names():
        summary = _commands.summary(name)
        configure(commands.add_parser(name, help=summary, description=f"{summary}."), name)
    return parser


def add_verbs(
    parser: argparse.ArgumentParser, dest: str = "verb"
) -> Callable[..., argparse.ArgumentParser]:
    """Let a command have verbs; return a function that adds one.

    The function takes the verb's name, its line in the help, and the function that runs it,
    None if the verb has verbs of its own.
    """
    verbs = parser.add_subparsers(
        title="verbs", metavar="VERB", dest=dest, required=True, parser_class=_Parser
    )

    def add(name: str, summary: str, run: Callable[..., Any] | None) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=summary, description=f"{summary}.")
        if run is not None:
            verb.set_defaults(run=run)
        return verb

    return add


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of the program.

    Raises:
        SystemExit: Help was asked for, or an argument is wrong.
    """
    top = program_parser()
    if not arguments:
        top.print_usage(sys.stderr)
        top.exit(2, f"{PROGRAM}: {_commands.HINT}\n")
    # argparse would take a -- after the command's name for its own.
    end = _command_index(arguments) + 1
    options = top.parse_args(arguments[:end])
    options.words = [*arguments[end:]]
    if options.name not in _commands.names():
        top.error(f"unknown command {options.name!r}{_guess(options.name, _commands.names())}")
    module = load(options.name)
    if hasattr(module, "parse"):
        parsed: argparse.Namespace = module.parse(command_parser(options.name), options)
        return parsed
    return command_parser(options.name).parse_args(options.words, options)


def _command_index(arguments: Sequence[str]) -> int:
    """Return the index of the command's name among the arguments, or their number."""
    takes_value = {name for flags, value, _ in _commands.OPTIONS if value for name in flags.split()}
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in takes_value else 1
    return index


def _guess(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), 1)
    return f", did you mean {close[0]!r}?" if close else ""


def split_command(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before the first ``--``, and the command after it."""
    end = list(words).index("--") if "--" in words else len(words)
    return [*words[:end]], [*words[end + 1 :]]


def argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Turn a function that parses text into a type for argparse, which shows its message."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except Exception as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def uri(kind: str) -> Callable[[str], Any]:
    """Return a type for argparse: a function of `_uri`, which is imported when it is needed."""

    def convert(text: str) -> Any:
        from lakefs_client.cli import _uri

        return getattr(_uri, kind)(text)

    return argument(convert)


def add_meta(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --meta, which may be repeated."""
    parser.add_argument(
        "--meta", metavar="KEY=VALUE", action="append", type=argument(_pairs), default=[],
        help=f"metadata of {what}; may be repeated, and hold several pairs separated by commas",
    )  # fmt: skip


def meta(pairs: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the metadata of all --meta options."""
    return {key: value for given in pairs for key, value in given.items()}


def _pairs(text: str) -> dict[str, str]:
    # As lakectl separates them. A comma inside a value stays, unless a pair follows it.
    found = {}
    for pair in re.split(r",(?=[^,=]+=)", text):
        key, separator, value = pair.partition("=")
        if not key or not separator:
            raise ValueError(f"expected KEY=VALUE, got {text!r}")
        found[key] = value
    return found


def add_amount(parser: argparse.ArgumentParser) -> None:
    """Add --amount and --after, the options of listings."""
    parser.add_argument(
        "--amount", type=argument(positive), metavar="N", help="list at most N items (default: all)"
    )
    parser.add_argument("--after", metavar="NAME", help="list what comes after NAME")


def positive(text: str) -> int:
    """Parse a whole number above zero."""
    if not text.isdecimal() or not int(text):
        raise ValueError(f"expected a number above 0, got {text!r}")
    return int(text)


def time(text: str) -> datetime:
    """Parse a time of ISO 8601. Without an offset it is local."""
    from dateutil.parser import isoparse

    try:
        parsed: datetime = isoparse(text)
    except ValueError:
        raise ValueError(f"got {text!r}, expected a time such as 2026-11-27T12:00:00Z") from None
    return parsed if parsed.tzinfo else parsed.astimezone()


def add_exist_ok(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --exist-ok."""
    parser.add_argument("--exist-ok", action="store_true", help=f"succeed if {what} exists already")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add --yes."""
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask for confirmation")


def add_parent(parser: argparse.ArgumentParser) -> None:
    """Add --parent-number, for merges."""
    parser.add_argument(
        "-m", "--parent-number", metavar="N", type=argument(positive), default=0,
        help="the parent of a merge whose side is kept, from 1",
    )  # fmt: skip
