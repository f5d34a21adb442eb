"""Brings a store up to what the changelog says is committed.

Only after the predecessor is fenced (R2). R6: the tail is read up to the *high watermark*, since the end that a
committed reader sees stops before an open transaction, and a tail that ends there decides twice.
A store that the tail can't bring up to date is thrown away, and the whole changelog is read: one that stands outside
the log, one so old that tombstones it needs may be gone already, one whose passes the log does not go on with.
"""

import asyncio

from msgspec import Struct

from services.common.processor.errors import ForeignLogError, StuckLogError
from services.common.processor.log import Log, Reader, Tail
from services.common.processor.ports import LocalStore, Origin
from services.common.topics import TOMBSTONES_KEPT_MS

STUCK_SECONDS = 10.0
# Microseconds. Half of the time that Kafka keeps tombstones: the other half is for clocks and a cleaner in a hurry.
OLDEST = TOMBSTONES_KEPT_MS * 1_000 // 2


class Restored(Struct, frozen=True):
    """How many records were read, and why the store that was there could not be used, "" if it could."""

    records: int
    discarded: str = ""


async def origin(log: Log, tail: Tail) -> Origin:
    """Ask which log this is."""
    cluster, partitions = await log.identity(tail.topic)
    return Origin(cluster, tail.topic, tail.partition, partitions)


async def restore(log: Log, tail: Tail, store: LocalStore, client_id: str, now: int) -> Restored:
    """Read the changelog from where the store stands to the high watermark known now.

    Raises StuckLogError when a transaction stays open (the last stable offset does not reach the high watermark).
    """
    reader = log.reader(tail, client_id)
    count = 0
    try:
        await reader.start()
        end = await reader.high_watermark()  # R6
        first = await reader.first_offset()
        discarded = unfit(store, first, end, now)
        if not discarded:
            try:
                count = await _read_to(reader, tail, first, end, store)
            except ForeignLogError as error:
                discarded = str(error)
        if discarded:
            store.wipe()
            count = await _read_to(reader, tail, first, end, store)
    finally:
        await reader.stop()
    while not store.complete():  # noqa: ASYNC110  # it is work, not waiting
        await asyncio.sleep(0)  # others have heartbeats to send
    return Restored(count, discarded)


def unfit(store: LocalStore, first: int, end: int, now: int) -> str:
    """Say why the tail of a log from `first` to `end` can't bring a store up to date, "" if it can."""
    at = store.next_offset
    if at == 0:
        return ""
    if at > end:
        return f"it stands at {at}, behind the end of the log at {end}"
    if at < first:
        return f"it stands at {at}, before the beginning of the log at {first}"
    if at < end and now - store.position.now > OLDEST:
        return "it is so old that the log may have forgotten what was deleted since"
    return ""


async def _read_to(reader: Reader, tail: Tail, first: int, end: int, store: LocalStore) -> int:
    loop = asyncio.get_running_loop()
    last_progress = loop.time()
    count, position = 0, max(store.next_offset, first)
    reader.seek(position)
    while position < end:
        records = await reader.fetch(0.2)
        reached = await reader.position()
        if records:
            count += len(records)
            store.take(((record.key or b"", record.value) for record in records), reached)
        if reached > position:
            position, last_progress = reached, loop.time()
        elif loop.time() - last_progress > STUCK_SECONDS:
            raise StuckLogError(f"{tail.topic}-{tail.partition}: committed up to {position}, log ends at {end}")
    return count
