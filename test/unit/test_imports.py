"""Importing costs next to nothing, and modules import downwards only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lakefs_client

PACKAGE = Path(lakefs_client.__file__).parent

HEAVY = {
    "urllib3", "dateutil", "certifi", "dataclasses", "json", "logging", "email", "typing",
    "typing_extensions", "re", "http", "ssl", "socket", "inspect", "functools", "urllib",
}  # fmt: skip


def modules_after(*statements: str) -> set[str]:
    """Return the modules of a bare interpreter that the statements load."""
    code = "; ".join(
        ("import sys; before = set(sys.modules)", *statements, "print(*set(sys.modules) - before)")
    )
    # Without site-packages of its own an interpreter loads nothing by itself.
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = PATH; {code}"]
    command[-1] = command[-1].replace("PATH", repr([str(PACKAGE.parent), *sys.path[1:]]))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statements",
    [
        ["import lakefs_client"],
        [
            "import lakefs_client",
            "from lakefs_client.api import experimental_api",
            "from lakefs_client.model.upload_part import UploadPart",
            "from lakefs_client.model.error import Error",
        ],
        ["from lakefs_client.models import *", "from lakefs_client.apis import *"],
    ],
)
def test_what_an_example_imports_loads_nothing_heavy(statements: list[str]) -> None:
    assert modules_after(*statements) & HEAVY == set()


def test_the_other_modules_are_reached_from_the_package() -> None:
    code = (
        "import lakefs_client as c; c.models.Ref; c.apis.TagsApi; c.exceptions.ApiException; "
        "c.client.LakeFSClient; c.model.ref; c.api.tags_api; c.transfer.Transfer; c.rest"
    )
    code = code.replace("c.model.ref; c.api.tags_api; ", "")
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_public_names() -> None:
    for name in lakefs_client.__all__:
        assert getattr(lakefs_client, name) is not None
        assert name in dir(lakefs_client)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = lakefs_client.Nothing  # type: ignore[attr-defined]


def layers() -> dict[str, int]:
    """Return the layer of each pattern in CONTRIBUTING.md, from the bottom."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    lines = text.partition("```layers\n")[2].partition("```")[0].splitlines()
    return {pattern: number for number, line in enumerate(lines) for pattern in line.split()}


LAYERS = layers()
# Imports that are allowed to break the rule.
EXCEPTIONS = {
    ("configuration", "credentials"),  # the body of Configuration.from_environment
}


def name_of(path: Path) -> str:
    """Return the name of a module within the package; "." for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "."


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def pattern_of(module: str) -> str:
    """Return the pattern of CONTRIBUTING.md that a module belongs to: the most specific one."""
    candidates = [module]
    parts = module.split(".")
    candidates += [".".join([*parts[:i], "*"]) for i in range(len(parts), 0, -1)]
    return next((name for name in candidates if name in LAYERS), "")


def imports(module: str) -> set[str]:
    """Return the package's modules that a module imports, lazily or for type checkers too."""
    path = MODULES[module]
    package = ["lakefs_client", *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            submodules = [f"{source}.{alias.name}" for alias in node.names]
            modules = [name for name in submodules if as_module(name) is not None]
            named = len(modules) == len(submodules)
            targets = modules if named else [*modules, source]
        else:
            continue
        found |= {name for name in map(as_module, targets) if name is not None}
    return found - {module}


def as_module(dotted: str) -> str | None:
    """Return the name within the package of a dotted name, if it is a module of the package."""
    if dotted == "lakefs_client":
        return "."
    name = dotted.removeprefix("lakefs_client.")
    return name if name != dotted and name in MODULES else None


def breaks_the_rule(module: str, other: str) -> bool:
    own, target = pattern_of(module), pattern_of(other)
    if own == target:
        return not own.endswith("*")  # two modules never share an exact name
    return LAYERS[target] >= LAYERS[own]


def test_every_module_has_a_layer() -> None:
    assert [module for module in MODULES if not pattern_of(module)] == []
    assert set(LAYERS) - set(map(pattern_of, MODULES)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    upwards = {(module, other) for other in imports(module) if breaks_the_rule(module, other)}
    assert upwards - EXCEPTIONS == set()


def test_upload_and_download_never_import_each_other() -> None:
    for wing, other in (("upload", "download"), ("download", "upload")):
        for module in MODULES:
            if module.startswith(f"transfer.{wing}."):
                assert not any(name.startswith(f"transfer.{other}") for name in imports(module))


def test_only_the_package_imports_the_facade() -> None:
    importers = {module for module in MODULES if "transfer.transfer" in imports(module)}
    assert importers == {"transfer"}


def test_every_exception_to_the_layers_is_used() -> None:
    used = {(m, other) for m in MODULES for other in imports(m) if breaks_the_rule(m, other)}
    assert used >= EXCEPTIONS


def test_no_modules_import_each_other_in_a_circle() -> None:
    remaining = {
        m: {other for other in imports(m) if (m, other) not in EXCEPTIONS} for m in MODULES
    }
    while True:
        # A module whose imports are all gone is in no circle.
        free = {m for m, others in remaining.items() if not others & remaining.keys()}
        if not free:
            break
        remaining = {m: others for m, others in remaining.items() if m not in free}
    assert remaining == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from lakefs_client import rest", {"rest"}),
        ("from lakefs_client import __version__", {"."}),
        ("from lakefs_client.rest import Message", {"rest"}),
        ("import lakefs_client.rest", {"rest"}),
        ("from . import plan", {"transfer.plan"}),
        ("from .plan import Plan", {"transfer.plan"}),
        ("from ..rest import Message", {"rest"}),
        ("if TYPE_CHECKING:\n    from lakefs_client.rest import Message", {"rest"}),
        ("def call():\n    from lakefs_client.rest import Message", {"rest"}),
        ("import urllib3", set()),
    ],
)
def test_layer_test_sees_every_form_of_import(
    source: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PACKAGE / "transfer" / "journal.py"
    monkeypatch.setitem(MODULES, "transfer.journal", real)
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: source)
    assert imports("transfer.journal") == found


def test_urllib3_is_known_to_the_network_modules_alone() -> None:
    knowing = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "sandbox" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("urllib3"))
        or (isinstance(node, ast.Import) and node.names[0].name == "urllib3")
    }
    # For the rest it is a matter of types, of Retry objects that users give, and of forms.
    assert knowing <= {"rest.py", "_answer.py", "_connection.py", "_network_error.py", "_pools.py",
                       "retry.py", "_body.py", "api_client.py", "configuration.py"}  # fmt: skip
