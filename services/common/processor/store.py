"""Committed state of one partition.

R6: local state is only ever what Kafka says is committed. The store knows up to which offset of the changelog it holds,
so that after a failure only the tail is read again.
The input positions are a record of the changelog itself (R5): `@position`.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from services.common.processor.ports import Change

POSITION_KEY = b"@position"


class Position(Struct, frozen=True, gc=False):
    """Where a partition stands: next offset of each input topic, number and decision time of the last pass."""

    offsets: Mapping[str, int] = {}
    pass_number: int = 0
    now: int = 0

    def encoded(self) -> bytes:
        """Return the value of the position record."""
        return msgspec.msgpack.encode(self)


_decode_position = msgspec.msgpack.Decoder(Position).decode


class MemoryStore:
    """Keeps everything in memory; rebuilt from the changelog when a process starts."""

    def __init__(self) -> None:
        self.next_offset = 0
        self.position = Position()
        self._values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of a key."""
        return self._values.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys and values but the position."""
        return iter(self._values.items())

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the changelog."""
        if key == POSITION_KEY:
            self.position = _decode_position(value) if value is not None else Position()
        elif value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def merge(self, changes: Iterable[Change], position: Position, next_offset: int) -> None:
        """Take what a transaction has committed; `next_offset` is the offset after its last changelog record."""
        for change in changes:
            if change.value is None:
                self._values.pop(change.key, None)
            else:
                self._values[change.key] = change.value
        self.position = position
        self.next_offset = next_offset

    def __len__(self) -> int:
        return len(self._values)
