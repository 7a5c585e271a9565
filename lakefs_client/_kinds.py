"""Declared types of arguments, properties and answers.

A `Kind` checks the values that a caller gives and converts the values that a server sends.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client.exceptions import ApiTypeError, ApiValueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import ClassVar, Protocol

    class ModelBase(Protocol):
        """The interface of `_model.Model`, which is above this module."""

        _entries: ClassVar[str | None]
        _wire: ClassVar[dict[str, str]]
        _limits: ClassVar[dict[str, dict[str, Any]]]

        @classmethod
        def _load(cls, value: dict[str, Any], path: Location, decoding: Decoding) -> Any: ...
        @classmethod
        def _adopt(cls, values: dict[str, Any]) -> Any: ...
        @classmethod
        def _adopt_all(cls, dicts: Sequence[dict[str, Any]]) -> list[Any]: ...
        @classmethod
        def _list_as_wire(cls, models: Sequence[Any]) -> Sequence[Any]: ...
        @classmethod
        def _schema(cls) -> Any: ...


Location = tuple[Any, ...]


class Decoding(NamedTuple):
    """Source of data, which decides how to decode it.

    Attributes:
        wire: True for JSON names of a response, False for Python names of a caller's dict.
    """

    wire: bool = True
    discard_unknown: bool = False
    check: bool = True


CALLER = Decoding(wire=False)


def type_error(value: object, path: Location, classes: Iterable[type]) -> ApiTypeError:
    """Return the error for a value of the wrong type. The message does not contain the value."""
    valid = tuple(sorted(classes, key=lambda cls: cls.__name__))
    names = ", ".join(cls.__name__ for cls in valid)
    text = (
        f"Invalid type for variable '{path[-1] if path else 'value'}'. Required value type is "
        f"{names if len(valid) == 1 else f'one of [{names}]'} "
        f"and passed type was {type(value).__name__}"
    )
    return ApiTypeError(text, list(path), valid, key_type=False)


def indent(head: str, lines: list[str]) -> list[str]:
    """Return a line of code with its indented block, or nothing without a block."""
    return [head, *(f" {line}" for line in lines)] if lines else []


class Kind:
    """A declared type.

    Attributes:
        classes: Python types of its values, for messages.
        enum: Known values, if the type lists them.
        lazy: True if values are wrapped on first access, as models are.
    """

    classes: tuple[type, ...] = ()
    enum: tuple[Any, ...] = ()
    lazy = False

    def check(self, value: Any, path: Location) -> None:
        """Raise an error if a caller's value has the wrong type, at any depth."""
        if not isinstance(value, self.classes):
            raise type_error(value, path, self.classes)

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        """Convert data to the declared type, or raise an error."""
        if decoding.check:
            self.check(value, path)
        return value

    def for_null(self) -> Any:
        """Return the value for JSON's null, which Go writes for empty lists and maps.

        Return None if null is a value itself.
        """
        return None

    def dump(self, value: Any) -> Any:
        """Return the value to send. `json` does the rest."""
        return value

    def wrap(self, value: Any) -> Any:
        """Turn checked JSON into models. Models stay as they are."""
        return value

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        """Return lines of code that return False unless a variable's JSON value fits.

        None if values need conversion. A KeyError also means False. The lines may use the names
        that they put into `namespace`, and variables whose names begin with `name`.
        """
        return None

    @property
    def legacy(self) -> tuple[Any, ...]:
        """Type as ``openapi_types`` shows it."""
        return self.classes


class Primitive(Kind):
    """str, int, bool or float. No bool is an int here; an int may stand for a float.

    Only a caller's value must be one of the known values: servers may know more.
    """

    def __init__(self, cls: type, enum: tuple[str, ...] = ()) -> None:
        self.classes = (cls,)
        self.enum = enum
        self._accepted = (int, float) if cls is float else cls
        self._bool = cls is bool

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        value = super().load(value, path, decoding)
        return float(value) if type(value) is int and self.classes == (float,) else value

    def check(self, value: Any, path: Location) -> None:
        if not isinstance(value, self._accepted) or (isinstance(value, bool) and not self._bool):
            raise type_error(value, path, self.classes)

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        return [f"if type({name}) is not {self.classes[0].__name__}: return False"]


class DateTime(Kind):
    """A point in time, in JSON as ISO 8601."""

    classes = (datetime,)

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        if not isinstance(value, str):
            return super().load(value, path, decoding)
        from dateutil.parser import parse

        try:
            moment = parse(value)
            moment.utcoffset()  # may be beyond a day, which only those who use it would find out
            return moment
        except (ValueError, OverflowError) as error:
            if not decoding.check:
                return value
            name = path[-1] if path else "value"
            text = f"Invalid value for variable '{name}': not a date-time"
            raise ApiTypeError(text, list(path), self.classes, key_type=False) from error


MAX_DEPTH = 200
"""Levels of nesting in free JSON. Copies, pickles and reprs recurse, and need to end."""


def check_depth(value: Any, path: Location = ()) -> None:
    """Refuse free JSON that is nested too deep.

    Raises:
        ApiTypeError: There are more than `MAX_DEPTH` levels.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [item for item in level if isinstance(item, (dict, list))]
        if not nested:
            return
        level = [
            child for item in nested for child in (item.values() if type(item) is dict else item)
        ]
    raise ApiTypeError(f"nested deeper than {MAX_DEPTH} levels", list(path))


class Free(Kind):
    """Anything that JSON can express, left as it is."""

    classes = (bool, dict, float, int, list, str, type(None))

    def check(self, value: Any, path: Location) -> None:
        pass

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        check_depth(value, path)
        return value

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        namespace["check_depth"] = check_depth
        return [f"check_depth({name})"]


class File(Kind):
    """Bytes of an object: an open binary file on the way in and out."""

    classes = (io.IOBase,)

    def check(self, value: Any, path: Location) -> None:
        """Accept any value. `_body` checks the source when it opens it."""


class Nullable(Kind):
    """A type or None."""

    def __init__(self, inner: Kind) -> None:
        self.inner = inner
        self.classes = (*inner.classes, type(None))
        self.enum = inner.enum
        self.lazy = inner.lazy

    def wrap(self, value: Any) -> Any:
        return self.inner.wrap(value)

    def check(self, value: Any, path: Location) -> None:
        if value is not None:
            try:
                self.inner.check(value, path)
            except ApiTypeError as error:
                if error.path_to_item == list(path):
                    raise type_error(value, path, self.classes) from None
                raise

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        return None if value is None else self.inner.load(value, path, decoding)

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        inner = self.inner.tests(name, namespace)
        return inner and indent(f"if {name} is not None:", inner)


class ListOf(Kind):
    """A list. Callers may give a tuple."""

    classes = (list,)

    def __init__(self, item: Kind) -> None:
        self.item = item
        self.lazy = item.lazy

    def for_null(self) -> Any:
        return []

    def check(self, value: Any, path: Location) -> None:
        if not isinstance(value, (list, tuple)):
            raise type_error(value, path, self.classes)
        for index, item in enumerate(value):
            self.item.check(item, (*path, index))

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        if not isinstance(value, (list, tuple)):
            return super().load(value, path, decoding)
        return [self.item.load(item, (*path, i), decoding) for i, item in enumerate(value)]

    def dump(self, value: Any) -> Any:
        if isinstance(self.item, ModelKind) and isinstance(value, (list, tuple)):
            return self.item.cls._list_as_wire(value)
        return value

    def wrap(self, value: Any) -> Any:
        held = type(value) is list and value and type(value[0]) is dict
        if held and isinstance(self.item, ModelKind):
            return self.item.cls._adopt_all(value)
        return value

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        inner = self.item.tests(f"{name}_", namespace)
        if inner is None:
            return None
        loop = indent(f"for {name}_ in {name}:", inner)
        return [f"if type({name}) is not list: return False", *loop]

    @property
    def legacy(self) -> tuple[Any, ...]:
        return ([*self.item.legacy],)


class MapOf(Kind):
    """A dict with str keys."""

    classes = (dict,)

    def __init__(self, value: Kind) -> None:
        self.value = value

    def for_null(self) -> Any:
        return {}

    def check(self, value: Any, path: Location) -> None:
        super().check(value, path)
        for key, item in value.items():
            if not isinstance(key, str):
                error = type_error(key, (*path, key), (str,))
                error.key_type = True
                raise error
            self.value.check(item, (*path, key))

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        if not isinstance(value, dict):
            return super().load(value, path, decoding)
        if not decoding.wire:
            self.check(value, path)
        return {k: self.value.load(item, (*path, k), decoding) for k, item in value.items()}

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        inner = None if self.value.lazy else self.value.tests(f"{name}_", namespace)
        if inner is None:
            return None
        loop = indent(f"for {name}_ in {name}.values():", inner)
        return [f"if type({name}) is not dict: return False", *loop]

    @property
    def legacy(self) -> tuple[Any, ...]:
        return ({str: self.value.legacy},)


class ModelKind(Kind):
    """A model, or on the way in from JSON the dict that it is made of."""

    lazy = True

    def __init__(self, cls: Any) -> None:
        self.cls: type[ModelBase] = cls
        self.classes = (cls,)

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        if not isinstance(value, dict):
            return super().load(value, path, decoding)
        return self.cls._load(value, path, decoding)

    def wrap(self, value: Any) -> Any:
        return self.cls._adopt(value) if type(value) is dict else value

    def tests(self, name: str, namespace: dict[str, Any]) -> list[str] | None:
        tests: list[str] | None = self.cls._schema().tests(name, namespace)
        return tests


class ListModelKind(Kind):
    """A model that is a list of models."""

    def __init__(self, cls: type[list[Any]], item: Kind) -> None:
        self.cls = cls
        self.classes = (cls,)
        self.list = ListOf(item)

    def check(self, value: Any, path: Location) -> None:
        self.list.check(value, path)

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        return self.cls(self.list.load(value, path, decoding))


class MergedMap(Kind):
    """A map model that is sent as one object, though the API document has a list of them.

    Callers may give the model, a list of models, or a dict; servers accept an object only.
    """

    def __init__(self, model: ModelKind) -> None:
        self.model = model
        self.classes = (*model.classes, dict, list)

    def check(self, value: Any, path: Location) -> None:
        several = isinstance(value, (list, tuple))
        for index, item in enumerate(value if several else [value]):
            place = (*path, index) if several else path
            if isinstance(item, dict):
                MapOf(Primitive(str)).check(item, place)
            elif not isinstance(item, self.model.classes):
                raise type_error(item, place, self.classes)
        if several:
            self._merged(value, path)

    def load(self, value: Any, path: Location, decoding: Decoding) -> Any:
        kind = ListOf(self.model) if isinstance(value, (list, tuple)) else self.model
        return kind.load(value, path, decoding)

    def dump(self, value: Any) -> Any:
        return self._merged(value, ()) if isinstance(value, (list, tuple)) else value

    @staticmethod
    def _merged(items: Iterable[Any], path: Location) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for item in items:
            for key, text in (item if isinstance(item, dict) else item.to_dict()).items():
                if merged.setdefault(key, text) != text:
                    text = f"the key {key!r} is given twice with different values"
                    raise ApiValueError(text, list(path))
        return merged

    @property
    def legacy(self) -> tuple[Any, ...]:
        return ([*self.classes],)
