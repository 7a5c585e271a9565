"""How many requests are under way at a time, and what a store's wish to slow down does to that."""

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
from lakefs_client.transfer.throttle import Throttle


def yes() -> bool:
    return True


class Gates(RuleBasedStateMachine):
    """Requests come and go, one after another."""

    tickets = Bundle("tickets")

    @initialize(most=st.integers(1, 20))
    def make(self, most: int) -> None:
        self.most = most
        self.gate = Throttle(most)
        self.inside = 0

    @precondition(lambda self: self.inside < self.gate.limit)
    @rule(target=tickets)
    def enter(self) -> int:
        ticket = self.gate.enter()
        assert ticket is not None
        self.inside += 1
        return ticket

    @precondition(lambda self: self.inside >= self.gate.limit)
    @rule()
    def there_is_no_place(self) -> None:
        assert self.gate.enter(yes) is None

    @rule(ticket=consumes(tickets))
    def succeed(self, ticket: int) -> None:
        before = self.gate.limit
        self.gate.leave(ticket)
        self.inside -= 1
        assert before <= self.gate.limit <= min(self.most, before + 1)

    @rule(ticket=consumes(tickets))
    def be_asked_to_slow_down(self, ticket: int) -> None:
        before, halvings = self.gate.limit, self.gate.halvings
        self.gate.leave(ticket, slow_down=True)
        self.inside -= 1
        if ticket == halvings:
            assert self.gate.limit == max(1, before // 2)
            assert self.gate.halvings == halvings + 1
        else:
            # It was under way already when another brought the same wish.
            assert (self.gate.limit, self.gate.halvings) == (before, halvings)

    @precondition(lambda self: self.inside == 0)
    @rule()
    def grow_back(self) -> None:
        """One more a round: sum(1..most) requests are enough."""
        for _ in range(self.most * (self.most + 1) // 2):
            ticket = self.gate.enter()
            assert ticket is not None
            self.gate.leave(ticket)
        assert self.gate.limit == self.most

    @invariant()
    def the_limit_has_limits(self) -> None:
        assert 1 <= self.gate.limit <= self.most


TestGates = Gates.TestCase
TestGates.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_burst_of_wishes_halves_once() -> None:
    gate = Throttle(8)
    tickets = [gate.enter() for _ in range(8)]
    for ticket in tickets:
        assert ticket is not None
        gate.leave(ticket, slow_down=True)
    assert (gate.limit, gate.halvings) == (4, 1)


def test_a_round_without_a_wish_adds_one() -> None:
    gate = Throttle(8)
    gate.leave(gate.enter() or 0, slow_down=True)
    for expected in (5, 6, 7, 8, 8):
        tickets = [gate.enter() for _ in range(gate.limit)]
        for ticket in tickets:
            assert ticket is not None
            gate.leave(ticket)
        # The last of a round finds a limit that has grown already.
        assert gate.limit in (expected - 1, expected)
        if gate.limit < expected:
            gate.leave(gate.enter() or 0)
        assert gate.limit == expected


def test_nobody_is_forgotten() -> None:
    """Threads that come and go as they please all get in, and never too many at a time."""
    gate, lock = Throttle(5), threading.Lock()
    inside = most = 0

    def work(number: int) -> None:
        nonlocal inside, most
        chance = random.Random(number)
        for _ in range(50):
            ticket = gate.enter()
            assert ticket is not None
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(chance.random() / 5000)
            with lock:
                inside -= 1
            gate.leave(ticket, slow_down=chance.random() < 0.1)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert 1 < most <= 5
    assert gate.halvings > 1


def test_waiting_can_be_given_up() -> None:
    gate, given_up, asked = Throttle(1), threading.Event(), threading.Event()
    ticket = gate.enter()
    assert ticket is not None

    def is_given_up() -> bool:
        asked.set()
        return given_up.is_set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.enter, is_given_up)
        assert asked.wait(60)
        gate.wake()  # for nothing
        given_up.set()
        gate.wake()
        assert waiting.result(60) is None
    gate.leave(ticket)
    assert gate.enter(yes) == 0


class Door:
    """What stands before a blockstore's writing: it counts, and holds whoever comes.

    Attributes:
        inside: How many are being held or served.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self.inside = 0

    @contextmanager
    def pass_through(self) -> Iterator[None]:
        with self._changed:
            self.inside += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open, 60)
        try:
            yield
        finally:
            with self._changed:
                self.inside -= 1

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.inside >= count, 60)

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(("halvings", "expected"), [(0, 6), (1, 3), (2, 2)])
def test_the_store_sees_fewer_requests_after_its_wish(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, status: int, halvings: int, expected: int
) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART, max_concurrency=6))

    def upload(size: int, path: str = PATH) -> None:
        transfer.upload_file(bench.file(size, f"of-{size}"), "repo", "main", path)

    for _ in range(halvings):
        # A part that is there in the end, at the second attempt.
        bench.sandbox.faults.add("store_put_part", "status", status=status)
        upload(PART)
    assert transfer.gate.halvings == halvings
    door = Door()
    write = bench.sandbox.blockstore.write

    def held(*args: Any) -> Any:
        with door.pass_through():
            return write(*args)

    monkeypatch.setattr(bench.sandbox.blockstore, "write", held)
    with ThreadPoolExecutor(2) as pool:
        # Two uploads, which have one limit in common.
        uploads = [pool.submit(upload, 3 * PART + n, f"{n}") for n in range(2)]
        try:
            door.wait_for(expected)
            time.sleep(0.2)  # for those that should not come
            assert door.inside == expected == transfer.gate.limit
        finally:
            door.open()
        for one in uploads:
            one.result(60)
    for n in range(2):
        bench.assert_whole(content(3 * PART + n), f"{n}")


def test_other_failures_are_no_wish(bench: Bench) -> None:
    transfer = Transfer(bench.client, TransferConfig(part_size=PART))
    for kind, options in FAILURES:
        bench.sandbox.faults.add("store_put_part", kind, **options)
        transfer.upload_file(bench.file(PART), "repo", "main", PATH)
    assert bench.sandbox.faults.pending == []
    assert transfer.gate.halvings == 0


FAILURES: Iterable[tuple[Any, dict[str, Any]]] = (
    ("status", {"status": 500}),
    ("status", {"status": 502}),
    ("reset_during", {"at": 9}),
    ("reset_after", {}),
    ("corrupt", {}),
    ("expired", {}),
)


@pytest.mark.parametrize("kind", ["status", "status_late", "reset_before", "expired"])
def test_a_failed_upload_gives_its_places_back(bench: Bench, kind: Any) -> None:
    config = TransferConfig(part_size=PART, max_concurrency=2)
    transfer = Transfer(bench.client, config)
    source = bench.file(4 * PART)
    options: dict[str, Any] = {"status": 503} if "status" in kind else {}
    bench.sandbox.faults.add("store_put_part", kind, times=9, **options)
    with pytest.raises(Exception, match="part"):
        transfer.upload_file(source, "repo", "main", PATH)
    bench.sandbox.faults.clear()
    first = transfer.gate.enter(yes)
    assert first is not None
    transfer.gate.leave(first)
    transfer.upload_file(source, "repo", "main", PATH)
    bench.assert_whole(content(4 * PART))
