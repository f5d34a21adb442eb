"""The smallest business that shows a loss or a double: it counts what it takes, keeps sums, and has timers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

import msgspec

from services.common.clock import Clock
from services.common.processor.log import Tail
from services.common.processor.ports import (
    Batch,
    Change,
    Committer,
    Handler,
    HandlerFactory,
    Input,
    Plan,
    Record,
    Store,
    Write,
)
from tests.simulation.broker import Broker
from tests.simulation.business import Pure, Taken, committed
from tests.simulation.loop import Loop

INPUTS = 120
BURSTS = 8
SECONDS = 12.0


class Sums:
    """The pure part: state is `count`, a sum for each word, and timers `t|due|word` that end a sum."""

    def __init__(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        self._state = dict(items)

    def decide(self, batch: Batch) -> tuple[Sequence[Write], Sequence[Change]]:
        outputs: list[Write] = []
        changes: dict[bytes, bytes | None] = {}
        for key in sorted(key for key in self._state if key.startswith(b"t|") and _due(key) <= batch.now):
            word = key.split(b"|")[2]
            changes[key] = changes[b"w|" + word] = None
            outputs.append(Write("ended", word, self._state.pop(key)))
            self._state.pop(b"w|" + word, None)
        for topic in ("first", "second"):
            for record in batch.records.get(topic, ()):
                self._count(record, outputs, changes, batch.now)
        ranges = [(topic, records[0].offset, records[-1].offset) for topic, records in batch.records.items()]
        outputs.append(Write("counted", b"@pass", msgspec.msgpack.encode((batch.number, batch.now, ranges))))
        return outputs, [Change(key, value) for key, value in changes.items()]

    def _count(self, record: Record, outputs: list[Write], changes: dict[bytes, bytes | None], now: int) -> None:
        count = int(self._state.get(b"count", b"0"))
        outputs.append(Write("counted", record.key or b"", b"%d %s" % (count, record.value or b"")))
        word = b"w|" + (record.key or b"")
        changed = {b"count": b"%d" % (count + 1), word: b"%d" % (int(self._state.get(word, b"0")) + 1)}
        if count % 9 == 0:
            changed[b"t|%d|%s" % (now + 2_000_000, record.key or b"")] = b"%d" % count
        self._state.update(changed)
        changes.update(changed)

    def next_due(self) -> int | None:
        return min((_due(key) for key in self._state if key.startswith(b"t|")), default=None)


def _due(key: bytes) -> int:
    return int(key.split(b"|")[1])


class CountingHandler:
    """Commits what the pure part gives."""

    def __init__(self, store: Store, committer: Committer) -> None:
        self._sums = Sums(store.items())
        self._committer = committer

    async def process(self, batch: Batch) -> None:
        outputs, changes = self._sums.decide(batch)
        await self._committer.commit(outputs, changes, batch)

    def next_due(self) -> int | None:
        return self._sums.next_due()

    async def drain(self) -> None:
        return

    async def close(self) -> None:
        return


class Counting:
    """See business.Business."""

    plan = Plan("counter", "group", (Input("first", to_the_end=True), Input("second")), "sums", max_records=4)
    passes_topic = "counted"

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def publish(self, loop: Loop, broker: Broker, random: Random) -> float:
        # Bursts keep a partition busy: one transaction follows the other.
        bursts = [random.uniform(0, SECONDS) for _ in range(BURSTS)]
        for n in range(INPUTS):
            tail = Tail(random.choice(("first", "second")), random.randrange(self.partitions))
            word = random.choice((b"a", b"b", b"c"))
            loop.later(random.choice(bursts), broker.write, tail, word, b"%d" % n)
        return SECONDS

    def handlers(self, clock: Clock) -> HandlerFactory:
        _ = clock

        async def make(partition: int, store: Store, committer: Committer) -> Handler:
            _ = partition
            return CountingHandler(store, committer)

        return make

    def pure(self, partition: int) -> Pure:
        _ = partition
        return Sums(())

    def taken(self, record: Record) -> Taken | None:
        return msgspec.msgpack.decode(record.value or b"", type=Taken) if record.key == b"@pass" else None

    def settled(self, state: Mapping[bytes, bytes], now: int) -> Mapping[bytes, bytes]:
        _ = now
        return state

    def promises(self, broker: Broker) -> Iterator[str]:
        """Count without any replay: figures rise by one, and every input is there once."""
        found: list[int] = []
        for number in range(self.partitions):
            pairs = [r.value.split() for r in committed(broker, "counted", number) if r.value and r.key != b"@pass"]
            if [int(count) for count, _ in pairs] != list(range(len(pairs))):
                yield f"partition {number}: the counts are not 0 to {len(pairs) - 1}"
            found += [int(n) for _, n in pairs]
        if sorted(found) != list(range(INPUTS)):
            yield f"{len(found)} inputs were counted, {len(set(found))} of them different; there were {INPUTS}"
