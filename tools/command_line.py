"""Command that generates the command-line guide and the completion scripts from the parser.

`python tools/command_line.py` writes the files. With `--check` it lists the files that are out of
date, and exits with 1 if there are any. shtab generates the completion scripts.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lakefs_client.cli import _commands, _errors, _parser, completion

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs/guides/command-line.md"
SCRIPTS = ROOT / "lakefs_client/cli/completions"


def guide() -> str:
    """Return the guide: prose, exit codes, options and commands."""
    prose = (ROOT / "tools/command-line.md").read_text("utf-8")
    codes = [f"| {code} | {_cell(meaning)} |" for code, meaning in _errors.CODES.items()]
    options = [
        f"| `{f'{flags} {value}'.strip().replace(' --', '`, `--')}` | {_cell(line)} |"
        for flags, value, line in _commands.OPTIONS
    ]
    return (
        prose.replace("EXIT_CODES", "\n".join(["| Code | Meaning |", "|---|---|", *codes]))
        .replace("OPTIONS", "\n".join(["| Option | Meaning |", "|---|---|", *options]))
        .replace("COMMANDS\n", "\n".join(_command_sections()))
    )


def _command_sections() -> Iterator[str]:
    for group, commands in _commands.GROUPS.items():
        yield f"## Commands: {group[0].lower()}{group[1:]}\n"
        for name in commands:
            parser = _parser.command_parser(name)
            yield from _section(parser, "###")
            examples = str(parser.epilog or "").partition("examples:\n")[2]
            if examples:
                lines = [line.removeprefix("  ") for line in examples.rstrip().splitlines()]
                yield "\n".join(["```sh", *lines, "```\n"])


def _section(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    """Yield the paragraphs of a command and of its verbs."""
    if heading:
        yield f"{heading} {parser.prog.removeprefix('lakefs-client ')}\n"
    yield f"{parser.description}\n"
    verbs = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
    if verbs is not None:
        for verb in verbs.choices.values():
            yield from _section(verb, "####")
        return
    actions = [a for a in parser._actions if a.dest not in ("help", *_parser.EVERYWHERE)]
    positionals = [_positional(action) for action in actions if not action.option_strings]
    usage = " ".join([parser.prog, "[options]", *positionals])
    if parser.usage:
        usage = parser.usage
    yield f"```text\n{usage}\n```\n"
    if actions:
        rows = [f"| {_names(action)} | {_meaning(action)} |" for action in actions]
        yield "\n".join(["| Argument | Meaning |", "|---|---|", *rows, ""])


def _positional(action: argparse.Action) -> str:
    name = str(action.metavar or "|".join(map(str, action.choices or [action.dest])))
    forms = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}
    return forms.get(str(action.nargs), name)


def _names(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or "|".join(map(str, action.choices or [action.dest])))
    if not action.option_strings:
        return f"`{value}`"
    names = ", ".join(f"`{name}`" for name in action.option_strings[:-1])
    last = f"`{action.option_strings[-1]} {value}`".replace(" `", "`")
    return ", ".join(filter(None, (names, last))).replace("|", r"\|")


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default}
    return _cell(text) + (" (required)" if action.option_strings and action.required else "")


def _cell(text: str) -> str:
    text = re.sub(r"lakefs://[A-Z/\[\]]+", lambda found: f"`{found[0]}`", text)
    return f"{text[:1].upper()}{text[1:]}".replace("|", r"\|").replace("*", r"\*")


def scripts() -> dict[Path, str]:
    """Return the completion script of each shell by its path."""
    import shtab  # type: ignore[import-not-found,unused-ignore]

    parser = _parser.full_parser()
    _complete_files(parser, shtab.FILE)
    return {
        SCRIPTS / f"lakefs-client.{shell}": shtab.complete(parser, shell).rstrip() + "\n"
        for shell in completion.SHELLS
    }


def _complete_files(parser: argparse.ArgumentParser, completer: object) -> None:
    """Complete the arguments that may be files."""
    for action in parser._actions:
        if action.dest in ("config", "data", "source", "target") and action.nargs != 0:
            action.complete = completer  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for other in action.choices.values():
                _complete_files(other, completer)


def main() -> int:
    """Write the files, or list the outdated ones."""
    options = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    options.add_argument("--check", action="store_true", help="list outdated files, write nothing")
    check = options.parse_args().check
    outdated = 0
    for path, text in {GUIDE: guide(), **scripts()}.items():
        if path.exists() and path.read_text("utf-8") == text:
            continue
        outdated += 1
        print(f"{path.relative_to(ROOT)}: {'out of date' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    return int(check and outdated > 0)


if __name__ == "__main__":
    sys.exit(main())
