"""Imports stay cheap, and modules import downwards only."""

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
    # Without site-packages the interpreter loads no modules at startup.
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
def test_import_loads_no_heavy_module(statements: list[str]) -> None:
    assert modules_after(*statements) & HEAVY == set()


def test_submodules_are_attributes_of_the_package() -> None:
    code = (
        "import lakefs_client as c; c.models.Ref; c.apis.TagsApi; c.exceptions.ApiException; "
        "c.client.LakeFSClient; c.transfer.Transfer; c.rest"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_public_names_are_attributes() -> None:
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


def violates_layers(module: str, other: str) -> bool:
    own, target = pattern_of(module), pattern_of(other)
    if own == target:
        return not own.endswith("*")  # two modules never share an exact name
    return LAYERS[target] >= LAYERS[own]


def test_every_module_has_a_layer() -> None:
    assert [module for module in MODULES if not pattern_of(module)] == []
    assert set(LAYERS) - set(map(pattern_of, MODULES)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    upwards = {(module, other) for other in imports(module) if violates_layers(module, other)}
    assert upwards - EXCEPTIONS == set()


def test_upload_and_download_do_not_import_each_other() -> None:
    for wing, other in (("upload", "download"), ("download", "upload")):
        for module in MODULES:
            if module.startswith(f"transfer.{wing}."):
                assert not any(name.startswith(f"transfer.{other}") for name in imports(module))


def test_only_transfer_package_imports_the_facade() -> None:
    importers = {module for module in MODULES if "transfer.transfer" in imports(module)}
    assert importers == {"transfer"}


def test_listed_layer_exceptions_are_used() -> None:
    used = {(m, other) for m in MODULES for other in imports(m) if violates_layers(m, other)}
    assert used >= EXCEPTIONS


def test_imports_have_no_circles() -> None:
    remaining = {
        m: {other for other in imports(m) if (m, other) not in EXCEPTIONS} for m in MODULES
    }
    while True:
        # A module without remaining imports is not part of a circle.
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
def test_imports_finds_every_form_of_import(
    source: str, found: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PACKAGE / "transfer" / "journal.py"
    monkeypatch.setitem(MODULES, "transfer.journal", real)
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: source)
    assert imports("transfer.journal") == found


def test_only_network_modules_import_urllib3() -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "sandbox" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("urllib3"))
        or (isinstance(node, ast.Import) and node.names[0].name == "urllib3")
    }
    # The last three need types, the users' Retry objects, and forms.
    assert importers <= {
        "rest.py", "_answer.py", "_connection.py", "_network_error.py", "_pools.py",
        "retry.py", "_body.py", "api_client.py", "configuration.py",
    }  # fmt: skip


def test_test_groups_do_not_share_conftests() -> None:
    tests = PACKAGE.parent / "test"
    foreign = {
        str(path.relative_to(tests))
        for path in tests.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".conftest")
        if not node.level and node.module != f"{path.relative_to(tests).parts[0]}.conftest"
    }
    assert not foreign  # shared code belongs in test/support
