"""What the processor hands to a business handler and takes from it.

A handler is made anew each time a partition is opened, from the committed state alone, and lives until the partition
is given up or anything about a commit is unclear. It never touches Kafka: it gets batches, asks for commits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

# Below the topics' max.message.bytes, with room for the header of a batch.
MAX_RECORD_BYTES = 786_432

# Local keys begin so: they are made from the records of the changelog, and stand only in the store.
LOCAL = b"\x00"

# Kafka allows a header without a value.
Headers = tuple[tuple[str, bytes | None], ...]


class Record(Struct, frozen=True, gc=False):
    """A record that was read; `timestamp` in microseconds since 1970 (resolution: milliseconds)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Write(Struct, frozen=True, gc=False):
    """A record to be written; to the handler's own partition number unless `partition` says otherwise."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class Change(Struct, frozen=True, gc=False):
    """A change of the handler's state: its changelog record. A None value deletes.

    A `local` change is one of an index entry: it goes to the store only.
    """

    key: bytes
    value: bytes | None
    local: bool = False


class Batch(Struct, frozen=True, gc=False):
    """What one pass takes: records by input topic, each in order; `now` is the one decision time of the pass.

    Empty `records`: the pass is for timers that are due.
    """

    number: int
    now: int
    records: Mapping[str, tuple[Record, ...]]


class Store(Protocol):
    """Committed state of one partition. Raises BrokenStoreError when the disk gives nothing that can be trusted."""

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of a key."""
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys and values but the local ones, in order."""
        ...

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """Return what is kept under keys with this prefix and behind `after`, in order of the keys' bytes."""
        ...


class Index(Struct, frozen=True):
    """Local keys that are made from records, so that a store can be asked in other orders than theirs.

    `entries` gives the local keys of a record; no other record may give the same. `covers` says whether it can give any
    for records of this key. Another `version` makes stores build their entries anew.
    """

    version: int
    covers: Callable[[bytes], bool]
    entries: Callable[[bytes, bytes], Iterable[bytes]]


class Position(Struct, frozen=True, gc=False):
    """Where a partition stands: next offset of each input topic, number and decision time of the last pass."""

    offsets: Mapping[str, int] = {}
    pass_number: int = 0
    now: int = 0

    def encoded(self) -> bytes:
        """Return the value of the position record."""
        return msgspec.msgpack.encode(self)


class Origin(Struct, frozen=True):
    """The one log that a store is made from; `partitions` is how many its topic has."""

    cluster: str
    topic: str
    partition: int
    partitions: int


class LocalStore(Store, Protocol):
    """A store as the processor fills it: committed state, and how much of the changelog it holds."""

    @property
    def position(self) -> Position:
        """Where the partition stands by the records that were taken."""
        ...

    @property
    def next_offset(self) -> int:
        """The offset of the changelog from which on nothing was taken yet."""
        ...

    def take(self, records: Iterable[tuple[bytes, bytes | None]], next_offset: int) -> None:
        """Take records of the changelog up to `next_offset`, all or none.

        Raises ForeignLogError when their position is behind the one that is known.
        """
        ...

    def complete(self) -> bool:
        """Note that the end of the log was reached, until it returns True: then index entries stand beside records."""
        ...

    def merge(self, changes: Iterable[Change], position: Position, next_offset: int) -> None:
        """Take what a transaction has committed, all or none; `next_offset` is behind its last changelog record."""
        ...

    def wipe(self) -> None:
        """Throw everything away and begin with nothing."""
        ...

    def close(self) -> None:
        """Let go of it; the next one to open it goes on from here."""
        ...


class Stores(Protocol):
    """Where the stores of partitions are."""

    def open(self, origin: Origin, index: Index | None) -> tuple[LocalStore, str]:
        """Return the store of a log, and why what was there before could not be used, "" if it could or was not."""
        ...


class Committer(Protocol):
    """Writes in transactions."""

    async def commit(self, outputs: Sequence[Write], changes: Sequence[Change], batch: Batch | None) -> None:
        """Write everything in one transaction, await its commit, and merge the changes into the store.

        With a batch the input positions move past it in the same transaction; without, they stay. Any failure
        raises, and the handler is thrown away: the same records come again, to a new handler.
        """
        ...


class Handler(Protocol):
    """The business of one partition."""

    async def process(self, batch: Batch) -> None:
        """Take a batch and the timers due at `batch.now`; must commit with the batch when it has records."""
        ...

    def next_due(self) -> int | None:
        """Return the instant of the next timer, microseconds since 1970, or None."""
        ...

    async def drain(self) -> None:
        """Finish what is under way and commit it, within ten seconds: the partition is given up in peace."""
        ...

    async def close(self) -> None:
        """Let go of what the handler opened; nothing may be written any more."""
        ...


class HandlerFactory(Protocol):
    """Makes the handler of a partition from its committed state."""

    async def __call__(self, partition: int, store: Store, committer: Committer) -> Handler:
        """Return a handler that is ready for its first batch."""
        ...


class Input(Struct, frozen=True, gc=False):
    """An input topic. `to_the_end`: read to the end known when the other inputs' records were fetched."""

    topic: str
    to_the_end: bool = False


class Plan(Struct, frozen=True):
    """What a processor reads and where its state lives; inputs in the order in which a pass takes them.

    Without `stores` the state is kept in memory.
    """

    application: str
    group: str
    inputs: tuple[Input, ...]
    changelog: str
    max_records: int = 500
    max_bytes: int = 1024 * 1024
    stores: Stores | None = None
    index: Index | None = None
