"""Lanes: items of one key go one after the other in batches, items of different keys at once.

Each lane has one batch under way and at most one more waiting, so that a fast reader never fills the memory.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar
from zlib import crc32

from google.protobuf.message import Message

from services.control.errors import ClarionError

LANES = 8
BATCH_ITEMS = 200
BATCH_BYTES = 1_048_576

Item = TypeVar("Item", bound=Message)
Batch = list[tuple[int, Item]]
Send = Callable[[Batch[Item]], Awaitable[None]]


class _Lane(Generic[Item]):
    """The batches of one lane; an empty one is its end."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Batch[Item]] = asyncio.Queue(maxsize=1)
        self._open: Batch[Item] = []
        self._bytes = 0

    async def add(self, number: int, item: Item) -> None:
        size = item.ByteSize()
        if len(self._open) == BATCH_ITEMS or self._bytes + size > BATCH_BYTES:
            await self.flush()
        self._open.append((number, item))
        self._bytes += size

    async def flush(self) -> None:
        batch, self._open, self._bytes = self._open, [], 0
        if batch:
            await self._waiting.put(batch)

    async def end(self) -> None:
        await self._waiting.put([])

    async def drive(self, send: Send[Item]) -> None:
        while batch := await self._waiting.get():
            await send(batch)


async def spread(
    portions: AsyncIterator[Sequence[tuple[int, Item]]],
    key_of: Callable[[Item], str],
    send: Send[Item],
) -> None:
    """Send numbered items that come in portions, each portion at once; raise the first ClarionError of `send`."""
    lanes: tuple[_Lane[Item], ...] = tuple(_Lane() for _ in range(LANES))
    try:
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes:
                tasks.create_task(lane.drive(send))
            await _feed(lanes, portions, key_of)
    except ExceptionGroup as group:
        expected, bugs = group.split(ClarionError)
        if bugs is not None or expected is None:
            raise
        raise expected.exceptions[0] from None


async def _feed(
    lanes: tuple[_Lane[Item], ...],
    portions: AsyncIterator[Sequence[tuple[int, Item]]],
    key_of: Callable[[Item], str],
) -> None:
    async for portion in portions:
        for number, item in portion:
            await lanes[crc32(key_of(item).encode()) % len(lanes)].add(number, item)
        for lane in lanes:
            await lane.flush()
    for lane in lanes:
        await lane.end()
