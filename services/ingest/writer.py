"""The way to Kafka: a record counts as written when all in-sync replicas have it.

What is not confirmed in time is *unknown*, never "not written": the producer may still succeed later, so callers are
told to come again and the identity of events makes that harmless. An error that the producer cannot retry leaves a
hole in its sequence of records; then the process ends and a new one starts with a new producer.
"""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import RecordMetadata
from msgspec import Struct

from services.common import kafka
from services.common.partitions import partition_of
from services.ingest.codec import Record

Sent = asyncio.Future[RecordMetadata]


class Position(Struct, frozen=True, gc=False):
    """Where a record is."""

    partition: int
    offset: int


class Writer:
    """Writes records to the partition of their key."""

    def __init__(self, bootstrap: str, client_id: str, partitions: int, wait_s: float) -> None:
        self._producer = AIOKafkaProducer(**kafka.producer_settings(bootstrap, client_id))
        self._partitions = partitions
        self._wait_s = wait_s
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, *topics: str) -> None:
        """Connect; raise RuntimeError when a topic has another number of partitions than the settings say."""
        await self._producer.start()
        for topic in topics:
            found = len(await self._producer.partitions_for(topic))
            if found != self._partitions:
                message = f"{topic} has {found} partitions, CLARION_PARTITIONS says {self._partitions}"
                raise RuntimeError(message)

    async def stop(self) -> None:
        """Write what is under way, as long as Kafka answers in time, and disconnect."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._producer.stop()
        except TimeoutError:
            pass  # nobody was told that these records are written

    async def broken_down(self) -> None:
        """Wait, and raise what the producer cannot get over; never returns."""
        await self._broken

    async def reachable(self) -> bool:
        """Ask Kafka for its metadata."""
        return bool(await self._producer.client.force_metadata_update())

    async def write(self, topic: str, records: Sequence[Record]) -> list[Position | None]:
        """Write records in order and wait for their confirmations; None stands for one that did not come in time."""
        sent: list[Sent] = []
        try:
            async with asyncio.timeout(self._wait_s):
                for record in records:
                    sent.append(await self._send(topic, record))  # noqa: PERF401  # what was sent must survive an error
                if sent:
                    await asyncio.wait(sent)
        except TimeoutError:
            pass
        except KafkaError as error:
            self._judge(error)
        return [_position(future) for future in sent] + [None] * (len(records) - len(sent))

    async def _send(self, topic: str, record: Record) -> Sent:
        future: Sent = await self._producer.send(
            topic,
            value=record.value,
            key=record.key,
            partition=partition_of(record.key, self._partitions),
            headers=list(record.headers),  # the library takes nothing else
        )
        future.add_done_callback(self._look_at)
        return future

    def _look_at(self, future: Sent) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._judge(error)

    def _judge(self, error: BaseException) -> None:
        # A time-out comes before a record has its place in the sequence: nothing is missing then.
        harmless = isinstance(error, KafkaError) and (error.retriable or isinstance(error, KafkaTimeoutError))
        if not harmless and not self._broken.done():
            self._broken.set_exception(error)


def _position(future: Sent) -> Position | None:
    if not future.done() or future.cancelled() or future.exception() is not None:
        return None
    written = future.result()
    return Position(written.partition, written.offset)
