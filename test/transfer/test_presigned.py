"""Lifetime of presigned URLs, and their renewal."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.bench import MovableClock

from lakefs_client.transfer.presigned import MARGIN, ExpiringUrl, SignedUrl, is_azure, lifetime

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
DATE = "Wed, 04 Mar 2026 05:06:07 GMT"
AMZ = "20260304T050607Z"


def url(**query: str) -> str:
    pairs = {name.replace("_", "-"): value for name, value in query.items()}
    return f"https://store.example/key%2Cx?{urlencode(pairs)}"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        # Signature Version 4 of AWS and Google.
        (url(X_Amz_Date=AMZ, X_Amz_Expires="900"), 900),
        (url(X_Goog_Date=AMZ, X_Goog_Expires="3600"), 3600),
        (url(x_amz_date=AMZ, x_amz_expires="900"), 900),
        # Signed before the answer was written, or by a clock ahead of it.
        (url(X_Amz_Date="20260304T050507Z", X_Amz_Expires="900"), 840),
        (url(X_Amz_Date="20260304T050617Z", X_Amz_Expires="900"), 910),
        (url(X_Amz_Date="20260303T050607Z", X_Amz_Expires="900"), 900 - 86400),
        # Signature Version 2 of AWS and Google.
        (url(Expires=str(int(NOW.timestamp()) + 60), Signature="x"), 60),
        # Azure, with all the forms of time that it signs.
        (url(se="2026-03-04T05:16:07Z", sig="x"), 600),
        (url(se="2026-03-04T05:16:07.5000000Z", sig="x"), 600),
        (url(se="2026-03-04T05:16Z", sig="x"), 593),
        (url(se="2026-03-04T07:16:07+02:00", sig="x"), 600),
        (url(se="2026-03-05", sig="x"), 18 * 3600 + 53 * 60 + 53),
        # No lifetime.
        (url(), None),
        (url(partNumber="1"), None),
        ("", None),
        ("not a URL", None),
        (url(X_Amz_Expires="900"), None),
        (url(X_Amz_Date=AMZ), None),
        (url(X_Amz_Date=AMZ, X_Amz_Expires="soon"), None),
        (url(X_Amz_Date="yesterday", X_Amz_Expires="900"), None),
        (url(X_Amz_Date="20261304T050607Z", X_Amz_Expires="900"), None),
        (url(X_Amz_Date=AMZ, X_Amz_Expires=""), None),
        (url(Expires="tomorrow"), None),
        (url(se="9999999999"), None),
        # The host is not checked.
        (f"http://[/?X-Amz-Date={AMZ}&X-Amz-Expires=9#X-Amz-Expires=5", 9),
    ],
)
def test_lifetime(address: str, expected: float | None) -> None:
    assert lifetime(SignedUrl(address, DATE)) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize("date", [None, "", "now", "Wed, 99 Mar 2026 05:06:07 GMT", "0", "(" * 99])
def test_lifetime_requires_date_of_answer(date: str | None) -> None:
    assert lifetime(SignedUrl(url(X_Amz_Date=AMZ, X_Amz_Expires="900"), date)) is None


@given(
    skew=st.timedeltas(timedelta(days=-3000), timedelta(days=3000)),
    life=st.integers(1, 7 * 86400),
    store=st.sampled_from(["X-Amz-", "X-Goog-"]),
)
def test_lifetime_ignores_clock_skew(skew: timedelta, life: int, store: str) -> None:
    moment = (NOW + skew).replace(microsecond=0)
    signed = moment.strftime("%Y%m%dT%H%M%SZ")
    address = f"https://s.example/k?{store}Date={signed}&{store}Expires={life}"
    assert lifetime(SignedUrl(address, format_datetime(moment, usegmt=True))) == life


# Digits of other scripts, signs, huge numbers, years out of range.
malformed = st.text(max_size=30) | st.sampled_from(
    [
        AMZ,
        DATE,
        "900",
        "-900",
        "+1",
        "1_0",
        "٣",
        "9" * 400,
        "9" * 5000,
        "1e400",
        "nan",
        "00010101T000000Z",
        "99991231T235959Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 01 Jan 99999 00:00:00 GMT",
    ]
)
names = st.sampled_from(
    ["X-Amz-Date", "X-Amz-Expires", "X-Goog-Date", "X-Goog-Expires", "Expires", "se", "sig", "sv"]
)


@given(query=st.dictionaries(names, malformed), date=st.none() | malformed)
@example(query={"X-Amz-Date": AMZ, "X-Amz-Expires": "9" * 400}, date=DATE)
@example(query={"Expires": "9" * 400}, date=DATE)
@example(query={"Expires": "9" * 5000}, date=DATE)
@example(query={"se": "0001-01-01T00:00:00+23:59"}, date=DATE)
@example(query={"se": "2026-03-04"}, date="Mon, 01 Jan 0001 00:00:00 +2359")
def test_malformed_query_gives_number_or_none(query: dict[str, str], date: str | None) -> None:
    signed = SignedUrl(f"https://store.example/key?{urlencode(query)}", date)
    found = lifetime(signed)
    assert found is None or isinstance(found, float)
    assert is_azure(signed.url) in (True, False)


@given(st.text(max_size=60), st.none() | st.text(max_size=40))
@example("http://[", None)
@example("http://[x]/?se=1", "x")
def test_malformed_url_gives_number_or_none(address: str, date: str | None) -> None:
    found = lifetime(SignedUrl(address, date))
    assert found is None or isinstance(found, float)
    assert is_azure(address) in (True, False)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (url(sv="2024-11-04", se="2026-03-04T05:16:07Z", sr="b", sp="cw", sig="abc="), True),
        (url(X_Amz_Date=AMZ, X_Amz_Expires="900", X_Amz_Signature="x"), False),
        (url(sv="2024-11-04", sig="x"), False),
        (url(), False),
    ],
)
def test_azure_urls_are_recognized_by_signature(address: str, expected: bool) -> None:
    assert is_azure(address) is expected


class Maker:
    """Makes numbered URLs with the same lifetime, and counts them."""

    def __init__(self, life: int | None = 100) -> None:
        self.made = 0
        self.life = life

    def __call__(self) -> SignedUrl:
        self.made += 1
        query = {} if self.life is None else {"X_Amz_Date": AMZ, "X_Amz_Expires": str(self.life)}
        return SignedUrl(url(n=str(self.made), **query), DATE)


def test_url_is_renewed_shortly_before_expiry() -> None:
    clock, make = MovableClock(), Maker(100)
    expiring = ExpiringUrl(make, clock, make(), clock.now)
    first = expiring.get()
    clock.now += 100 - MARGIN - 0.1
    assert expiring.get() == first
    assert make.made == 1
    clock.now += 0.2
    assert expiring.get() != first
    assert make.made == 2
    # The lifetime of the new URL starts now.
    clock.now += 100 - MARGIN - 0.1
    assert make.made == 2
    assert expiring.get() == expiring.get()
    assert make.made == 2


def test_lifetime_starts_at_answer() -> None:
    clock, make = MovableClock(), Maker(100)
    expiring = ExpiringUrl(make, clock, make(), clock.now - 90)
    expiring.get()
    assert make.made == 2


def test_url_without_lifetime_is_used_until_renewed() -> None:
    clock, make = MovableClock(), Maker(None)
    expiring = ExpiringUrl(make, clock, make(), clock.now)
    first = expiring.get()
    clock.now += 1e6
    assert expiring.get() == first
    expiring.renew()
    assert expiring.get() != first
    assert make.made == 2


def test_missing_url_is_made_on_first_use() -> None:
    make = Maker()
    expiring = ExpiringUrl(make, MovableClock())
    assert make.made == 0
    assert expiring.get() == expiring.get()
    assert make.made == 1


def test_lifetime_below_margin_makes_one_url_per_use() -> None:
    clock, make = MovableClock(), Maker(5)
    expiring = ExpiringUrl(make, clock, make(), clock.now)
    for _ in range(3):
        assert expiring.get()
    # One URL at the start, and one for each use.
    assert make.made == 4


def test_url_renewed_by_another_thread_is_not_renewed_again() -> None:
    clock, made = MovableClock(), 0

    def make() -> SignedUrl:
        nonlocal made
        made += 1
        # URLs that are made in the same second are equal.
        return SignedUrl(f"https://store/?at={clock.now}", None)

    expiring = ExpiringUrl(make, clock)
    refused = expiring.get()
    expiring.renew(refused)
    expiring.renew(refused)
    assert made == 2
    expiring.renew(expiring.get())
    assert made == 3
