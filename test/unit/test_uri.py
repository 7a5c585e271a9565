"""Addresses of objects: parsing like lakectl's, and formatting of every key."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefs_client import ApiTypeError, ApiValueError
from lakefs_client.uri import Address, ObjectRef

repositories = st.from_regex(r"[a-z0-9][a-z0-9-]{2,62}", fullmatch=True)
characters = st.characters(exclude_categories=["Cs"])
refs = st.text(characters, min_size=1).filter(
    lambda text: "/" not in text and not any(c.isspace() or c in "\x1c\x1d\x1e\x1f" for c in text)
)
keys = st.text(characters | st.sampled_from("/?#% &+~^@:\\"), min_size=1)


@given(repositories, refs, keys)
def test_object_ref_round_trips_as_address(repository: str, ref: str, key: str) -> None:
    place = ObjectRef(repository, ref, key)
    address = str(place)
    assert ObjectRef.parse(address) == place
    assert "?" not in address  # lakectl would end the path there
    assert "#" not in address
    assert address.isprintable() or any(ord(c) > 127 for c in address)


@given(repositories, st.none() | refs, st.none() | keys | st.just(""))
def test_partial_address_round_trips(repository: str, ref: str | None, path: str | None) -> None:
    address = Address(repository, ref, path if ref else None)
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lakefs://repo", ("repo", None, None)),
        ("lakefs://repo/", ("repo", None, None)),
        ("lakefs://repo/main", ("repo", "main", None)),
        ("lakefs://repo/main/", ("repo", "main", "")),
        ("lakefs://repo/main~1/a", ("repo", "main~1", "a")),
        ("lakefs://repo/main^2/a", ("repo", "main^2", "a")),
        ("lakefs://repo/main@/a", ("repo", "main@", "a")),
        ("lakefs://repo/main$/a", ("repo", "main$", "a")),
        ("lakefs://repo/v1.0/a", ("repo", "v1.0", "a")),
        ("lakefs://repo/main/a/b.txt", ("repo", "main", "a/b.txt")),
        ("lakefs://repo/main//a//b/", ("repo", "main", "/a//b/")),
        ("lakefs://repo/main/a%20b", ("repo", "main", "a b")),
        ("lakefs://repo/main/a b", ("repo", "main", "a b")),
        ("lakefs://repo/main/a+b", ("repo", "main", "a+b")),
        ("lakefs://repo/main/../a/./b", ("repo", "main", "../a/./b")),
        ("lakefs://repo/main/what?no#yes", ("repo", "main", "what?no#yes")),
        ("lakefs://repo/main/100%", ("repo", "main", "100%")),
        ("lakefs://repo/main/100%25", ("repo", "main", "100%")),
        ("lakefs://repo/main/%25zz", ("repo", "main", "%zz")),
        ("LAKEFS://repo/main/a", ("repo", "main", "a")),
        ("lakefs://repo/main/ключ", ("repo", "main", "ключ")),
        ("lakefs://repo/main/a://b", ("repo", "main", "a://b")),
    ],
)
def test_address_is_parsed_like_lakectl(
    text: str, parts: tuple[str, str | None, str | None]
) -> None:
    assert Address.parse(text) == Address(*parts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a lakeFS address: got '', expected lakefs://REPOSITORY/REF/PATH"),
        ("repo/main/a", "not a lakeFS address"),
        ("s3://bucket/key", "not a lakeFS address: got 's3://bucket/key'"),
        ("lakefs:/repo/main/a", "not a lakeFS address"),
        ("lakefs://", "invalid repository name"),
        ("lakefs:///main/a", "invalid repository name"),
        ("lakefs://Repo/main/a", "invalid repository name in an address: got 'Repo'"),
        ("lakefs://ab/main/a", "invalid repository name"),
        ("lakefs://repo:8000/main/a", "invalid repository name"),
        ("lakefs://repo?x/main/a", "invalid repository name"),
        ("lakefs://repo//a", "invalid ref: got ''"),
        ("lakefs://repo/ma in/a", "invalid ref: got 'ma in'"),
        ("lakefs://repo/main/%ff", "invalid escapes in an address"),
    ],
)
def test_malformed_address_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ApiValueError) as caught:
        Address.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["lakefs://me:pass@repo/main/a", "https://me:pass@host/a"])
def test_error_hides_password_of_address(text: str) -> None:
    with pytest.raises(ApiValueError) as caught:
        Address.parse(text)
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lakefs://repo", "address without a ref: got 'lakefs://repo'"),
        ("lakefs://repo/main", "address without a path"),
        ("lakefs://repo/main/", "address without a path"),
    ],
)
def test_object_ref_needs_ref_and_path(text: str, message: str) -> None:
    with pytest.raises(ApiValueError) as caught:
        ObjectRef.parse(text)
    assert message in str(caught.value)


def test_invalid_address_parts_are_rejected() -> None:
    for repository, ref in (("a/b", "main"), ("", "main"), ("repo", "a/b"), ("repo", "")):
        with pytest.raises(ApiValueError, match=r"invalid (repository|ref)"):
            ObjectRef(repository, ref, "a")
    with pytest.raises(ApiValueError, match="path without a ref"):
        Address("repo", None, "a")
    with pytest.raises(ApiTypeError, match="path must be a str, not bytes"):
        ObjectRef("repo", "main", b"a")  # type: ignore[arg-type]
    with pytest.raises(ApiTypeError, match="address must be a str, not NoneType"):
        ObjectRef.parse(None)  # type: ignore[arg-type]


def test_object_ref_is_a_frozen_value() -> None:
    place = ObjectRef("repo", "main", "a")
    assert {place: 1}[ObjectRef("repo", "main", "a")] == 1
    assert pickle.loads(pickle.dumps(place)) == copy.deepcopy(place) == place
    with pytest.raises(FrozenInstanceError):
        place.path = "b"  # type: ignore[misc]
