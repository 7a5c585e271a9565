"""The limit of concurrent requests, and its reaction to a store that throttles."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.bench import PART, PATH, Bench, content

from lakefs_client.transfer import Transfer, TransferConfig
from lakefs_client.transfer.checksum import never
from lakefs_client.transfer.throttle import Throttle


def always() -> bool:
    return True


class Throttling(RuleBasedStateMachine):
    """Requests that start and end one after another."""

    tokens = Bundle("tokens")

    @initialize(most=st.integers(1, 20))
    def make(self, most: int) -> None:
        self.most = most
        self.throttle = Throttle(most)
        self.active = 0

    @precondition(lambda self: self.active < self.throttle.limit)
    @rule(target=tokens)
    def acquire(self) -> int:
        token = self.throttle.acquire(never)
        assert token is not None
        self.active += 1
        return token

    @precondition(lambda self: self.active >= self.throttle.limit)
    @rule()
    def acquire_is_cancelled_at_limit(self) -> None:
        assert self.throttle.acquire(always) is None

    @rule(token=consumes(tokens))
    def succeed(self, token: int) -> None:
        before = self.throttle.limit
        self.throttle.release(token)
        self.active -= 1
        assert before <= self.throttle.limit <= min(self.most, before + 1)

    @rule(token=consumes(tokens))
    def be_throttled(self, token: int) -> None:
        before, epoch = self.throttle.limit, self.throttle.epoch
        self.throttle.release(token, slow_down=True)
        self.active -= 1
        if token == epoch:
            assert self.throttle.limit == max(1, before // 2)
            assert self.throttle.epoch == epoch + 1
        else:
            # The request started before another one halved the limit.
            assert (self.throttle.limit, self.throttle.epoch) == (before, epoch)

    @precondition(lambda self: self.active == 0)
    @rule()
    def grow_back(self) -> None:
        """Each round adds one, so sum(1..most) requests are enough."""
        for _ in range(self.most * (self.most + 1) // 2):
            token = self.throttle.acquire(never)
            assert token is not None
            self.throttle.release(token)
        assert self.throttle.limit == self.most

    @invariant()
    def limit_is_within_bounds(self) -> None:
        assert 1 <= self.throttle.limit <= self.most


TestThrottling = Throttling.TestCase
TestThrottling.settings = settings(max_examples=60, stateful_step_count=40)


def test_burst_of_throttled_requests_halves_limit_once() -> None:
    throttle = Throttle(8)
    tokens = [throttle.acquire(never) for _ in range(8)]
    for token in tokens:
        assert token is not None
        throttle.release(token, slow_down=True)
    assert (throttle.limit, throttle.epoch) == (4, 1)


def test_successful_round_adds_one() -> None:
    throttle = Throttle(8)
    throttle.release(throttle.acquire(never) or 0, slow_down=True)
    for expected in (5, 6, 7, 8, 8):
        tokens = [throttle.acquire(never) for _ in range(throttle.limit)]
        for token in tokens:
            assert token is not None
            throttle.release(token)
        # The last request of a round counts against a limit that has grown already.
        assert throttle.limit in (expected - 1, expected)
        if throttle.limit < expected:
            throttle.release(throttle.acquire(never) or 0)
        assert throttle.limit == expected


def test_every_waiting_thread_gets_a_slot() -> None:
    """At most `limit` threads run at a time, and no thread waits forever."""
    throttle, lock = Throttle(5), threading.Lock()
    active = most = 0

    def work(number: int) -> None:
        nonlocal active, most
        chance = random.Random(number)
        for _ in range(50):
            token = throttle.acquire(never)
            assert token is not None
            with lock:
                active += 1
                most = max(most, active)
            time.sleep(chance.random() / 5000)
            with lock:
                active -= 1
            throttle.release(token, slow_down=chance.random() < 0.1)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert 1 < most <= 5
    assert throttle.epoch > 1


def test_acquire_returns_none_when_cancelled() -> None:
    throttle, cancelled, polled = Throttle(1), threading.Event(), threading.Event()
    token = throttle.acquire(never)
    assert token is not None

    def is_cancelled() -> bool:
        polled.set()
        return cancelled.is_set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(throttle.acquire, is_cancelled)
        assert polled.wait(60)
        throttle.wake()  # not cancelled yet
        cancelled.set()
        throttle.wake()
        assert waiting.result(60) is None
    throttle.release(token)
    assert throttle.acquire(always) == 0


class Barrier:
    """Counts the writes of a blockstore, and blocks them until it opens.

    Attributes:
        active: Number of writes that are blocked or running.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self.active = 0

    @contextmanager
    def pass_through(self) -> Iterator[None]:
        with self._changed:
            self.active += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open, 60)
        try:
            yield
        finally:
            with self._changed:
                self.active -= 1

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.active >= count, 60)

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(("epoch", "expected"), [(0, 6), (1, 3), (2, 2)])
def test_throttled_store_receives_fewer_concurrent_requests(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, status: int, epoch: int, expected: int
) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=6))

    def upload(size: int, path: str = PATH) -> None:
        transfer.upload_file(bench.file(size, f"of-{size}"), "repo", "main", path)

    for _ in range(epoch):
        # The second attempt at the part succeeds.
        bench.sandbox.faults.add("store_put_part", "status", status=status)
        upload(PART)
    assert transfer._context.throttle.epoch == epoch
    barrier = Barrier()
    write = bench.sandbox.blockstore.write

    def blocked_write(*args: Any) -> Any:
        with barrier.pass_through():
            return write(*args)

    monkeypatch.setattr(bench.sandbox.blockstore, "write", blocked_write)
    with ThreadPoolExecutor(2) as pool:
        # Two uploads share one limit.
        uploads = [pool.submit(upload, 3 * PART + n, f"{n}") for n in range(2)]
        try:
            barrier.wait_for(expected)
            time.sleep(0.2)  # for requests above the limit
            assert barrier.active == expected == transfer._context.throttle.limit
        finally:
            barrier.open()
        for future in uploads:
            future.result(60)
    for n in range(2):
        bench.assert_whole(content(3 * PART + n), f"{n}")


def test_other_failures_keep_limit(bench: Bench) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    for kind, options in FAILURES:
        bench.sandbox.faults.add("store_put_part", kind, **options)
        transfer.upload_file(bench.file(PART), "repo", "main", PATH)
    assert bench.sandbox.faults.pending == []
    assert transfer._context.throttle.epoch == 0


FAILURES: Iterable[tuple[Any, dict[str, Any]]] = (
    ("status", {"status": 500}),
    ("status", {"status": 502}),
    ("reset_during", {"at": 9}),
    ("reset_after", {}),
    ("corrupt", {}),
    ("expired", {}),
)


@pytest.mark.parametrize("kind", ["status", "status_late", "reset_before", "expired"])
def test_failed_upload_releases_its_slots(bench: Bench, kind: Any) -> None:
    config = TransferConfig(part_size=PART, max_concurrency=2)
    transfer = Transfer(bench.client, config)
    source = bench.file(4 * PART)
    options: dict[str, Any] = {"status": 503} if "status" in kind else {}
    bench.sandbox.faults.add("store_put_part", kind, times=9, **options)
    with pytest.raises(Exception, match="part"):
        transfer.upload_file(source, "repo", "main", PATH)
    bench.sandbox.faults.clear()
    first = transfer._context.throttle.acquire(always)
    assert first is not None
    transfer._context.throttle.release(first)
    transfer.upload_file(source, "repo", "main", PATH)
    bench.assert_whole(content(4 * PART))
