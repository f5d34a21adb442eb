"""What the processor needs of a log like Kafka; the same code runs on Kafka and on a seeded model of it.

An implementation promises what Kafka's clients promise and no more: any call may fail after it had its effect, and
what it sent may arrive late or twice. Time is the event loop's: nothing here waits but the calls themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from services.common.processor.ports import Record, Write


class Tail(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Keyed(Protocol):
    """A record of a changelog; a None value deletes its key."""

    @property
    def key(self) -> bytes | None:
        """What it is about."""
        ...

    @property
    def value(self) -> bytes | None:
        """What is so now."""
        ...


class Receipt(Protocol):
    """Says where a batch was written."""

    @property
    def offset(self) -> int:
        """The offset of its first record."""
        ...


class Delivery(Struct, frozen=True):
    """A batch of `count` records under way; its receipt fails when the batch is not written, or may not be."""

    count: int
    receipt: "asyncio.Future[Receipt]"


Assigned = Callable[[Sequence[Tail]], Awaitable[None]]
Revoked = Callable[[], Awaitable[None]]


class Member(Protocol):
    """A member of a consumer group; it sees committed records only and goes where it is told to seek."""

    async def start(self, topics: Sequence[str], assigned: Assigned, revoked: Revoked) -> None:
        """Join; all partitions are revoked and assigned anew whenever the group changes."""
        ...

    async def stop(self) -> None:
        """Leave."""
        ...

    def pause(self, tails: Iterable[Tail]) -> None:
        """Hand out no records of these partitions until they are resumed."""
        ...

    def resume(self, tails: Iterable[Tail]) -> None:
        """Hand out records of these partitions again."""
        ...

    def seek(self, tail: Tail, offset: int) -> None:
        """Go on at this offset."""
        ...

    async def fetch(self, tails: Sequence[Tail], seconds: float, limit: int) -> Mapping[Tail, Sequence[Record]]:
        """Return at most so many records, after so many seconds none; while the group changes it doesn't return."""
        ...

    async def position(self, tail: Tail) -> int:
        """Return the offset of the next record to be handed out."""
        ...

    async def first_offsets(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        """Return where the partitions begin."""
        ...

    async def stable_offsets(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        """Return up to where the partitions hold no open transaction."""
        ...

    async def commit(self, offsets: Mapping[Tail, int]) -> None:
        """Tell the group where we are."""
        ...


class Producer(Protocol):
    """A transactional producer; of all with its transactional id only the one started last can write."""

    @property
    def repeated(self) -> bool:
        """Whether the end of a transaction had to be asked for twice: the first request may still arrive."""
        ...

    async def start(self) -> None:
        """Fence whoever has this transactional id and finish his transaction."""
        ...

    async def begin(self) -> None:
        """Begin a transaction."""
        ...

    async def send(self, tail: Tail, writes: Sequence[Write]) -> Sequence[Delivery]:
        """Write to a partition, in batches. A failed delivery does not keep the transaction from being committed."""
        ...

    async def commit(self) -> None:
        """Commit what was delivered."""
        ...

    async def stop(self) -> None:
        """Let go; may hang, and what is under way may still arrive."""
        ...


class Reader(Protocol):
    """Reads one partition's committed records."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...

    async def high_watermark(self) -> int:
        """Return where the log ends, open transactions and all."""
        ...

    async def first_offset(self) -> int:
        """Return where the log begins."""
        ...

    def seek(self, offset: int) -> None:
        """Go on at this offset."""
        ...

    async def fetch(self, seconds: float) -> Sequence[Keyed]:
        """Return what comes next, after so many seconds nothing."""
        ...

    async def position(self) -> int:
        """Return the offset up to which all was handed out, markers of transactions too."""
        ...


class Log(Protocol):
    """Makes the clients. `failures` are what they raise; `fences`, some of these: somebody else owns it now."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What clients of the log raise, those that a handler uses on its own too; TimeoutError is one of them."""
        ...

    @property
    def fences(self) -> tuple[type[Exception], ...]:
        """What a producer raises when another one was started with its transactional id."""
        ...

    def member(self, group: str, instance: str) -> Member:
        """Make a member of a group; one with an instance name may restart without moving partitions."""
        ...

    def producer(self, transactional_id: str) -> Producer:
        """Make a producer."""
        ...

    def reader(self, tail: Tail, client_id: str) -> Reader:
        """Make a reader of a partition."""
        ...

    async def identity(self, topic: str) -> tuple[str, int]:
        """Return the id of the cluster and how many partitions a topic has."""
        ...
