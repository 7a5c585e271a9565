"""doctor: check whether everything works, and say what to do if not."""

from __future__ import annotations

from lakefs_client.cli import _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lakefs_client.cli._app import App


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of doctor."""
    parser.add_argument(
        "branch", metavar="BRANCH", nargs="?", type=_parser.uri("ref"),
        help="lakefs://REPOSITORY/BRANCH; upload, download and delete a small object on it",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(app: App, options: argparse.Namespace) -> int:
    """Check one thing after the other. Return the exit code of the first that fails."""
    from lakefs_client.cli import _checkup

    code = 0
    for finding in _checkup.findings(app, options.branch):
        code = code or finding["exit_code"]
        if app.out.as_json:
            app.out.json(finding)
            continue
        color = {"ok": "green", "failed": "red"}.get(finding["status"], "yellow")
        status = app.out.paint(f"{finding['status']:<8}", color)
        app.out.text(f"{status} {finding['check']:<12} {finding['detail']}")
        if finding["hint"]:
            app.out.text(f"{'':<22}{finding['hint']}")
    return code
