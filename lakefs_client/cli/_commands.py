"""The help of the program: its commands by group, and the options of all of them."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Data": {
        "cp": "Copy a file, an object or a stream, or a folder with -r",
        "sync": "Make a folder equal to another, transferring only what differs",
        "ls": "List the objects below a path",
        "cat": "Print objects",
        "stat": "Show the size, checksum and metadata of an object",
        "rm": "Delete an object, or everything below a path with -r",
        "presign": "Print a presigned URL of an object",
        "transfers": "List, resume and discard interrupted uploads",
    },
    "Versions": {
        "repo": "Create, list, show and delete repositories",
        "branch": "Create, list, show, delete, reset and protect branches",
        "tag": "Create, list, show and delete tags",
        "commit": "Commit the changes of a branch",
        "log": "List the commits that lead to a ref",
        "diff": "List the changes of a branch, or between two refs",
        "merge": "Merge a ref into a branch",
        "revert": "Undo commits of a branch by new commits",
        "cherry-pick": "Repeat a commit on a branch",
        "hard-reset": "Move a branch to another commit, and discard its changes",
    },
    "Pipelines": {
        "transact": "Run a command whose changes reach a branch all together, or not at all",
        "wait": "Wait for an import, dump or restore",
    },
    "Around it": {
        "login": "Check credentials and write them to lakectl's file",
        "config": "Show the settings in force, and where each comes from",
        "doctor": "Check server, credentials, store, clock, proxy and TLS",
        "sandbox": "Run a stand-in for a lakeFS server, for tests",
        "api": "Call any operation of the API",
        "completion": "Print the completion script of a shell",
    },
}


OPTIONS = (
    ("--json", "", "write results as JSON: one object, or a line for each item"),
    ("-q --quiet", "", "write nothing but results and errors"),
    ("--no-progress", "", "do not show progress"),
    ("--no-color", "", "use no colors; NO_COLOR in the environment does the same"),
    ("--debug", "", "show the log and the traceback of an error on stderr"),
    ("-c --config", "FILE", "read credentials from FILE in place of ~/.lakectl.yaml"),
)
"""Options of every command: their names, what they take, and their lines in the help."""

HINT = "'lakefs-client COMMAND --help' describes a command."


def text() -> str:
    """Return the help of the program. It is made here since argparse takes twice as long."""
    lines = [
        "usage: lakefs-client [options] COMMAND ...",
        "",
        "A command line for lakeFS, version control for data lakes.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:<20}{line}" for name, line in commands.items())]
    lines += ["", "options:"]
    own = (("-h --help", "", "print this help"), ("-v --version", "", "print the version"))
    for flags, value, line in (*own, *OPTIONS):
        lines.append(f"  {f'{flags} {value}'.rstrip().replace(' --', ', --'):<20}{line}")
    return "\n".join([*lines, "", HINT, ""])


def names() -> list[str]:
    """Return the names of all commands, in the order of the help."""
    return [name for group in GROUPS.values() for name in group]


def summary(name: str) -> str:
    """Return the line of a command in the help."""
    return next(group[name] for group in GROUPS.values() if name in group)


def module_of(name: str) -> str:
    """Return the name of the module that has a command."""
    return f"lakefs_client.cli.{name.replace('-', '_')}"
