"""What a business must give so that its runs can be checked, and the checks.

Everything is checked on what is committed: the passes tell what was taken and when; feeding the pure part of the
business by them must give the very records that were written, and the state that the changelog folds to.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Protocol

import msgspec
from msgspec import Struct

from services.common.clock import Clock
from services.common.processor.log import Tail
from services.common.processor.ports import Batch, Change, HandlerFactory, Plan, Position, Record, Write
from services.common.processor.store import POSITION_KEY
from tests.simulation.broker import Broker
from tests.simulation.loop import Loop

_position = msgspec.msgpack.Decoder(Position).decode


class Taken(Struct, frozen=True, array_like=True):
    """What a pass record says: number, decision time, and (topic, first offset, last offset) of each input."""

    number: int
    now: int
    ranges: tuple[tuple[str, int, int], ...]


class Pure(Protocol):
    """The business of one partition without any I/O."""

    def decide(self, batch: Batch) -> tuple[Sequence[Write], Sequence[Change]]:
        """Return what comes out and what changes."""
        ...


class Business(Protocol):
    """One kind of business on the processor."""

    def __init__(self, partitions: int) -> None: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def partitions(self) -> int: ...

    @property
    def passes_topic(self) -> str: ...

    def publish(self, loop: Loop, broker: Broker, random: Random) -> float:
        """Let inputs arrive, and return when the last one does."""
        ...

    def handlers(self, clock: Clock) -> HandlerFactory:
        """Return what makes handlers in a process."""
        ...

    def pure(self, partition: int) -> Pure: ...

    def taken(self, record: Record) -> Taken | None:
        """Read a pass record; None for any other record."""
        ...

    def settled(self, state: Mapping[bytes, bytes], now: int) -> Mapping[bytes, bytes]:
        """Return what a state comes to when everything is freed that a handler may free sooner or later."""
        ...

    def promises(self, broker: Broker) -> Iterator[str]:
        """Return what is wrong in the eyes of the business."""
        ...


def committed(broker: Broker, topic: str, partition: int) -> list[Record]:
    """Return all committed records of a partition."""
    return broker.partition(Tail(topic, partition)).read(0, 1_000_000_000)[0]


def drained(business: Business, broker: Broker) -> bool:
    """Tell whether everything was taken, and no transaction is open."""
    if any(partition.open or partition.overdue for partition in broker.partitions.values()):
        return False
    for number in range(business.partitions):
        position = last_position(broker, Tail(business.plan.changelog, number))
        for wanted in business.plan.inputs:
            records = committed(broker, wanted.topic, number)
            if records and position.offsets.get(wanted.topic, 0) <= records[-1].offset:
                return False
    return True


def last_position(broker: Broker, changelog: Tail) -> Position:
    """Return where a partition stands by what is committed."""
    for entry in reversed(broker.partition(changelog).entries):
        if entry.key == POSITION_KEY and not entry.aborted and entry.value is not None:
            return _position(entry.value)
    return Position()


def folded(records: Iterable[Record]) -> dict[bytes, bytes]:
    """Return the state that a changelog holds, without its position."""
    state: dict[bytes, bytes] = {}
    _fold(state, records)
    state.pop(POSITION_KEY, None)
    return state


def wrong(business: Business, broker: Broker, stores: Mapping[int, Mapping[bytes, bytes]]) -> Iterator[str]:
    """Return everything that is wrong; `stores` are the live states of the partitions."""
    written: dict[Tail, list[Write]] = defaultdict(list)
    for number in range(business.partitions):
        yield from _replay(business, broker, number, written)
        state = folded(committed(broker, business.plan.changelog, number))
        if number in stores and stores[number] != state:
            yield f"partition {number}: the live state differs from the changelog"
    yield from _compare(business, broker, written)
    yield from business.promises(broker)


def _replay(business: Business, broker: Broker, number: int, written: dict[Tail, list[Write]]) -> Iterator[str]:
    """Feed the pure part by the passes, and compare what it took and what it leaves with what is committed."""
    given = {wanted.topic: committed(broker, wanted.topic, number) for wanted in business.plan.inputs}
    seen: dict[str, list[Record]] = {topic: [] for topic in given}
    pure = business.pure(number)
    state: dict[bytes, bytes] = {}
    last = Taken(0, 0, ())
    for taken in _passes(business, broker, number):
        if taken.number != last.number + 1:
            yield f"partition {number}: pass {taken.number} follows pass {last.number}"
        if taken.now < last.now:
            yield f"partition {number}: pass {taken.number} goes back in time"
        last = taken
        records = {topic: _between(given[topic], first, end) for topic, first, end in taken.ranges}
        for topic, found in records.items():
            seen[topic] += found
        outputs, changes = pure.decide(Batch(taken.number, taken.now, records))
        for write in outputs:
            written[Tail(write.topic, number if write.partition is None else write.partition)].append(write)
        _fold(state, changes)
    for topic, found_all in seen.items():
        if found_all != given[topic]:
            yield f"partition {number} of {topic}: {_difference(given[topic], found_all)}"
    kept = folded(committed(broker, business.plan.changelog, number))
    # No process's clock was so far ahead.
    later = broker.now() + 1_000_000
    if business.settled(state, later) != business.settled(kept, later):
        yield f"partition {number}: the changelog differs from a replay"


def _between(records: Sequence[Record], first: int, last: int) -> tuple[Record, ...]:
    start = bisect_left(records, first, key=lambda record: record.offset)
    end = bisect_right(records, last, key=lambda record: record.offset)
    return tuple(records[start:end])


def _difference(given: Sequence[Record], seen: Sequence[Record]) -> str:
    counts = Counter(record.offset for record in seen)
    lost = [record.offset for record in given if not counts[record.offset]]
    return f"lost {lost}, taken twice {[offset for offset, count in counts.items() if count > 1]}"


def _fold(state: dict[bytes, bytes], changes: Iterable[Change | Record]) -> None:
    for change in changes:
        if change.value is None:
            state.pop(change.key or b"", None)
        else:
            state[change.key or b""] = change.value


def _passes(business: Business, broker: Broker, number: int) -> Iterator[Taken]:
    for record in committed(broker, business.passes_topic, number):
        taken = business.taken(record)
        if taken is not None:
            yield taken


def _compare(business: Business, broker: Broker, written: Mapping[Tail, Sequence[Write]]) -> Iterator[str]:
    """Compare what a replay writes with what was written, in order where only one partition writes."""
    inputs = {wanted.topic for wanted in business.plan.inputs}
    for tail, partition in broker.partitions.items():
        if tail.topic == business.plan.changelog:
            continue
        stable = partition.stable()
        found = [
            (entry.key, entry.value, entry.headers)
            for entry in partition.entries
            if entry.producer >= 0 and entry.commits is None and not entry.aborted and entry.offset < stable
        ]
        expected = [(write.key, write.value, write.headers) for write in written.get(tail, ())]
        if tail.topic in inputs:
            found.sort(key=repr)
            expected.sort(key=repr)
        if found != expected:
            yield f"{tail.topic}-{tail.partition}: {len(found)} records, a replay writes {len(expected)}, or others"
    for tail in written.keys() - broker.partitions.keys():
        yield f"{tail.topic}-{tail.partition}: nothing was written"
