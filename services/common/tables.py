"""A compacted topic as a table that follows its topic.

Its partitions (all, or those asked for) are read from the beginning; records are handed over in order. `catch_up`
reads to the end known now, so that who calls it sees everything committed before.
"""

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.common import kafka

Taker = Callable[[bytes, bytes | None], None]


class Table:
    """Feeds `take(key, value)` with every record of a topic; a None value means deleted."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        take: Taker,
        client_id: str = "clarion-table",
        only: tuple[int, ...] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._only = only
        self._take = take
        self._consumer = AIOKafkaConsumer(**kafka.consumer_settings(bootstrap, client_id))
        self._partitions: list[TopicPartition] = []
        self._reading = asyncio.Lock()
        self.positions: dict[int, int] = {}

    async def start(self) -> None:
        """Connect and read to the end known now; raise aiokafka.errors.KafkaError when the topic is not there."""
        await self._consumer.start()
        numbers = self._only or await kafka.partition_numbers(self._bootstrap, self._topic)
        self._partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)
        for partition in self._partitions:
            self.positions[partition.partition] = await self._consumer.position(partition)
        await self.catch_up()

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def catch_up(self) -> None:
        """Read to the end known now."""
        ends = await self._consumer.end_offsets(self._partitions)
        async with self._reading:
            while any(self.positions[partition.partition] < end for partition, end in ends.items()):
                await self._read(timeout_ms=100)

    async def follow(self, stop: asyncio.Event) -> None:
        """Go on reading until `stop` is set."""
        while not stop.is_set():
            async with self._reading:
                await self._read(timeout_ms=200)
            await asyncio.sleep(0)

    async def _read(self, timeout_ms: int) -> None:
        batches = await self._consumer.getmany(timeout_ms=timeout_ms)
        for records in batches.values():
            for record in records:
                self._take(record.key or b"", record.value)
        for partition in self._partitions:
            self.positions[partition.partition] = await self._consumer.position(partition)
