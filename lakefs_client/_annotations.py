"""Annotations of the generated modules, and the kinds that they declare.

Annotations stay strings until an operation or model is first used; `resolve` turns one into a
`Kind`.
"""

from __future__ import annotations

import io
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args, get_origin

from lakefs_client._kinds import (
    DateTime,
    File,
    Free,
    ListModelKind,
    ListOf,
    MapOf,
    MergedMap,
    ModelKind,
    Nullable,
    Primitive,
)
from lakefs_client.exceptions import ApiValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefs_client._kinds import Kind

_BY_NAME: dict[str, Any] = {
    "str": str, "int": int, "bool": bool, "float": float, "list": list, "dict": dict,
    "Any": Any, "Literal": Literal, "BinaryIO": BinaryIO, "datetime": datetime,
    "UploadContent": BinaryIO,
}  # fmt: skip


class _Names(dict[str, Any]):
    """Names for annotations: the types above, then those that `find` knows."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__(_BY_NAME)
        self._find = find

    def __missing__(self, name: str) -> Any:
        try:
            return self._find(name)
        except (AttributeError, LookupError):
            raise KeyError(name) from None


def names_beside(cls: type) -> Callable[[str], Any]:
    """Return the look-up of names in the module that declares a class."""
    module = sys.modules.get(cls.__module__)
    names: dict[str, Any] = {} if module is None else vars(module)
    return names.__getitem__


_SIMPLE: dict[Any, Kind] = {cls: Primitive(cls) for cls in (str, int, bool, float)}
_SIMPLE |= {Any: Free(), object: Free(), list: ListOf(Free()), dict: MapOf(Free())}
_SIMPLE |= {datetime: DateTime(), BinaryIO: File()}


def resolve(annotation: str, find: Callable[[str], Any]) -> Kind:
    """Return the kind of an annotation in a generated module; `find` looks up model names."""
    declared = eval(annotation, {"__builtins__": {}}, _Names(find))  # our own source, not input
    return kind_of(declared, find)


def kind_of(declared: Any, find: Callable[[str], Any]) -> Kind:
    """Return the kind of a type: an annotation, ``[Model]``, ``{str: (int,)}``, ``(Model,)``.

    The last three are how older code names the types of answers. A str is the name of a model,
    which `find` looks up, or of a primitive.

    Raises:
        ApiValueError: The str is not the name of a type.
    """
    if isinstance(declared, str):
        try:
            return kind_of(_Names(find)[declared], find)
        except KeyError:
            raise ApiValueError(f"no type of the API has the name {declared!r}") from None
    if isinstance(declared, tuple):
        kinds = [kind_of(item, find) for item in declared if item is not type(None)]
        if len(kinds) != 1:
            return Free()
        return Nullable(kinds[0]) if len(declared) > 1 else kinds[0]
    if isinstance(declared, list):
        return ListOf(kind_of(tuple(declared), find))
    if isinstance(declared, dict):
        return MapOf(kind_of(next(iter(declared.values())), find))
    origin, args = get_origin(declared), get_args(declared)
    if origin is list:
        return ListOf(kind_of(args[0], find))
    if origin is dict:
        return MapOf(kind_of(args[1], find))
    if origin is Literal:
        return Primitive(str, args)
    if args:
        return _union([kind_of(arg, find) for arg in args if arg is not type(None)])
    if declared in _SIMPLE:
        return _SIMPLE[declared]
    if issubclass(declared, io.IOBase):
        return File()
    return _list_model(declared) if issubclass(declared, list) else ModelKind(declared)


def _list_model(cls: Any) -> Kind:
    """Return the kind of a class that is declared as ``ListModel["Item"]``."""
    (base,) = cls.__orig_bases__
    return ListModelKind(cls, resolve(base.__args__[0], names_beside(cls)))


def _union(kinds: Sequence[Kind]) -> Kind:
    """Return the kind of a union: with None; of a model and a dict; of a model and a list."""
    first = kinds[0]
    if len(kinds) == 1:
        return Nullable(first)
    if isinstance(first, ModelKind) and any(isinstance(kind, ListOf) for kind in kinds):
        return MergedMap(first)
    return first
