"""The base class of the models.

A model holds its values in ``__dict__`` under their Python names. Unknown values (properties of
newer servers, entries of a map model) are kept under the key ``""``, which no attribute can have.
So they never hide a method.

A response is decoded by adopting the dicts of ``json.loads``, after a check that each class
compiles once. Nested models are wrapped on first access.
"""

from __future__ import annotations

from itertools import repeat

from lakefs_client._redact import HIDDEN, is_secret_name, redact
from lakefs_client._sentinels import KW_ONLY as KW_ONLY
from lakefs_client._sentinels import TYPE_CHECKING as TYPE_CHECKING
from lakefs_client._sentinels import UNKNOWN
from lakefs_client._sentinels import UNSET as UNSET
from lakefs_client._sentinels import Any as Any
from lakefs_client._sentinels import BinaryIO as BinaryIO
from lakefs_client._sentinels import Literal as Literal
from lakefs_client._sentinels import datetime as datetime
from lakefs_client.exceptions import ApiAttributeError, ApiTypeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import ClassVar, TypeVar

    from typing_extensions import Self, dataclass_transform

    from lakefs_client._kinds import Decoding, Kind, Location
    from lakefs_client._schema import Schema

    Item = TypeVar("Item")
else:
    Item = "Item"  # list itself can be subscribed, and then remembers by what

    def dataclass_transform(**_):
        return lambda cls: cls


# Keywords of the constructors of older releases, which steered their checks.
_OLD_OPTIONS = (
    "_check_type",
    "_path_to_item",
    "_spec_property_naming",
    "_configuration",
    "_visited_composed_classes",
)


class _Lazy:
    """A property with models. It wraps the JSON dicts on first access."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind

    def __get__(self, model: Model, owner: type[Model] | None = None) -> Any:
        try:
            value = model.__dict__[self.name]
        except KeyError:
            raise AttributeError(self.name) from None  # continues in Model.__getattr__
        wrapped = self.kind.wrap(value)
        if wrapped is not value:
            model.__dict__[self.name] = wrapped
        return wrapped

    def __set__(self, model: Model, value: Any) -> None:
        model.__dict__[self.name] = value


class _FromSchema:
    """A read-only class attribute with the schema's value of the same name."""

    def __set_name__(self, owner: type[Model], name: str) -> None:
        self.name = name

    def __get__(self, model: Model | None, owner: type[Model]) -> Any:
        return getattr(owner._schema(), self.name)


class _Docstring:
    """The docstring of a model class, which `_help` completes on first use."""

    __slots__ = ("text",)

    def __init__(self, text: str | None) -> None:
        self.text = text

    def __get__(self, model: Model | None, owner: type[Model]) -> str:
        from lakefs_client._help import model_help

        return model_help(owner, owner._schema(), self.text)


@dataclass_transform(eq_default=False)
class Model:
    """A value of the API with named properties.

    Required properties are positional, in the order of the class. Optional ones are keyword-only.
    Read a value as an attribute, as an item, or with `get`. An optional property that is not set
    raises ApiAttributeError. Assignment checks the type, allowed values and limits. Undeclared
    names are kept and sent.

    Raises:
        ApiTypeError: A required property is missing, or a value has the wrong type.
        ApiValueError: A value is not allowed, or outside its limits.
    """

    if not TYPE_CHECKING:
        # For type checkers the annotations of each class are its constructor.

        def __init__(self, /, *args, **kwargs):
            schema = self._schema()
            values = self.__dict__
            names = schema.required
            if len(args) > len(names):
                raise ApiTypeError(
                    f"{type(self).__name__} takes {len(names)} positional arguments "
                    f"({', '.join(names)}), {len(args)} were given"
                )
            values.update(zip(names, args))
            check = kwargs.pop("_check_type", True) is not False
            if kwargs.pop("_spec_property_naming", False):
                kwargs = schema.from_wire(kwargs, check)
            for name, value in kwargs.items():
                if name in values and name != UNKNOWN:
                    text = f"{type(self).__name__} got multiple values for argument {name!r}"
                    raise ApiTypeError(text)
                if name in schema.properties:
                    if not schema.properties[name].is_absent(value):
                        values[name] = value
                elif name not in _OLD_OPTIONS:
                    self._set_undeclared(name, value)
            missing = [name for name in names if name not in values]
            if missing:
                text = f"{type(self).__name__} lacks required arguments: {', '.join(missing)}"
                raise ApiTypeError(text)
            for name, value in values.items():
                if name != UNKNOWN and check:
                    schema.properties[name].check(value)

    _compiled: ClassVar[Schema | None] = None
    _entries: ClassVar[str | None] = None
    _optional: ClassVar[frozenset[str]] = frozenset()
    _wire: ClassVar[dict[str, str]] = {}
    _limits: ClassVar[dict[str, dict[str, Any]]] = {}
    _secret: ClassVar[frozenset[str]] = frozenset()
    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    attribute_map = _FromSchema()
    openapi_types = _FromSchema()
    allowed_values = _FromSchema()
    validations = _FromSchema()
    additional_properties_type = _FromSchema()
    __signature__ = _FromSchema()
    read_only_vars: ClassVar[frozenset[str]] = frozenset()
    discriminator: ClassVar[None] = None

    def __init_subclass__(cls) -> None:
        cls.__doc__ = _Docstring(cls.__dict__.get("__doc__"))  # type: ignore[assignment]
        cls._compiled = None  # the base's is of other properties
        # The defaults tell which properties are optional; as class attributes they would
        # stand for a value where none is set.
        cls._optional = frozenset(name for name, v in cls.__dict__.items() if v is UNSET)
        for name in cls._optional:
            delattr(cls, name)

    @classmethod
    def _schema(cls) -> Schema:
        schema = cls._compiled
        if schema is None:
            from lakefs_client._schema import Schema

            bases = [base for base in reversed(cls.__mro__) if issubclass(base, Model)]
            schema = Schema(cls, bases[1:])  # the first is Model itself
            for prop in schema.lazy:
                setattr(cls, prop.name, _Lazy(prop.name, prop.kind))
            cls._compiled = schema
        return schema

    @classmethod
    def _from_openapi_data(cls, *args: Any, **kwargs: Any) -> Self:
        """Call the constructor. Older releases used this name for one without checks."""
        return cls(*args, **kwargs)

    @classmethod
    def _load(cls, value: dict[str, Any], path: Location, decoding: Decoding) -> Self:
        """Make a model from a dict: JSON of an answer, or what a caller gave for a model."""
        schema = cls._schema()
        adoptable = decoding.wire and decoding.check and not decoding.discard_unknown
        if adoptable and schema.fits(value):
            return cls._adopt(value)
        model = cls.__new__(cls)
        properties = schema.by_wire if decoding.wire else schema.properties
        for key, item in value.items():
            prop = properties.get(key)
            if prop is not None and prop.is_absent(item):
                continue
            if prop is not None:
                if item is None and decoding.wire:
                    item = prop.kind.for_null()
                model.__dict__[prop.name] = prop.kind.load(item, (*path, key), decoding)
                if not decoding.wire:
                    prop.check(model.__dict__[prop.name])
            elif schema.entries is not None or not decoding.discard_unknown:
                if decoding.check and schema.entries is not None:
                    item = schema.entries.load(item, (*path, key), decoding)
                schema.check_depth(item, (*path, key))
                model.__dict__.setdefault(UNKNOWN, {})[key] = item
        for name in schema.required:
            if decoding.check and name not in model.__dict__:
                text = f"{cls.__name__} lacks the required property {name!r}"
                raise ApiTypeError(text, list(path))
        return model

    @classmethod
    def _adopt(cls, values: dict[str, Any]) -> Self:
        """Make a model of a checked dict, which becomes its own."""
        model = cls.__new__(cls)
        _set_dict(model, values if cls._schema().entries is None else {UNKNOWN: values})
        return model

    @classmethod
    def _adopt_all(cls, dicts: Sequence[dict[str, Any]]) -> list[Self]:
        """Make models of many checked dicts."""
        if cls._schema().entries is not None:
            return [cls._adopt(values) for values in dicts]
        models = [*map(cls.__new__, repeat(cls, len(dicts)))]
        for _ in map(_set_dict, models, dicts):
            pass
        return models

    def _set_undeclared(self, name: str, value: Any) -> None:
        """Keep a value that the class does not declare, and warn if its name looks misspelt."""
        schema = self._schema()
        if schema.entries is not None:
            schema.entries.check(value, (name,))
        elif closest := schema.closest(name):
            from warnings import warn

            warn(f"{type(self).__name__} has no property '{name}'. {closest}", stacklevel=3)
        self.__dict__.setdefault(UNKNOWN, {})[name] = value

    def _undeclared(self, name: str) -> Any:
        """Return a value that the class does not declare."""
        try:
            return self.__dict__[UNKNOWN][name]
        except KeyError:
            if isinstance(name, int):  # of a for loop
                hint = "results" if "results" in self._schema().properties else "to_dict()"
                text = f"{type(self).__name__} cannot be iterated over: use its {hint}"
                raise ApiTypeError(text) from None
            text = f"{type(self).__name__} has no attribute '{name}'"
            if closest := self._schema().closest(name):
                text += f". {closest}"
            raise ApiAttributeError(text, [name]) from None

    def _items(self) -> Iterator[tuple[str, Any]]:
        """Every name and value: nested models wrapped, what is unknown last."""
        for prop in self._schema().lazy:
            getattr(self, prop.name, None)
        for name, value in self.__dict__.items():
            if name != UNKNOWN:
                yield name, value
        yield from self.__dict__.get(UNKNOWN, {}).items()

    def _as_wire(self) -> dict[str, Any]:
        """Return the value that `json` writes for this model, with nested models."""
        schema = self._schema()
        if schema.is_wire_form and UNKNOWN not in self.__dict__:
            return self.__dict__
        known = schema.properties
        return {
            (known[name].wire if name in known else name): (
                known[name].kind.dump(value) if name in known else value
            )
            for name, value in self._items()
        }

    @classmethod
    def _list_as_wire(cls, models: Sequence[Any]) -> Sequence[Any]:
        """Return the list that `json` writes, without a call of `_as_wire` per model."""
        if not cls._schema().is_wire_form:
            return models
        return [
            model.__dict__ if type(model) is cls and UNKNOWN not in model.__dict__ else model
            for model in models
        ]

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name) if name in self._schema().properties else self._undeclared(name)

    def __setitem__(self, name: str, value: Any) -> None:
        prop = self._schema().properties.get(name)
        if prop is None:
            self._set_undeclared(name, value)
        else:
            if prop.is_absent(value):
                self.__dict__.pop(name, None)
                return
            prop.check(value)
            self.__dict__[name] = value

    if not TYPE_CHECKING:
        # Checkers would take every name for an attribute.
        __getattr__, __setattr__ = _undeclared, __setitem__

    def __contains__(self, name: object) -> bool:
        return name in (
            self.__dict__ if name in self._schema().properties else self.__dict__.get(UNKNOWN, {})
        )

    def __dir__(self) -> list[str]:
        unset = {p.name for p in self._schema().lazy if p.name not in self.__dict__}
        names = {*super().__dir__(), *self.__dict__.get(UNKNOWN, ())}
        return sorted(names - unset - {UNKNOWN})

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or the default if it is not set."""
        return self[name] if name in self else default  # noqa: SIM401 (this is `get`)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their Python names, with nested models as dicts."""
        return {name: plain(value) for name, value in self._items()}

    def to_str(self) -> str:
        """Return the values formatted for reading, with secrets hidden."""
        from pprint import pformat

        return pformat(plain(self, hide=True))

    __repr__ = __str__ = to_str

    def _repr_html_(self) -> str:
        """Return a table for notebooks; of a page of a listing, a row for each result."""
        from lakefs_client._html import listing_table, properties_table

        values: Any = plain(self, hide=True)
        results = values.get("results")
        if "pagination" in values and all(isinstance(one, dict) for one in results):
            rows = [_in_order(type(one), row) for one, row in zip(self["results"], results)]
            return listing_table(type(self).__name__, rows)
        return properties_table(type(self).__name__, _in_order(type(self), values))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return dict(self._items()) == dict(other._items())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        # `copy` looks for this on the model, where it would find a key of that name.
        from copy import deepcopy

        return _restore(type(self), deepcopy(dict(self._items()), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), dict(self._items()))


def _in_order(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values in the order of the properties' declaration, unknown ones last."""
    return {name: values[name] for name in (*cls.openapi_types, *values) if name in values}


_set_dict = Model.__dict__["__dict__"].__set__


class ListModel(list[Item]):
    """A value of the API that is a list of models."""

    @property
    def value(self) -> list[Item]:
        """The list itself, under the name that older releases gave it."""
        return self


def _restore(cls: type[Model], values: dict[str, Any]) -> Model:
    """Make a model from the values of another, which need no check."""
    known = cls._schema().properties
    model = cls.__new__(cls)
    for name, value in values.items():
        if name in known:
            model.__dict__[name] = value
        else:
            model.__dict__.setdefault(UNKNOWN, {})[name] = value
    return model


def plain(value: Any, *, wire: bool = False, hide: bool = False) -> Any:
    """Turn models into dicts, however deep.

    Args:
        value: A model, or what may hold some.
        wire: True for names in JSON.
        hide: True to hide secrets.
    """
    if isinstance(value, Model):
        secret = value._secret if hide else ()
        known = value._schema().properties if hide else ()
        return {
            name: HIDDEN
            if item and (name in secret or (hide and name not in known and is_secret_name(name)))
            else plain(item, wire=wire, hide=hide)
            for name, item in (value._as_wire().items() if wire else value._items())
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, wire=wire, hide=hide) for item in value]
    if isinstance(value, dict):
        return {name: plain(item, wire=wire, hide=hide) for name, item in value.items()}
    return redact(value) if hide and isinstance(value, str) and "=" in value else value


def secret_values(value: Any, *, secret: bool = False) -> Iterator[str]:
    """Yield the secrets in a body: models, dicts and lists, however deep."""
    if isinstance(value, Model):
        hidden = value._secret
        for name, item in value._items():
            yield from secret_values(item, secret=secret or name in hidden or is_secret_name(name))
    elif isinstance(value, dict):
        for name, item in value.items():
            named = isinstance(name, str) and is_secret_name(name)
            yield from secret_values(item, secret=secret or named)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secret_values(item, secret=secret)
    elif secret and isinstance(value, str):
        yield value
