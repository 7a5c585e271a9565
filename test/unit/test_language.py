"""The language gate: prose and names of tests avoid known bad phrases.

ruff's D rules check the form of docstrings. CONTRIBUTING.md describes the language.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = (
    "*.md",
    "benchmarks/**/*.py",
    "docs/**/*.md",
    "lakefs_client/**/*.py",
    "scripts/**/*.py",
    "spec/*.yaml",
    "test/**/*.py",
    "tools/*.py",
)
FILES = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)})

# Rule 1: a docstring begins with a noun phrase or an imperative verb.
OPENING = re.compile(r"(What|Whether|Where|Who|How|Have)\b")
PHRASES = re.compile(
    r"(?<!there )\b(is|are|was|were) no \w"  # rule 5: "is not a str"
    r"|\bso (many|much)\b"  # rule 6: name the parameter
    r"|\bbut for\b|\bat the most\b|\bmeanwhile\b"
    r"|\b(go|goes|going|went) on\b|\bstands\b|\b(give|gives|gave|given|giving) up\b"  # rule 3
    r"|\b(throw|throws|threw|thrown) away\b|\bmend(s|ed|ing)?\b|\b(is|are) due\b"
    r"|\b(held|holds?) against\b|\btold\b",
    re.IGNORECASE,
)

# Rule 11: tests are named after behaviour. Folders whose test names are checked:
FOLDERS = tuple(sorted(path.name for path in (ROOT / "test").iterdir() if path.is_dir()))
NAME_OPENING = re.compile(
    r"test_(a|an|the|it|its|this|that|these|those|one|what|whatever|who|whoever|whose|how|where"
    r"|of|nor|nothing|nobody|only_what)_"
)
NAME_WORDS = re.compile(
    r"\b(what|whatever|who|whoever|whose|nobody|somebody|they|them|we|our|ours|us"
    r"|anew|afresh|begun|gone|over|due|told|tells?|said|says?|held|stands?|stood"
    r"|refuse[sd]?|refusals?)\b"
)
MAX_WORDS = 9
"""Words of a test's name, without "test"."""


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and _is_text(node.value):
            yield node.lineno, ast.literal_eval(node.value)


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the other strings that are long enough to be prose."""
    for node in ast.walk(tree):
        if _is_text(node) and ast.literal_eval(node).count(" ") > 1:
            yield node.lineno, ast.literal_eval(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the prose of a file by line."""
    source = path.read_text("utf-8")
    if path.suffix == ".py":
        tree = ast.parse(source)
        yield from docstrings(tree)
        yield from comments(source)
        if "test" not in path.relative_to(ROOT).parts:  # tests quote texts of others
            yield from messages(tree)
    elif path.suffix == ".md":
        without_code = re.sub(
            r"^```.*?^```", lambda m: "\n" * m[0].count("\n"), source, flags=re.M | re.S
        )
        yield from enumerate(without_code.splitlines(), 1)
    else:
        for node in _scalars(yaml.compose(source)):
            yield node.start_mark.line + 1, node.value


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        for child in item if isinstance(item, tuple) else (item,):
            yield from _scalars(child)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_avoids_bad_phrases(path: Path) -> None:
    found = {
        f"{path.name}:{line}: {match[0]!r} in {' '.join(text.split())[:120]!r}"
        for line, text in prose(path)
        for match in PHRASES.finditer(" ".join(text.split()))
    }
    if path.suffix == ".py":
        found |= {
            f"{path.name}:{line}: docstring begins with {match[0]!r}"
            for line, text in docstrings(ast.parse(path.read_text("utf-8")))
            if (match := OPENING.match(text))
        }
    assert not found, "\n".join(sorted(found))


def names_of_tests(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_of_tests_describe_behaviour(folder: str) -> None:
    found = []
    for path in sorted((ROOT / "test" / folder).rglob("*.py")):
        for line, name in names_of_tests(ast.parse(path.read_text("utf-8"))):
            words = name.removeprefix("test_").replace("_", " ")
            bad = NAME_OPENING.match(name) or NAME_WORDS.search(words) or PHRASES.search(words)
            reason = repr(bad[0]) if bad else f"more than {MAX_WORDS} words"
            if bad or len(words.split()) > MAX_WORDS:
                found.append(f"{path.name}:{line}: {reason} in {name}")
    assert not found, "\n".join(found)
