"""Modules that load their names on first use."""

from __future__ import annotations

# The annotation keeps jedi, and so notebooks, from skipping what `if TYPE_CHECKING` guards.
TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def lazy_names(
    module: dict[str, Any], package: str, names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a module's ``__getattr__`` and ``__dir__``, built from its globals.

    Each name has its own module in `package`, such as ``storage_uri`` for StorageURI.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        from importlib import import_module

        value = module[name] = getattr(import_module(f"{package}.{_snake(name)}"), name)
        return value

    return load, lambda: sorted({*module, *names})


def _snake(name: str) -> str:
    """Return the module name of a class. A capital begins a word, except within an acronym."""
    words = ""
    for i, letter in enumerate(name):
        inside = name[i - 1 : i].isupper() and not name[i + 1 : i + 2].islower()
        words += f"_{letter}" if i and letter.isupper() and not inside else letter
    return words.lower()
