"""The processor with one of its six rules switched off, each in the way in which one would get it wrong."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from services.common.processor.errors import CommitUnclearError, FencedError
from services.common.processor.log import Delivery, Tail
from services.common.processor.partition import Partition
from services.common.processor.ports import Batch, Change, Position, Write
from services.common.processor.processor import Processor
from services.common.processor.restore import _read_to
from services.common.processor.transaction import Transactions
from tests.simulation.errors import SimError


class OwnId(Partition):
    """R1 off: the transactional id belongs to the process, so nobody is fenced."""

    def _transactional_id(self) -> str:
        log: Any = self._log
        return f"{super()._transactional_id()}-{log.name}"


class LateFence(Partition):
    """R2 off: the state is read first, then the predecessor is fenced."""

    async def _open_and_work(self) -> None:
        await self._restore_first()
        await super()._open_and_work()

    async def _restore_first(self) -> None:
        await super()._restore()

    async def _restore(self) -> int:
        return 0


class Unawaited(Transactions):
    """R3 off: nobody looks at what became of the deliveries."""

    async def _delivered(self, deliveries: dict[Tail, Sequence[Delivery]]) -> dict[Tail, int]:
        receipts = [delivery.receipt for group in deliveries.values() for delivery in group]
        await asyncio.gather(*receipts, return_exceptions=True)
        return {
            tail: max((d.receipt.result().offset + d.count for d in group if d.receipt.exception() is None), default=-1)
            for tail, group in deliveries.items()
        }


class Aborting(Transactions):
    """Aborts a transaction that failed, as the library's documentation shows, and goes on."""

    async def write(self, writes: Iterable[Write], changelog: str) -> int:
        self._usable = True
        try:
            return await super().write(writes, changelog)
        except (CommitUnclearError, FencedError):
            producer: Any = self._producer
            with suppress(SimError):
                await producer.abort()
            raise


class KeptProducer(Partition):
    """R4 off: the producer is kept, whatever happened to it."""

    async def _fence(self) -> None:
        if self._transactions is None:
            self._transactions = Aborting(self._log, self._transactional_id(), self.number)
            await self._transactions.start()

    async def _shut(self) -> None:
        return


class RepeatedProducer(Transactions):
    """R4 off in its finer point: a producer that had to ask twice for the end of a transaction goes on."""

    def _still_usable(self) -> bool:
        return True


class GroupOffsets(Partition):
    """R5 off: the group's offsets say where to go on."""

    async def _seek(self) -> None:
        member: Any = self._member
        committed: Mapping[Tail, int] = await member.committed(self._inputs)
        for tail, offset in committed.items():
            member.seek(tail, offset)
        store: Any = self._store
        store.position = Position({}, store.position.pass_number, store.position.now)
        member.resume(self._inputs)


class EarlyMerge(Partition):
    """R6 off: the local state changes before the commit is sure."""

    async def commit(self, outputs: Sequence[Write], changes: Sequence[Change], batch: Batch | None) -> None:
        self._store.merge(changes, self._store.position, self._store.next_offset)
        await super().commit(outputs, changes, batch)


class StableEnd(Partition):
    """R6 off in its finer point: the tail is read up to where a committed reader sees the end."""

    async def _restore(self) -> int:
        tail = Tail(self._plan.changelog, self.number)
        reader: Any = self._log.reader(tail, "")
        await reader.start()
        return await _read_to(reader, tail, 0, await reader.stable_offset(), self._store)


def with_partition(kind: type[Partition]) -> type[Processor]:
    """Return a processor with other partitions."""

    class Changed(Processor):
        def _partition(self, number: int) -> Partition:
            return kind(
                number,
                self._plan,
                self._log,
                self._member,
                self._make_handler,
                self._clock,
                self._metrics,
                self._busy_seconds,
            )

    return Changed


def with_transactions(kind: type[Transactions]) -> type[Processor]:
    """Return a processor with other transactions."""

    class Changed(Partition):
        async def _fence(self) -> None:
            self._transactions = kind(self._log, self._transactional_id(), self.number)
            await self._transactions.start()

    return with_partition(Changed)


RULES: Mapping[str, type[Processor]] = {
    "R1": with_partition(OwnId),
    "R2": with_partition(LateFence),
    "R3": with_transactions(Unawaited),
    "R4": with_partition(KeptProducer),
    "R4, repeated": with_transactions(RepeatedProducer),
    "R5": with_partition(GroupOffsets),
    "R6": with_partition(EarlyMerge),
    "R6, high watermark": with_partition(StableEnd),
}
