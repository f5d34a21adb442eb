"""The producer of one partition: one transaction for each commit, all or nothing.

R1: the transactional id belongs to the partition number, so whoever owns the partition fences who owned it before.
R2: `start` fences and finishes the predecessor; only then may state or positions be read.
R3: every delivery is awaited before the commit; a failed batch would not abort the transaction by itself.
R4: after any failure this producer is thrown away; the next transaction has a new one.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
)

from services.common import kafka
from services.common.processor.errors import CommitUnclearError, FencedError
from services.common.processor.ports import Write

COMMIT_SECONDS = 12.0
START_SECONDS = 20.0
STOP_SECONDS = 2.0

_FENCED = (ProducerFenced, InvalidProducerEpoch)
# IllegalOperation is what aiokafka says when its own state was changed by a fence; it is no KafkaError.
_FAILED = (KafkaError, TimeoutError, OutOfOrderSequenceNumber, TransactionalIdAuthorizationFailed, IllegalOperation)


class Transactions:
    """Writes transactions for one partition number."""

    def __init__(self, bootstrap: str, transactional_id: str, partition: int) -> None:
        kafka.shorten_commit_backoff()
        self._partition = partition
        self._producer = AIOKafkaProducer(**kafka.transactional_settings(bootstrap, transactional_id, transactional_id))
        self._usable = False

    async def start(self) -> None:
        """Fence the predecessor and finish its transaction (R2); raise CommitUnclearError without an answer."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._producer.start()
        except _FENCED as error:
            raise FencedError(str(error)) from error
        except _FAILED as error:
            raise CommitUnclearError(f"the transactional producer did not start: {error!r}") from error
        self._usable = True

    async def write(self, writes: Iterable[Write], changelog: str) -> int:
        """Write all records in one transaction and return the offset after the last one of the changelog, or -1.

        Raises FencedError or CommitUnclearError; then this object must be thrown away.
        """
        if not self._usable:
            raise CommitUnclearError("this producer has failed before")
        self._usable = False
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                next_offset = await self._write(writes, changelog)
        except _FENCED as error:
            raise FencedError(str(error)) from error
        except _FAILED as error:
            raise CommitUnclearError(repr(error)) from error
        self._usable = True
        return next_offset

    async def _write(self, writes: Iterable[Write], changelog: str) -> int:
        producer = self._producer
        await producer.begin_transaction()
        deliveries: list[tuple[bool, int, asyncio.Future[Any]]] = []
        for (topic, partition), batches in self._batches(writes).items():
            for batch in batches:
                future = await producer.send_batch(batch, topic, partition=partition)
                deliveries.append((topic == changelog, batch.record_count(), future))
        # R3. gather would leave the other futures unread when one fails.
        results = await asyncio.gather(*(future for _, _, future in deliveries), return_exceptions=True)
        next_offset = -1
        for (is_changelog, count, _), result in zip(deliveries, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            if is_changelog:
                next_offset = max(next_offset, result.offset + count)
        await producer.commit_transaction()
        return next_offset

    def _batches(self, writes: Iterable[Write]) -> dict[tuple[str, int], list[Any]]:
        create: Callable[[], Any] = self._producer.create_batch
        found: dict[tuple[str, int], list[Any]] = {}
        for write in writes:
            partition = self._partition if write.partition is None else write.partition
            batches = found.get((write.topic, partition))
            if batches is None:
                batches = found[write.topic, partition] = [create()]
            taken = batches[-1].append(key=write.key, value=write.value, timestamp=None, headers=list(write.headers))
            if taken is None:
                batches.append(create())
                batches[-1].append(key=write.key, value=write.value, timestamp=None, headers=list(write.headers))
        for batches in found.values():
            for batch in batches:
                batch.close()
        return found

    async def stop(self) -> None:
        """Let go of the producer; its stop can hang, so it gets a time limit."""
        self._usable = False
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._producer.stop()
        except (TimeoutError, KafkaError):
            # The next owner fences what is left of it (R2).
            return
