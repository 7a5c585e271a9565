"""Schemas of model classes, built from their annotations."""

from __future__ import annotations

import linecache
from functools import cached_property
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from lakefs_client._annotations import names_beside, resolve
from lakefs_client._kinds import Decoding, Free, Kind, MapOf, check_depth, indent
from lakefs_client._property import Property
from lakefs_client._sentinels import UNKNOWN, UNSET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lakefs_client._kinds import ModelBase

OLD_LIMITS = {"minimum": "inclusive_minimum", "maximum": "inclusive_maximum", "pattern": "regex"}
"""Names of limits in `Model.validations` that differ."""


class Schema:
    """The schema of a model class, built on first use.

    Attributes:
        properties: Properties by Python name, the required ones first.
        by_wire: Properties by the name in JSON.
        required: Python names of the required properties, in the order of arguments.
        annotations: Types of the properties, as the class states them.
        entries: Kind of the values of a map model. None for other models.
        lazy: Properties with models.
        is_wire_form: True if values are sent as they are stored.

    The properties below `fits` are class attributes of older releases.
    """

    def __init__(self, cls: type[ModelBase], bases: Iterable[type[ModelBase]]) -> None:
        self.annotations: dict[str, str] = {}
        kinds: dict[str, Kind] = {}
        optional: set[str] = set()
        for base in bases:
            names = names_beside(base)
            for name, annotation in (base.__dict__.get("__annotations__") or {}).items():  # noqa: RUF063
                if name != "_":
                    kinds[name] = resolve(annotation, names)
                    self.annotations[name] = annotation
            optional.update(base.__dict__["_optional"])
        entries = cls._entries
        self.entries = None if entries is None else resolve(entries, names_beside(cls))
        self.properties: dict[str, Property] = {}
        for name, kind in kinds.items():
            wire, limits = cls._wire.get(name, name), cls._limits.get(name, {})
            self.properties[name] = Property(name, wire, kind, name not in optional, limits)
        self._name = cls.__name__
        # Servers use both spellings of some names.
        self.by_wire = self.properties | {p.wire: p for p in self.properties.values()}
        self.required = tuple(p.name for p in self.properties.values() if p.required)
        self.lazy = tuple(p for p in self.properties.values() if p.kind.lazy)
        self.is_wire_form = not (cls._wire or self.lazy) and all(
            type(p.kind).dump is Kind.dump for p in self.properties.values()
        )

    @cached_property
    def fits(self) -> Callable[[dict[str, Any]], bool]:
        """A function that returns True if JSON can be adopted without conversion.

        The function moves unknown keys of an adopted dict to their place.
        """
        namespace: dict[str, Any] = {}
        tests = self.tests("v", namespace)
        if tests is None:
            return lambda value: False
        body = [*indent("try:", tests), "except KeyError: return False", "return True"]
        code = "\n".join(indent("def fits(v):", body))
        # Tracebacks and debuggers read the source from here.
        file = f"<check of {self._name}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        # Built from our own declarations, never from input.
        exec(compile(code, file, "exec"), namespace)
        return namespace["fits"]  # type: ignore[no-any-return]

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        """Return the checks, as `Kind.tests` does. They include those of nested models."""
        if self.entries is not None:
            return MapOf(self.entries).tests(name, namespace)
        split, value, count = f"split{len(namespace)}", f"{name}_", f"{name}n"
        namespace[split] = self._split
        lines = [f"if type({name}) is not dict: return False", f"{count} = {len(self.required)}"]
        for prop in self.properties.values():
            tests = None if prop.wire != prop.name else prop.kind.tests(value, namespace)
            if tests is None:
                return None
            tests = [f"{value} = {name}[{prop.name!r}]", *tests]
            if prop.required:
                lines += tests
            else:
                lines += indent(f"if {prop.name!r} in {name}:", [f"{count} += 1", *tests])
        return [*lines, f"if len({name}) != {count}: {split}({name})"]

    check_depth = staticmethod(check_depth)

    def from_wire(self, values: Mapping[str, Any], check: bool) -> dict[str, Any]:
        """Return values with their names in Python, and converted as those of an answer."""
        decoding = Decoding(check=check)
        converted = {}
        for key, value in values.items():
            prop = self.by_wire.get(key)
            name = key if prop is None else prop.name
            converted[name] = value if prop is None else prop.kind.load(value, (key,), decoding)
        return converted

    def closest(self, name: str) -> str:
        """Return "Did you mean …?" for a name close to a property's; "" if there is none."""
        if name.startswith("_") or name in self.properties:
            return ""
        from difflib import get_close_matches

        names = get_close_matches(name, self.properties, 1, 0.75)
        return f"Did you mean '{names[0]}'?" if names else ""

    def _split(self, values: dict[str, Any]) -> None:
        """Move the unknown keys of an adopted dict to their place."""
        unknown = [key for key in values if key not in self.properties]
        values[UNKNOWN] = {key: values.pop(key) for key in unknown}
        for key, value in values[UNKNOWN].items():
            check_depth(value, (key,))

    @property
    def attribute_map(self) -> dict[str, str]:
        return {p.name: p.wire for p in self.properties.values()}

    @property
    def openapi_types(self) -> dict[str, tuple[Any, ...]]:
        return {p.name: p.kind.legacy for p in self.properties.values()}

    @property
    def allowed_values(self) -> dict[tuple[str], dict[str, str]]:
        return {
            (p.name,): {str(v).upper().replace("-", "_"): v for v in p.kind.enum}
            for p in self.properties.values()
            if p.kind.enum
        }

    @property
    def validations(self) -> dict[tuple[str], dict[str, Any]]:
        return {
            (p.name,): {
                OLD_LIMITS.get(limit, limit): {"pattern": bound} if limit == "pattern" else bound
                for limit, bound in p.limits.items()
            }
            for p in self.properties.values()
            if p.limits
        }

    @property
    def additional_properties_type(self) -> tuple[type, ...]:
        return (self.entries or Free).classes

    @property
    def __signature__(self) -> Signature:
        required, optional = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY
        parameters = [
            Parameter(p.name, required, annotation=self.annotations[p.name])
            if p.required
            else Parameter(p.name, optional, annotation=self.annotations[p.name], default=UNSET)
            for p in self.properties.values()
        ]
        return Signature([*parameters, Parameter("entries", Parameter.VAR_KEYWORD)])
