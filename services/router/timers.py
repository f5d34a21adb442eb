"""Which customers have a hold that is due, in order of time.

A heap of (due, customer): an entry that no hold stands behind any more is dropped when it comes up.
"""

import heapq

CustomerKey = tuple[str, str]


class Timers:
    """Timers of the customers of one partition."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, CustomerKey]] = []

    def set(self, due: int, customer: CustomerKey) -> None:
        """Wake this customer at `due`, microseconds since 1970."""
        heapq.heappush(self._heap, (due, customer))

    def next_due(self) -> int | None:
        """Return the earliest instant, or None."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: int, limit: int) -> list[CustomerKey]:
        """Take the customers due at `now`, at most `limit`, each once, the earliest first."""
        due: dict[CustomerKey, None] = {}
        while self._heap and self._heap[0][0] <= now and len(due) < limit:
            due[heapq.heappop(self._heap)[1]] = None
        return list(due)
