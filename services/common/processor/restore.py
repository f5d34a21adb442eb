"""Brings a store up to what the changelog says is committed.

Only after the predecessor is fenced (R2). R6: the tail is read up to the *high watermark*, since the end that a
committed reader sees stops before an open transaction, and a tail that ends there decides twice.
"""

import asyncio

from services.common.processor.errors import StuckLogError
from services.common.processor.log import Log, Reader, Tail
from services.common.processor.store import MemoryStore

STUCK_SECONDS = 10.0


async def restore(log: Log, tail: Tail, store: MemoryStore, client_id: str) -> None:
    """Read the changelog from where the store stands to the high watermark known now.

    Raises StuckLogError when a transaction stays open (the last stable offset does not reach the high watermark).
    """
    reader = log.reader(tail, client_id)
    try:
        await reader.start()
        end = await reader.high_watermark()  # R6
        reader.seek(max(store.next_offset, await reader.first_offset()))
        await _read_to(reader, tail, end, store)
    finally:
        await reader.stop()


async def _read_to(reader: Reader, tail: Tail, end: int, store: MemoryStore) -> None:
    loop = asyncio.get_running_loop()
    last_progress = loop.time()
    position = await reader.position()
    while position < end:
        for record in await reader.fetch(0.2):
            store.take(record.key or b"", record.value)
        reached = await reader.position()
        if reached > position:
            position, last_progress = reached, loop.time()
        elif loop.time() - last_progress > STUCK_SECONDS:
            raise StuckLogError(f"{tail.topic}-{tail.partition}: committed up to {position}, log ends at {end}")
    store.next_offset = max(store.next_offset, position)
