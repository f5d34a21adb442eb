"""What the processor hands to a business handler and takes from it.

A handler is made anew each time a partition is opened, from the committed state alone, and lives until the partition
is given up or anything about a commit is unclear. It never touches Kafka: it gets batches, asks for commits.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

# Below the topics' max.message.bytes, with room for the header of a batch.
MAX_RECORD_BYTES = 786_432

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
    """A change of the handler's state: its changelog record. A None value deletes."""

    key: bytes
    value: bytes | None


class Batch(Struct, frozen=True, gc=False):
    """What one pass takes: records by input topic, each in order; `now` is the one decision time of the pass.

    Empty `records`: the pass is for timers that are due.
    """

    number: int
    now: int
    records: Mapping[str, tuple[Record, ...]]


class Store(Protocol):
    """Committed state of one partition."""

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of a key."""
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys and values, in no order that matters."""
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
    """What a processor reads and where its state lives; inputs in the order in which a pass takes them."""

    application: str
    group: str
    inputs: tuple[Input, ...]
    changelog: str
    max_records: int = 500
    max_bytes: int = 1024 * 1024
