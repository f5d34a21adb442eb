"""Brings a store up to what the changelog says is committed.

Only after the predecessor is fenced (R2). R6: the tail is read up to the *high watermark*, since the end that a
committed reader sees stops before an open transaction, and a tail that ends there decides twice.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.common import kafka
from services.common.processor.errors import StuckLogError
from services.common.processor.store import MemoryStore

STUCK_SECONDS = 10.0


async def restore(bootstrap: str, changelog: str, partition: int, store: MemoryStore, client_id: str) -> None:
    """Read the changelog from where the store stands to the high watermark known now.

    Raises StuckLogError when a transaction stays open (the last stable offset does not reach the high watermark).
    """
    tail = TopicPartition(changelog, partition)
    end = await _high_watermark(bootstrap, tail, client_id)
    reader = AIOKafkaConsumer(**kafka.consumer_settings(bootstrap, client_id))
    await reader.start()
    try:
        reader.assign([tail])
        first = (await reader.beginning_offsets([tail]))[tail]
        reader.seek(tail, max(store.next_offset, first))
        await _read_to(reader, tail, end, store)
    finally:
        await reader.stop()


async def _high_watermark(bootstrap: str, tail: TopicPartition, client_id: str) -> int:
    settings = kafka.consumer_settings(bootstrap, client_id)
    settings["isolation_level"] = "read_uncommitted"
    reader = AIOKafkaConsumer(**settings)
    await reader.start()
    try:
        ends: dict[TopicPartition, int] = await reader.end_offsets([tail])
        return ends[tail]
    finally:
        await reader.stop()


async def _read_to(reader: AIOKafkaConsumer, tail: TopicPartition, end: int, store: MemoryStore) -> None:
    loop = asyncio.get_running_loop()
    last_progress = loop.time()
    position = await reader.position(tail)
    while position < end:
        batches = await reader.getmany(tail, timeout_ms=200)
        for record in batches.get(tail, ()):
            store.take(record.key or b"", record.value)
        reached = await reader.position(tail)
        if reached > position:
            position, last_progress = reached, loop.time()
        elif loop.time() - last_progress > STUCK_SECONDS:
            raise StuckLogError(f"{tail.topic}-{tail.partition}: committed up to {position}, log ends at {end}")
    store.next_offset = max(store.next_offset, position)
