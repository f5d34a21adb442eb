"""The producer of one partition: one transaction for each commit, all or nothing.

R1: the transactional id belongs to the partition number, so whoever owns the partition fences who owned it before.
R2: `start` fences and finishes the predecessor; only then may state or positions be read.
R3: every delivery is awaited before the commit; a failed batch would not abort the transaction by itself.
R4: after any failure this producer is thrown away; the next transaction has a new one.
"""

import asyncio
from collections.abc import Iterable, Sequence

from services.common.processor.errors import CommitUnclearError, FencedError
from services.common.processor.log import Delivery, Log, Tail
from services.common.processor.ports import Write

COMMIT_SECONDS = 12.0
START_SECONDS = 20.0
STOP_SECONDS = 2.0


class Transactions:
    """Writes transactions for one partition number."""

    def __init__(self, log: Log, transactional_id: str, partition: int) -> None:
        self._log = log
        self._partition = partition
        self._producer = log.producer(transactional_id)
        self._usable = False

    async def start(self) -> None:
        """Fence the predecessor and finish its transaction (R2); raise CommitUnclearError without an answer."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._producer.start()
        except self._log.fences as error:
            raise FencedError(str(error)) from error
        except self._log.failures as error:
            raise CommitUnclearError(f"the transactional producer did not start: {error!r}") from error
        self._usable = True

    async def write(self, writes: Iterable[Write], changelog: str) -> int:
        """Write all records in one transaction and return the offset after the last one of the changelog, or -1.

        Raises FencedError or CommitUnclearError; then this object must be thrown away (R4).
        """
        if not self._usable:
            raise CommitUnclearError("this producer has failed before")
        self._usable = False
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                next_offset = await self._write(writes, changelog)
        except self._log.fences as error:
            raise FencedError(str(error)) from error
        except self._log.failures as error:
            raise CommitUnclearError(repr(error)) from error
        self._usable = self._still_usable()
        return next_offset

    def _still_usable(self) -> bool:
        """Tell whether the next transaction may be of this producer after one that went well."""
        # R4. The first request may arrive yet, in the middle of the next transaction, and commit half of it.
        return not self._producer.repeated

    async def _write(self, writes: Iterable[Write], changelog: str) -> int:
        await self._producer.begin()
        next_offset = -1
        deliveries: dict[Tail, Sequence[Delivery]] = {}
        for tail, group in self._by_tail(writes).items():
            deliveries[tail] = await self._producer.send(tail, group)
        for tail, written in (await self._delivered(deliveries)).items():
            if tail.topic == changelog:
                next_offset = max(next_offset, written)
        await self._producer.commit()
        return next_offset

    async def _delivered(self, deliveries: dict[Tail, Sequence[Delivery]]) -> dict[Tail, int]:
        """Await every delivery and return the offset after the last record of each partition."""
        # R3. gather would leave the other futures unread when one fails.
        futures = [delivery.receipt for group in deliveries.values() for delivery in group]
        for result in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return {tail: max(d.receipt.result().offset + d.count for d in group) for tail, group in deliveries.items()}

    def _by_tail(self, writes: Iterable[Write]) -> dict[Tail, list[Write]]:
        found: dict[Tail, list[Write]] = {}
        for write in writes:
            tail = Tail(write.topic, self._partition if write.partition is None else write.partition)
            found.setdefault(tail, []).append(write)
        return found

    async def stop(self) -> None:
        """Let go of the producer; its stop can hang, so it gets a time limit."""
        self._usable = False
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producer.stop()
        except self._log.failures:
            # The next owner fences what is left of it (R2).
            return
