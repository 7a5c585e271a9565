"""The page of lakefs_client.transfer, from its docstrings.

The source is read, not imported: it needs modules that are about to be generated.
"""

from __future__ import annotations

import ast
import re

from apidoc import ROOT

CLASSES = {
    "Transfer": "transfer/transfer",
    "TransferConfig": "transfer/config",
    "DirectoryReport": "transfer/many",
    "ObjectRange": "transfer/compose",
    "ObjectReader": "transfer/reader",
    "ObjectWriter": "transfer/writer",
    "PendingUpload": "transfer/resume",
    "TransferError": "exceptions",
}
HEADS = {
    "Args": "Argument | Type | Description",
    "Attributes": "Attribute | Type | Description",
    "Raises": "Error | When",
}
GUIDES = "[Uploading large files](guides/uploading.md), [Downloading](guides/downloading.md)"


def transfer_page() -> str:
    """The page's text."""
    lines = ["# lakefs_client.transfer", "", _docstring(_tree("transfer/__init__")), ""]
    lines += [f"With examples: {GUIDES}.", "", "Class | Description", "----- | -----------"]
    told: list[str] = []
    for name, module in CLASSES.items():
        node = next(n for n in _tree(module).body if isinstance(n, ast.ClassDef) and n.name == name)
        lines.append(f"[**{name}**](#{name.lower()}) | {_docstring(node).partition('.')[0]}")
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
        made = [_types(m.args) for m in methods if m.name == "__init__"]
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
        types = {ast.unparse(n.target): ast.unparse(n.annotation) for n in fields}
        told += ["", f"## {name}", "", _tables(_docstring(node), types or dict(*made))]
        for method in methods:
            text = _docstring(method)
            # Not what is private, a property, or has no more than a word to itself.
            if method.name[0] != "_" and not method.decorator_list and " " in text:
                types = _types(method.args)
                told += ["", f"### {name}.{method.name}", "", _call(method)]
                told += ["", _tables(text, types)]
    return "\n".join([*lines, *told, "", "[Back to top](#) · [Reference](README.md)"]) + "\n"


def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / f"lakefs_client/{module}.py").read_text("utf-8"))


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").replace("``", "`")


def _types(arguments: ast.arguments) -> dict[str, str]:
    every = [*arguments.args, *arguments.kwonlyargs]
    return {a.arg: ast.unparse(a.annotation) for a in every if a.annotation}


def _call(method: ast.FunctionDef) -> str:
    for argument in [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs]:
        argument.annotation = None
    arguments = re.sub("^self(, )?", "", ast.unparse(method.args))
    assert method.returns is not None
    return f"> `{method.name}({arguments}) -> {ast.unparse(method.returns)}`"


def _tables(text: str, types: dict[str, str]) -> str:
    """A docstring with tables for sections."""
    blocks = []
    for block in text.split("\n\n"):
        heading, _, rest = block.partition(":\n")
        if heading in HEADS:
            rows = [HEADS[heading], re.sub(r"\w", "-", HEADS[heading])]
            # An item begins where the indent is least.
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
