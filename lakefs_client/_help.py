"""Docstrings of models with a section on their fields, for `help` and notebooks."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakefs_client._schema import Schema


def model_help(cls: type, schema: Schema, text: str | None) -> str:
    """Append the types and descriptions of the model's fields to its docstring."""
    descriptions: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__dict__.get("__annotations__"):  # noqa: RUF063
            descriptions |= _field_docstrings(base)
    lines = [text or "", "", "Attributes:"]
    for name, prop in schema.properties.items():
        kind = (
            schema.annotations[name] if prop.required else f"{schema.annotations[name]}, optional"
        )
        entry = f"{name} ({kind}): {descriptions.get(name, '')}".rstrip(" :")
        lines += textwrap.wrap(
            entry, 92, initial_indent="    ", subsequent_indent="        ", break_long_words=False
        )
    return "\n".join(lines) if schema.properties else text or ""


def _field_docstrings(cls: type) -> dict[str, str]:
    """Return the strings under the fields of a class, or nothing without its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(note.value.value)
        for field, note in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant)
        if isinstance(note.value.value, str)
    }
