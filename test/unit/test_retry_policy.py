"""RetryPolicy: validation, waits, and conversion of `Configuration.retries`."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import Retry

from lakefs_client import ApiClient, ApiTypeError, ApiValueError, Configuration, RetryPolicy
from lakefs_client.apis import HealthCheckApi
from lakefs_client.retry import retry_policy


def test_policy_has_documented_defaults() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.min_wait, policy.max_wait) == (5, 0.2, 20.0)
    assert (policy.max_retry_after, policy.deadline) == (60.0, None)


def test_policy_is_an_immutable_value() -> None:
    policy = RetryPolicy(attempts=3, deadline=10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.attempts = 4  # type: ignore[misc]
    assert policy == RetryPolicy(3, deadline=10.0)
    assert hash(policy) == hash(RetryPolicy(3, deadline=10.0))
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert dataclasses.replace(policy, attempts=1).attempts == 1


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("attempts", 0, ApiValueError),
        ("attempts", -1, ApiValueError),
        ("attempts", 2.0, ApiTypeError),
        ("attempts", True, ApiTypeError),
        ("attempts", "3", ApiTypeError),
        ("attempts", None, ApiTypeError),
        *(
            (name, value, error)
            for name in ("min_wait", "max_wait", "max_retry_after", "deadline")
            for value, error in [
                (-0.1, ApiValueError),
                (math.inf, ApiValueError),
                (math.nan, ApiValueError),
                ("1", ApiTypeError),
                (True, ApiTypeError),
            ]
        ),
        ("min_wait", None, ApiTypeError),
        ("max_wait", None, ApiTypeError),
        ("max_retry_after", None, ApiTypeError),
    ],
)
def test_invalid_setting_is_named(setting: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"RetryPolicy.{setting}"):
        RetryPolicy(**{setting: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, 0.0, 7, 1e9])
def test_durations_accept_zero_and_integers(value: float) -> None:
    policy = RetryPolicy(min_wait=value, max_wait=value, max_retry_after=value, deadline=value)
    assert policy.deadline == value


@pytest.mark.parametrize(
    ("failures", "limit"),
    [(1, 0.2), (2, 0.4), (3, 0.8), (7, 12.8), (8, 20), (9, 20), (2000, 20)],
)
def test_waits_double_up_to_max_wait(failures: int, limit: float) -> None:
    policy = RetryPolicy()
    assert policy.wait(failures, None, 0.0) == 0.0
    assert policy.wait(failures, None, 0.5) == pytest.approx(limit / 2)


@given(
    st.integers(1, 10_000),
    st.none() | st.floats(0, 1e6),
    st.floats(0, 1, exclude_max=True),
    st.builds(
        RetryPolicy,
        min_wait=st.floats(0, 1e300),
        max_wait=st.floats(0, 1e300),
        max_retry_after=st.floats(0, 1e5),
    ),
)
def test_wait_respects_its_limits(
    failures: int, retry_after: float | None, chance: float, policy: RetryPolicy
) -> None:
    wait = policy.wait(failures, retry_after, chance)
    if retry_after is not None and retry_after > policy.max_retry_after:
        assert wait is None
    else:
        assert wait is not None
        assert (retry_after or 0) <= wait <= max(policy.max_wait, retry_after or 0)


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        (None, RetryPolicy()),
        (RetryPolicy(attempts=9), RetryPolicy(attempts=9)),
        (False, RetryPolicy(attempts=1)),
        (0, RetryPolicy(attempts=1)),
        (3, RetryPolicy(attempts=4)),
        (Retry(3), RetryPolicy(attempts=4, max_wait=120)),
        (Retry(0), RetryPolicy(attempts=1, max_wait=120)),
        (Retry(total=False), RetryPolicy(attempts=1, max_wait=120)),
        (
            Retry(2, backoff_factor=0.5, backoff_max=8),
            RetryPolicy(attempts=3, min_wait=0.5, max_wait=8),
        ),
        (Retry(2, redirect=7, raise_on_redirect=False), RetryPolicy(attempts=3, max_wait=120)),
    ],
)
def test_configured_retries_become_a_policy(given: Any, policy: RetryPolicy) -> None:
    assert retry_policy(given) == policy


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (True, ApiTypeError, "True"),
        ("3", ApiTypeError, "str"),
        (1.5, ApiTypeError, "float"),
        ([3], ApiTypeError, "list"),
        (-1, ApiValueError, "negative"),
        (Retry(connect=3), ApiValueError, "connect"),
        (Retry(connect=0), ApiValueError, "connect"),
        (Retry(read=2), ApiValueError, "read"),
        (Retry(read=False), ApiValueError, "read"),
        (Retry(status=1), ApiValueError, "status"),
        (Retry(other=1), ApiValueError, "other"),
        (Retry(status_forcelist=[503]), ApiValueError, "status_forcelist"),
        (Retry(allowed_methods=None), ApiValueError, "allowed_methods"),
        (Retry(allowed_methods=["POST"]), ApiValueError, "allowed_methods"),
        (Retry(total=None), ApiValueError, "no limit"),
        (Retry(total=-1), ApiValueError, "attempts"),
    ],
)
def test_unsupported_retries_raise_before_sending(
    given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        retry_policy(given)
    configuration = Configuration("http://127.0.0.1:1")
    configuration.retries = given
    with ApiClient(configuration) as client, pytest.raises(error, match=message):
        HealthCheckApi(client).health_check()
