"""Round trips of random models through JSON, copies and pickles."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefs_client import ApiClient, Configuration
from lakefs_client._encode import to_json
from lakefs_client.exceptions import InvalidAnswerError
from lakefs_client.models import (
    ActionRun,
    Commit,
    CommitCreation,
    CommitList,
    CompletePresignMultipartUpload,
    ExternalLoginInformation,
    ExternalPrincipalCreation,
    ExternalPrincipalSettings,
    LoginConfig,
    ObjectStats,
    ObjectStatsList,
    ObjectUserMetadata,
    Pagination,
    Policy,
    PresignMultipartUpload,
    Ref,
    StagingLocation,
    Statement,
    StatsEvent,
    UploadPart,
)

CLIENT = ApiClient(Configuration())

text = st.text(max_size=20)
number = st.integers(-(2**70), 2**70)
count = st.integers(0, 2**40)
json_values: Any = st.recursive(
    st.none() | st.booleans() | number | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
texts = st.dictionaries(text, text, max_size=3)
moments = st.datetimes(
    datetime(1000, 1, 1),
    timezones=st.just(timezone.utc)
    | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)


class Response:
    """A response, as `ApiClient.deserialize` takes it."""

    def __init__(self, data: Any) -> None:
        self.data = data


def model(cls: type[Any], *required: Any, **optional: Any) -> Any:
    """Return a strategy for a model with some optional and some unknown properties."""

    def make(args: tuple[Any, ...], kwargs: dict[str, Any], unknown: dict[str, Any]) -> Any:
        instance = cls(*args, **kwargs)
        for name, value in unknown.items():
            if name not in instance.attribute_map and name not in instance.attribute_map.values():
                instance[name] = value
        return instance

    unknown = st.just({}) | st.dictionaries(text, json_values, max_size=2)
    return st.builds(
        make, st.tuples(*required), st.fixed_dictionaries({}, optional=optional), unknown
    )


def maps(cls: type[Any]) -> Any:
    def make(entries: dict[str, str]) -> Any:
        instance = cls()
        for name, value in entries.items():
            instance[name] = value
        return instance

    return texts.map(make)


def lists(inner: Any) -> Any:
    return st.lists(inner, max_size=3)


metadata = maps(ObjectUserMetadata)
stats = model(
    ObjectStats, text, st.sampled_from(["object", "common_prefix"]), text, text, number,
    size_bytes=number, metadata=metadata, content_type=text, physical_address_expiry=number,
)  # fmt: skip
pagination = model(Pagination, st.booleans(), text, count, count)
commit = model(
    Commit, text, lists(text), text, text, number, text,
    metadata=texts, generation=number, version=st.integers(0, 1),
)  # fmt: skip
statement = model(
    Statement, st.sampled_from(["allow", "deny"]), text, st.lists(text, min_size=1, max_size=3)
)

MODELS = {
    Ref: model(Ref, text, text),
    ObjectUserMetadata: metadata,
    ObjectStats: stats,
    ObjectStatsList: model(ObjectStatsList, pagination, lists(stats)),
    CommitCreation: model(CommitCreation, text, metadata=texts, date=number),
    CommitList: model(CommitList, pagination, lists(commit)),
    CompletePresignMultipartUpload: model(
        CompletePresignMultipartUpload, text, lists(model(UploadPart, number, text)),
        user_metadata=texts, content_type=text,
    ),
    PresignMultipartUpload: model(
        PresignMultipartUpload, text, text, presigned_urls=lists(text)
    ),
    ExternalLoginInformation: model(
        ExternalLoginInformation, st.dictionaries(text, json_values, max_size=3),
        token_expiration_duration=number,
    ),
    StagingLocation: model(
        StagingLocation, physical_address=text, presigned_url=st.none() | text,
        presigned_url_expiry=number,
    ),
    StatsEvent: model(StatsEvent, text, text, number),
    LoginConfig: model(
        LoginConfig, text, lists(text), text,
        rbac=st.sampled_from(["none", "simplified", "internal", "external"]),
    ),
    ActionRun: model(
        ActionRun, text, text, moments, text, st.sampled_from(["failed", "completed"]), text,
        end_time=moments,
    ),
    Policy: model(
        Policy, text, st.lists(statement, min_size=1, max_size=2), creation_date=number
    ),
    ExternalPrincipalCreation: model(
        ExternalPrincipalCreation, settings=maps(ExternalPrincipalSettings)
    ),
}  # fmt: skip


def through_json(value: Any) -> Any:
    return CLIENT.deserialize(Response(to_json(value)), (type(value),))


def through_python_names(value: Any) -> Any:
    """Load a model from a dict, as callers pass it."""
    from lakefs_client import _annotations, _kinds

    return _annotations.kind_of(type(value), {}.__getitem__).load(
        value.to_dict(), (), _kinds.CALLER
    )


WAYS: dict[str, Callable[[Any], Any]] = {
    "json": through_json,
    "json, twice": lambda value: through_json(through_json(value)),
    "a dict": through_python_names,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "json and pickle": lambda value: pickle.loads(pickle.dumps(through_json(value))),
}


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_model_survives_round_trip(cls: type[Any]) -> None:
    @given(MODELS[cls], st.sampled_from(sorted(WAYS)))
    def check(value: Any, way: str) -> None:
        before = to_json(value)
        result = WAYS[way](value)
        assert type(result) is cls
        assert result == value
        assert json.loads(to_json(result)) == json.loads(before)
        assert result.to_dict() == value.to_dict()
        assert to_json(value) == before

    check()


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_arbitrary_json_is_a_model_or_rejected(cls: type[Any]) -> None:
    wire = list(cls.attribute_map.values())

    @given(json_values | st.dictionaries(st.sampled_from(wire) if wire else text, json_values))
    def check_json(value: Any) -> None:
        data = json.dumps(value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dateutil warns about ambiguous dates
            try:
                result = CLIENT.deserialize(Response(data), (cls,))
            except InvalidAnswerError:
                return
        assert type(result) is cls
        assert repr(result)
        assert to_json(through_json(result)) == to_json(result)

    check_json()


@given(st.text(max_size=30) | st.from_regex(r"[0-9TZ:.+ \-]{0,30}", fullmatch=True))
def test_arbitrary_text_is_a_datetime_or_rejected(value: str) -> None:
    data = json.dumps(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            moment = CLIENT.deserialize(Response(data), (datetime,))
        except InvalidAnswerError:
            return
    assert isinstance(moment, datetime)
    assert json.loads(to_json(moment))
