"""Committed state of one partition, in memory: for tests, simulation and small deployments.

R6: local state is only ever what Kafka says is committed. The store knows up to which offset of the changelog it holds,
so that after a failure only the tail is read again.
The input positions are a record of the changelog itself (R5): `@position`.
Local keys are no records: they are made from records by the handler's index, here as everywhere.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from services.common.processor.errors import ForeignLogError
from services.common.processor.ports import LOCAL, Change, Index, LocalStore, Origin, Position

POSITION_KEY = b"@position"

_decode_position = msgspec.msgpack.Decoder(Position).decode


def latest(
    records: Iterable[tuple[bytes, bytes | None]], known: Position
) -> tuple[dict[bytes, bytes | None], Position]:
    """Return the last value of each key, None where it was deleted, and the position after these records."""
    found = dict(records)
    if POSITION_KEY not in found:
        return found, known
    value = found.pop(POSITION_KEY)
    position = Position() if value is None else _decode_position(value)
    if position.pass_number < known.pass_number:
        raise ForeignLogError(f"pass {position.pass_number} comes after pass {known.pass_number}")
    return found, position


def indexed(
    values: Mapping[bytes, bytes | None], before: Mapping[bytes, bytes], index: Index
) -> Iterator[tuple[bytes, bytes | None]]:
    """Return how the local keys change with records that the index covers; `before` holds what was there."""
    for key, value in values.items():
        if index.covers(key):
            if key in before:
                yield from ((entry, None) for entry in index.entries(key, before[key]))
            if value is not None:
                yield from ((entry, b"") for entry in index.entries(key, value))


class Ordered:
    """A set of keys in order, in buckets of bounded size so that adding one moves few."""

    _LARGEST = 1_000

    def __init__(self) -> None:
        self._buckets: list[list[bytes]] = []
        self._lasts: list[bytes] = []

    def add(self, key: bytes) -> None:
        """Add a key that is not there."""
        if not self._buckets:
            self._buckets, self._lasts = [[key]], [key]
            return
        at = min(bisect_left(self._lasts, key), len(self._buckets) - 1)
        bucket = self._buckets[at]
        insort(bucket, key)
        self._lasts[at] = bucket[-1]
        if len(bucket) > self._LARGEST:
            half = len(bucket) // 2
            self._buckets[at : at + 1] = [bucket[:half], bucket[half:]]
            self._lasts[at : at + 1] = [bucket[half - 1], bucket[-1]]

    def remove(self, key: bytes) -> None:
        """Remove a key that is there."""
        at = bisect_left(self._lasts, key)
        bucket = self._buckets[at]
        del bucket[bisect_left(bucket, key)]
        if bucket:
            self._lasts[at] = bucket[-1]
        else:
            del self._buckets[at], self._lasts[at]

    def since(self, first: bytes, *, including: bool) -> Iterator[bytes]:
        """Iterate over the keys from `first` on."""
        bisect = bisect_left if including else bisect_right
        at = bisect(self._lasts, first)
        if at < len(self._buckets):
            yield from self._buckets[at][bisect(self._buckets[at], first) :]
        for bucket in self._buckets[at + 1 :]:
            yield from bucket


class MemoryStore:
    """Keeps everything in memory; made anew from the changelog when a process starts."""

    def __init__(self, index: Index | None = None) -> None:
        self.next_offset = 0
        self.position = Position()
        self._index = index
        self._values: dict[bytes, bytes] = {}
        self._keys = Ordered()

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of a key."""
        return self._values.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys and values but the local ones, in order."""
        return ((key, self._values[key]) for key in self._keys.since(LOCAL + b"\xff", including=False))

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """Return what is kept under keys with this prefix and behind `after`, in order."""
        found: list[tuple[bytes, bytes]] = []
        first = max(prefix, after)
        for key in self._keys.since(first, including=first != after):
            if not key.startswith(prefix) or len(found) == limit:
                break
            found.append((key, self._values[key]))
        return found

    def take(self, records: Iterable[tuple[bytes, bytes | None]], next_offset: int) -> None:
        """Take records of the changelog up to `next_offset`."""
        values, self.position = latest(records, self.position)
        if self._index is not None:
            before = {key: self._values[key] for key in values if key in self._values}
            self._put(list(indexed(values, before, self._index)))
        self._put(values.items())
        self.next_offset = next_offset

    def complete(self) -> bool:
        """Index entries are there from the beginning."""
        return True

    def merge(self, changes: Iterable[Change], position: Position, next_offset: int) -> None:
        """Take what a transaction has committed."""
        self._put((change.key, change.value) for change in changes)
        self.position = position
        self.next_offset = next_offset

    def wipe(self) -> None:
        """Throw everything away."""
        self.next_offset, self.position = 0, Position()
        self._values, self._keys = {}, Ordered()

    def close(self) -> None:
        """Nothing is held open."""

    def _put(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in changes:
            if value is None:
                if self._values.pop(key, None) is not None:
                    self._keys.remove(key)
            else:
                if key not in self._values:
                    self._keys.add(key)
                self._values[key] = value


class MemoryStores:
    """Stores that last as long as the partition is owned."""

    def open(self, origin: Origin, index: Index | None) -> tuple[LocalStore, str]:
        """Return an empty store."""
        _ = origin
        return MemoryStore(index), ""
