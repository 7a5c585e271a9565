"""Reference page of lakefs_client.transfer, built from its docstrings.

The sources are parsed, not imported, because they import modules that may not be generated yet.
"""

from __future__ import annotations

import ast
import re

from apidoc import ROOT

PACKAGE = "lakefs_client.transfer"
CLASSES = (
    "Transfer",
    "TransferConfig",
    "DirectoryReport",
    "DirectoryEntry",
    "ObjectRange",
    "ObjectReader",
    "ObjectWriter",
    "PendingUpload",
    "TransferError",
)
# Methods that every stream has, which the page leaves out.
STREAM_METHODS = ("readable", "seekable", "writable")
HEADS = {
    "Args": "Argument | Type | Description",
    "Attributes": "Attribute | Type | Description",
    "Raises": "Error | Condition",
}
GUIDES = (
    "[Uploading large files](guides/uploading.md), [Downloading](guides/downloading.md), "
    "[Directories](guides/directories.md)"
)


def transfer_page() -> str:
    """Return the text of the page."""
    package = _tree(PACKAGE)
    modules = {
        name.name: node.module
        for node in package.body
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }
    lines = [f"# {PACKAGE}", "", _docstring(package), ""]
    lines += [f"Guides: {GUIDES}.", "", "Class | Description", "----- | -----------"]
    sections: list[str] = []
    for name in CLASSES:
        node = _class(modules[name], name)
        lines.append(f"[**{name}**](#{name.lower()}) | {_docstring(node).partition('.')[0]}")
        sections += _class_section(node)
    return "\n".join([*lines, *sections, "", "[Back to top](#) · [Reference](README.md)"]) + "\n"


def _class(module: str, name: str) -> ast.ClassDef:
    """Return a class, with the methods of bases that its module imports from the package."""
    tree = _tree(module)
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    bases = {ast.unparse(base) for base in node.bases}
    for source in tree.body:
        if isinstance(source, ast.ImportFrom) and (source.module or "").startswith(PACKAGE):
            for alias in source.names:
                if alias.name in bases and source.module:
                    node.body += _class(source.module, alias.name).body
    return node


def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").replace("``", "`")


def _class_section(node: ast.ClassDef) -> list[str]:
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    constructor = [_types(m.args) for m in methods if m.name == "__init__"]
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
    types = {ast.unparse(n.target): ast.unparse(n.annotation) for n in fields}
    lines = ["", f"## {node.name}", "", _tables(_docstring(node), types or dict(*constructor))]
    for method in methods:
        # A decorated method is a property or an overload.
        public = method.name[0] != "_" and not method.decorator_list
        if public and method.name not in STREAM_METHODS:
            lines += ["", f"### {node.name}.{method.name}", "", _signature(method)]
            lines += ["", _tables(_docstring(method), _types(method.args))]
    return lines


def _types(arguments: ast.arguments) -> dict[str, str]:
    every = [*arguments.args, *arguments.kwonlyargs]
    return {a.arg: ast.unparse(a.annotation) for a in every if a.annotation}


def _signature(method: ast.FunctionDef) -> str:
    for argument in [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]:
        argument.annotation = None
    arguments = re.sub("^self(, )?", "", ast.unparse(method.args))
    assert method.returns is not None
    return f"> `{method.name}({arguments}) -> {ast.unparse(method.returns)}`"


def _tables(text: str, types: dict[str, str]) -> str:
    """Return a docstring whose sections are tables."""
    blocks = []
    for block in text.split("\n\n"):
        heading, _, rest = block.partition(":\n")
        if heading in HEADS:
            rows = [HEADS[heading], re.sub(r"\w", "-", HEADS[heading])]
            # An item begins at the smallest indent.
            for item in re.split(r"\n(?=    \S)", rest):
                name, _, meaning = " ".join(item.split()).partition(": ")
                cells = [f"**{name}**", meaning]
                if heading != "Raises":
                    cells.insert(1, f"`{types[name]}`".replace("|", r"\|") if name in types else "")
                rows.append(" | ".join(cells))
            block = "\n".join(rows)
        elif heading == "Returns":
            block = f"Returns: {' '.join(rest.split())}"
        blocks.append(block)
    return "\n\n".join(blocks)
