"""Command that generates code and pages from spec/lakefs.yaml and from docstrings.

`python tools/generate.py` writes the files. With `--check` it lists the files that are out of
date, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from apidoc import ROOT, Document, snake
from docstrings import docstring_pages
from modules import modules
from pages import pages


def files(document: Document) -> dict[str, str]:
    """Return the text of every generated file by its path."""
    sandbox = {"lakefs_client/sandbox/openapi.json": sandbox_document(document)}
    return modules(document) | sandbox | pages(document) | docstring_pages()


def sandbox_document(document: Document) -> str:
    """Return the sandbox's API document: without prose, with resolved parameters."""

    def without_prose(node: Any, *, names: bool = False) -> Any:
        if isinstance(node, dict):
            return {
                key: without_prose(value, names=key == "properties")
                for key, value in node.items()
                if names or not (key in ("description", "example") or key.startswith("x-"))
            }
        return [without_prose(item) for item in node] if isinstance(node, list) else node

    operations = []
    for path, methods in document.raw["paths"].items():
        for method, raw in methods.items():
            entry = {
                "id": snake(raw["operationId"]),
                "method": method.upper(),
                "path": path,
                "auth": raw.get("security") != [],
                "status": min(int(status) for status in raw["responses"] if status.isdigit()),
                "parameters": [
                    {"required": False, **without_prose(document.resolve(p))}
                    for p in raw.get("parameters", ())
                ],
            }
            if "requestBody" in raw:
                body = raw["requestBody"]
                entry["body"] = {
                    "required": body.get("required", False),
                    "content": {
                        ct: without_prose(c["schema"]) for ct, c in body["content"].items()
                    },
                }
            operations.append(entry)
    data = {"operations": operations, "schemas": without_prose(document.schemas, names=True)}
    return json.dumps(data, indent=1) + "\n"


def formatted(generated: dict[str, str]) -> dict[str, str]:
    """Return the files with their Python code sorted and formatted by ruff."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in generated.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        ruff = [sys.executable, "-m", "ruff"]
        config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--quiet"]
        # Fix the order of imports only. The generator itself must avoid other lint errors.
        subprocess.run([*ruff, "check", "--select=I", "--fix", *config, folder], check=True)
        subprocess.run([*ruff, "format", *config, folder], check=True)
        return {path: Path(folder, path).read_text("utf-8") for path in generated}


def existing() -> set[str]:
    """Return the paths of the existing generated files."""
    found = set()
    for folder in ("lakefs_client/model", "lakefs_client/api"):
        found |= {p for p in (ROOT / folder).glob("*.py") if p.name != "__init__.py"}
    found |= set((ROOT / "docs").glob("*Api.md")) | set((ROOT / "docs/models").glob("*.md"))
    return {str(path.relative_to(ROOT)) for path in found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="list outdated files, write nothing")
    check = parser.parse_args().check
    generated = formatted(files(Document()))
    stale = sorted(existing() - generated.keys())
    outdated = [
        path
        for path, text in generated.items()
        if not (ROOT / path).exists() or (ROOT / path).read_text("utf-8") != text
    ]
    if check:
        for path in [*outdated, *stale]:
            print(f"{path} is out of date: run python tools/generate.py")
        return 1 if outdated or stale else 0
    for path in stale:
        (ROOT / path).unlink()
    for path in outdated:
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(generated[path], "utf-8")
    print(f"{len(outdated)} files written, {len(stale)} removed, {len(generated)} in total")
    return 0


if __name__ == "__main__":
    sys.exit(main())
