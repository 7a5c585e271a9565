"""A minimal Parquet writer: one row group, required columns, no compression.

The format is described at https://parquet.apache.org/docs/file-format/. Metadata are in Thrift's
compact protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

_MAGIC = b"PAR1"
# Parquet's physical types, and Thrift's compact types.
_TYPES = {"int64": 2, "double": 5, "string": 6}
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_UTF8 = 0
_PLAIN, _RLE = 0, 3


class Column(NamedTuple):
    """A column: its name, its type (int64, double or string) and its values."""

    name: str
    type: str
    values: list[Any]


def write_parquet(rows: int, columns: list[Column]) -> bytes:
    """Return a Parquet file with `rows` rows."""
    data = bytearray(_MAGIC)
    chunks = []
    for column in columns:
        offset = len(data)
        page = _plain(column)
        # DataPageHeader: values, encoding, and the encodings of two absent level lists.
        page_header = _struct((1, _I32, rows), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE))
        data += _struct(
            (1, _I32, 0), (2, _I32, len(page)), (3, _I32, len(page)), (5, _STRUCT, page_header)
        )
        data += page
        chunks.append(_column_chunk(column, rows, offset, len(data) - offset))
    schema = [_struct((4, _BINARY, "schema"), (5, _I32, len(columns)))]
    schema += [_schema_element(column) for column in columns]
    size = len(data) - len(_MAGIC)
    group = _struct((1, _LIST, (_STRUCT, chunks)), (2, _I64, size), (3, _I64, rows))
    footer = _struct(
        (1, _I32, 1),
        (2, _LIST, (_STRUCT, schema)),
        (3, _I64, rows),
        (4, _LIST, (_STRUCT, [group])),
        (6, _BINARY, "lakefs_client sandbox"),
    )
    return bytes(data) + footer + struct.pack("<I", len(footer)) + _MAGIC


def _plain(column: Column) -> bytes:
    if column.type == "string":
        texts = (value.encode() for value in column.values)
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    code = {"int64": "q", "double": "d"}[column.type]
    return struct.pack(f"<{len(column.values)}{code}", *column.values)


def _schema_element(column: Column) -> bytes:
    required = 0
    fields = [(1, _I32, _TYPES[column.type]), (3, _I32, required), (4, _BINARY, column.name)]
    if column.type == "string":
        fields.append((6, _I32, _UTF8))
    return _struct(*fields)


def _column_chunk(column: Column, rows: int, offset: int, size: int) -> bytes:
    metadata = _struct(
        (1, _I32, _TYPES[column.type]),
        (2, _LIST, (_I32, [_zigzag(_PLAIN), _zigzag(_RLE)])),
        (3, _LIST, (_BINARY, [_binary(column.name)])),
        (4, _I32, 0),
        (5, _I64, rows),
        (6, _I64, size),
        (7, _I64, size),
        (9, _I64, offset),
    )
    return _struct((2, _I64, offset), (3, _STRUCT, metadata))


# Thrift's compact protocol


def _struct(*fields: tuple[int, int, Any]) -> bytes:
    """Return a struct. Each field is an id, a type and a value; ids ascend."""
    data, last = bytearray(), 0
    for id_, kind, value in fields:
        data.append((id_ - last) << 4 | kind)
        data += _value(kind, value)
        last = id_
    return bytes(data) + b"\0"


def _value(kind: int, value: Any) -> bytes:
    if kind in (_I32, _I64):
        return _zigzag(value)
    if kind == _BINARY:
        return _binary(value)
    if kind == _LIST:
        element_kind, elements = value
        return _list(element_kind, elements)
    encoded: bytes = value
    return encoded


def _list(kind: int, elements: Iterable[bytes]) -> bytes:
    elements = list(elements)
    if len(elements) < 15:
        return bytes([len(elements) << 4 | kind]) + b"".join(elements)
    return bytes([0xF0 | kind]) + _varint(len(elements)) + b"".join(elements)


def _binary(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
