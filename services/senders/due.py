"""When open sends are to be looked at, lane by lane: heaps in which each send counts once.

Putting a send in again moves it; its old entry stays in the heap until it comes up or until such entries outnumber the
sends, then they are swept out. So a heap never grows with what happened, only with what is open.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

_SWEPT_FROM = 64


class Due:
    """Instants by send id; within a lane the earliest goes first, then the one that was decided first."""

    def __init__(self, lanes: Iterable[str]) -> None:
        self._at: dict[bytes, int] = {}
        self._heaps: dict[str, list[tuple[int, int, bytes]]] = {lane: [] for lane in lanes}

    @property
    def entries(self) -> int:
        """Return how many entries the heaps hold, with those that no longer count."""
        return sum(map(len, self._heaps.values()))

    def put(self, lane: str, instant: int, position: int, send_id: bytes) -> None:
        """Look at a send at this instant, and not when it was said before."""
        self._at[send_id] = instant
        heap = self._heaps[lane]
        heappush(heap, (instant, position, send_id))
        if len(heap) > 2 * len(self._at) + _SWEPT_FROM:
            heap[:] = {entry for entry in heap if self._counts(entry)}
            heapify(heap)

    def remove(self, send_id: bytes) -> None:
        """Do not look at a send until it is put in again."""
        self._at.pop(send_id, None)

    def pop(self, lane: str, now: int) -> bytes | None:
        """Remove and return the first send of a lane that is due."""
        heap = self._heaps[lane]
        while heap and heap[0][0] <= now:
            entry = heappop(heap)
            if self._counts(entry):
                del self._at[entry[2]]
                return entry[2]
        return None

    def first(self) -> int | None:
        """Return the earliest instant of all."""
        for heap in self._heaps.values():
            while heap and not self._counts(heap[0]):
                heappop(heap)
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=None)

    def _counts(self, entry: tuple[int, int, bytes]) -> bool:
        return self._at.get(entry[2]) == entry[0]
