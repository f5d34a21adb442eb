"""How many calls a process has under way at once, shared by its partitions in turn.

A pass takes its slots before it commits intents, so that it never intends more than it can call at once: what a crash
leaves unknown is bounded by the number of slots, however many partitions there are.
A turn waits for a fair share rather than for the first free slot; else each transaction would carry one call.
"""

import asyncio


class Slots:
    """So many slots; they are given back one by one or many at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._share = max(1, count // 4)
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self._free

    async def take(self, patience: float) -> int:
        """Take all that are free, waiting so many seconds for turn and share; 0 when there are none by then."""
        try:
            async with asyncio.timeout(patience), self._turn:
                while self._free < self._share:
                    self._freed.clear()
                    await self._freed.wait()
                return self._take_free()
        except TimeoutError:
            return self._take_free()

    def give_back(self, count: int) -> None:
        """Let others have slots again."""
        self._free += count
        self._freed.set()

    def _take_free(self) -> int:
        taken, self._free = self._free, 0
        return taken
