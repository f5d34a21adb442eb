"""A model of Kafka's partitions and of its transaction coordinator: one broker, nothing is lost but what it never had.

A partition knows producers by id and epoch, as Kafka does: a marker ends whatever that producer has open there. The
last stable offset is where the first open transaction begins. An old broker takes what arrives late for a transaction
that is over; a newer one asks the coordinator first (`verifies`).
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from random import Random

from services.common.processor.log import Tail
from services.common.processor.ports import Headers, Record, Write
from tests.simulation.errors import ConcurrentError, SequenceError, SimFencedError, StateError
from tests.simulation.loop import Loop

TRANSACTION_SECONDS = 15.0
REMEMBERED_BATCHES = 5
TOMBSTONE_SECONDS = 300.0
START = 1_799_999_985_000_000  # 2027-01-15T07:59:45Z


class Entry:
    """A record in a partition, or a marker (`commits` is not None)."""

    __slots__ = ("aborted", "commits", "headers", "key", "offset", "producer", "timestamp", "value")

    def __init__(
        self,
        offset: int,
        timestamp: int,
        key: bytes,
        value: bytes | None,
        headers: Headers,
        producer: int,
        commits: bool | None,
    ) -> None:
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
        self.producer = producer
        self.commits = commits
        self.aborted = False


class Known:
    """What a partition knows of a producer."""

    __slots__ = ("epoch", "next_sequence", "recent")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.next_sequence = 0
        self.recent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED_BATCHES)


class Partition:
    """One partition's log."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.entries: list[Entry] = []
        self.offsets: list[int] = []
        self.end = 0
        self.open: dict[int, int] = {}
        self.known: dict[int, Known] = {}
        self.overdue: dict[int, tuple[int, bool]] = {}
        self.waiting: list[Callable[[], None]] = []

    def stable(self) -> int:
        """Return the last stable offset."""
        return min(self.open.values(), default=self.end)

    def append(
        self, timestamp: int, key: bytes, value: bytes | None, headers: Headers, producer: int, commits: bool | None
    ) -> int:
        offset = self.end
        self.entries.append(Entry(offset, timestamp, key, value, headers, producer, commits))
        self.offsets.append(offset)
        self.end += 1
        return offset

    def mark(self, timestamp: int, producer: int, epoch: int, *, commit: bool) -> None:
        """Write a marker: it ends what the producer has open here."""
        known = self.known.get(producer)
        if known is not None and epoch < known.epoch:
            return
        if known is None or epoch > known.epoch:
            self.known[producer] = Known(epoch)
        first = self.open.pop(producer, None)
        if first is not None and not commit:
            for entry in self.entries[bisect_left(self.offsets, first) :]:
                if entry.producer == producer:
                    entry.aborted = True
        self.append(timestamp, b"", None, (), producer, commit)
        self.wake()

    def read(self, offset: int, limit: int) -> tuple[list[Record], int]:
        """Return committed records from an offset on, and the offset to go on at."""
        stable = self.stable()
        found: list[Record] = []
        topic, number = self.tail
        place = bisect_left(self.offsets, offset)
        while place < len(self.entries) and len(found) < limit:
            entry = self.entries[place]
            if entry.offset >= stable:
                return found, max(offset, stable)
            place += 1
            if entry.commits is None and not entry.aborted:
                found.append(
                    Record(topic, number, entry.offset, entry.timestamp, entry.key, entry.value, entry.headers)
                )
        if place < len(self.entries):
            return found, min(stable, self.entries[place].offset)
        return found, max(offset, stable)

    def compact(self, now: int, before: int) -> None:
        """Keep of each key the last committed record, below an offset; tombstones for a while."""
        limit = min(before, self.stable())
        latest = {e.key: e.offset for e in self.entries if e.offset < limit and e.commits is None and not e.aborted}
        self.entries = [e for e in self.entries if e.offset >= limit or self._stays(e, latest, now)]
        self.offsets = [entry.offset for entry in self.entries]

    def _stays(self, entry: Entry, latest: dict[bytes, int], now: int) -> bool:
        if entry.commits is not None or entry.aborted or latest[entry.key] != entry.offset:
            return False
        return entry.value is not None or now - entry.timestamp < TOMBSTONE_SECONDS * 1_000_000

    def wake(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


class Is(Enum):
    """How far a transaction is."""

    EMPTY = 0
    ONGOING = 1
    ENDING = 2
    ENDED = 3


class Transactional:
    """What the coordinator knows of one transactional id."""

    def __init__(self, producer: int) -> None:
        self.producer = producer
        self.epoch = 0
        self.state = Is.EMPTY
        self.commits = False
        self.number = 0
        self.partitions: dict[Tail, None] = {}


class Broker:
    """All partitions, and the coordinator of transactions; the calls are what a request does when it arrives."""

    def __init__(
        self, loop: Loop, random: Random, *, verifies: bool, forgets: float, changelogs: frozenset[str]
    ) -> None:
        self._loop = loop
        self._random = random
        self._verifies = verifies
        self._forgets = forgets
        self._changelogs = changelogs
        self._transactional: dict[str, Transactional] = {}
        self.partitions: dict[Tail, Partition] = {}
        self.down_until = -1.0
        self.forgotten = 0
        self.timed_out = 0

    def now(self) -> int:
        """Return the broker's clock, in microseconds; records are stamped in milliseconds."""
        return START + int(self._loop.time() * 1_000_000)

    def _stamp(self) -> int:
        return self.now() // 1000 * 1000

    def partition(self, tail: Tail) -> Partition:
        found = self.partitions.get(tail)
        if found is None:
            found = self.partitions[tail] = Partition(tail)
        return found

    def write(self, tail: Tail, key: bytes, value: bytes | None, headers: Headers = ()) -> int:
        """Append outside of transactions, as a publisher does."""
        partition = self.partition(tail)
        offset = partition.append(self._stamp(), key, value, headers, -1, None)
        partition.wake()
        return offset

    # --- requests of a transactional producer ---

    def init(self, name: str) -> tuple[int, int]:
        """Fence whoever has this id and return producer id and epoch."""
        found = self._transactional.get(name)
        if found is None:
            found = self._transactional[name] = Transactional(1000 + len(self._transactional))
            return found.producer, found.epoch
        if found.state is Is.ONGOING:
            found.epoch += 1
            self._end(found, commit=False)
        if found.state is Is.ENDING:
            raise ConcurrentError
        found.epoch += 1
        found.state = Is.EMPTY
        return found.producer, found.epoch

    def add(self, name: str, epoch: int, tails: Sequence[Tail]) -> None:
        """Make partitions part of the transaction; the first begins it."""
        found = self._owned(name, epoch)
        if found.state is Is.ENDING:
            raise ConcurrentError
        if found.state is not Is.ONGOING:
            found.state = Is.ONGOING
            found.number += 1
            self._loop.later(TRANSACTION_SECONDS, self._time_out, found, found.number)
        found.partitions.update(dict.fromkeys(tails))

    def produce(self, name: str, producer: int, epoch: int, tail: Tail, sequence: int, writes: Sequence[Write]) -> int:
        """Append a batch and return its first offset; a batch that is there already is not appended again."""
        partition = self.partition(tail)
        self._mark_overdue(partition, producer)
        known = partition.known.get(producer)
        if known is not None and epoch < known.epoch:
            raise SimFencedError("an old epoch")
        if known is not None and epoch == known.epoch:
            for first, offset in known.recent:
                if first == sequence:
                    return offset
        expected = known.next_sequence if known is not None and known.epoch == epoch else 0
        if sequence != expected:
            raise SequenceError(f"{sequence} instead of {expected}")
        if producer not in partition.open:
            self._check(name, epoch, tail)
        if known is None or known.epoch != epoch:
            known = partition.known[producer] = Known(epoch)
        offset = partition.end
        partition.open.setdefault(producer, offset)
        stamp = self._stamp()
        for write in writes:
            partition.append(stamp, write.key, write.value, write.headers, producer, None)
        known.next_sequence = sequence + len(writes)
        known.recent.append((sequence, offset))
        return offset

    def _check(self, name: str, epoch: int, tail: Tail) -> None:
        found = self._transactional[name]
        ongoing = found.state is Is.ONGOING and found.epoch == epoch and tail in found.partitions
        if self._verifies and not ongoing:
            raise StateError("the partition is in no transaction")

    def end(self, name: str, epoch: int, *, commit: bool) -> None:
        """End the transaction; the answer does not wait for its markers."""
        found = self._owned(name, epoch)
        if found.state is Is.ONGOING:
            self._end(found, commit=commit)
        elif found.state is Is.EMPTY or found.commits != commit:
            raise StateError("no transaction to end")
        elif found.state is Is.ENDING:
            raise ConcurrentError

    def _owned(self, name: str, epoch: int) -> Transactional:
        found = self._transactional[name]
        if found.epoch != epoch:
            raise SimFencedError("an old epoch")
        return found

    def _time_out(self, found: Transactional, number: int) -> None:
        if found.state is Is.ONGOING and found.number == number:
            self.timed_out += 1
            found.epoch += 1
            self._end(found, commit=False)

    def _end(self, found: Transactional, *, commit: bool) -> None:
        found.state = Is.ENDING
        found.commits = commit
        left = {"count": len(found.partitions)}
        for tail in found.partitions:
            self._loop.later(self._random.uniform(0.0005, 0.01), self._mark, found, tail, left)
        found.partitions = {}

    def _mark(self, found: Transactional, tail: Tail, left: dict[str, int]) -> None:
        partition = self.partition(tail)
        self._mark_overdue(partition, found.producer)
        if tail.topic in self._changelogs and self._random.random() < self._forgets:
            # A transaction hangs: the coordinator takes this marker for written, and it is not, for a while.
            self.forgotten += 1
            partition.overdue[found.producer] = (found.epoch, found.commits)
            longest = self._random.choice((1.0, 5.0, 40.0))
            self._loop.later(self._random.uniform(0, longest), self._mark_late, found, partition)
        else:
            partition.mark(self._stamp(), found.producer, found.epoch, commit=found.commits)
        left["count"] -= 1
        if not left["count"]:
            found.state = Is.ENDED

    def abort_hanging(self) -> None:
        """Do what an operator does with transactions that the coordinator knows nothing of."""
        ongoing = {each.producer for each in self._transactional.values() if each.state in (Is.ONGOING, Is.ENDING)}
        for partition in self.partitions.values():
            for producer in set(partition.open) - ongoing - set(partition.overdue):
                partition.mark(self._stamp(), producer, partition.known[producer].epoch, commit=False)

    def _mark_late(self, found: Transactional, partition: Partition) -> None:
        self._mark_overdue(partition, found.producer)

    def _mark_overdue(self, partition: Partition, producer: int) -> None:
        """Write what is overdue: markers are late, but nothing of their producer comes before them."""
        overdue = partition.overdue.pop(producer, None)
        if overdue is not None:
            epoch, commits = overdue
            partition.mark(self._stamp(), producer, epoch, commit=commits)
