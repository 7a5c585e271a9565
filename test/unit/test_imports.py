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
    """The modules of a bare interpreter that the statements load."""
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


# The layers, from the bottom. What a module imports when it is loaded or called is of its own
# layer or of one below.
LAYERS = (
    ("_redact", "_lazy"),
    ("exceptions", "__init__"),
    ("auth", "retry"),
    ("configuration",),
    ("credentials",),
    ("_connection",),
    ("rest",),
    ("_model", "_schema", "_types", "models", "model", "_encode"),
    ("_body",),
    ("_operation", "_request", "_endpoint", "_conflicts"),
    ("api_client",),
    ("api", "apis", "_paginate", "model_utils"),
    ("client", "ensure"),
    ("transfer", "sandbox"),
    ("fs",),
)
# A default that is made for a caller who gave none.
UPWARDS = {
    ("_operation", "api_client"),
    ("_model", "apis"),
    ("configuration", "credentials"),
}


def layer(module: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if module in names)


def imports(path: Path) -> set[str]:
    """What a file of the package imports of it, other than for type checkers."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "lakefs_client":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("lakefs_client."):
                found.add(node.module.split(".")[1])
    return found


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imports(path):
        if any(other in names for names in LAYERS) and (own, other) not in UPWARDS:
            assert layer(other) <= layer(own), f"{own} imports {other}"


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
    assert knowing <= {"rest.py", "_connection.py", "retry.py", "_body.py", "api_client.py",
                       "configuration.py"}  # fmt: skip
