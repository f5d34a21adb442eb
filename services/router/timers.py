"""Which customers have a hold that is due, in order of time: the front of an index, nothing is kept here.

A timer is there as long as its hold. Who can't be decided now is postponed, until this handler ends at the latest.
"""

from collections.abc import Iterator

from services.router.indexes import TIMER, CustomerKey, rest_of, time_of
from services.router.overlay import Overlay

_PORTION = 1_000


class Timers:
    """Timers of the customers of one partition."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._postponed: dict[CustomerKey, int] = {}

    def postpone(self, customer: CustomerKey, until: int) -> None:
        """Leave a customer alone until an instant, microseconds since 1970."""
        self._postponed[customer] = until

    def next_due(self) -> int | None:
        """Return the earliest instant, or None."""
        soonest = min(self._postponed.values(), default=None)
        for due, customer in self._walk():
            if customer not in self._postponed:
                return due if soonest is None else min(due, soonest)
        return soonest

    def take_due(self, now: int, limit: int) -> list[CustomerKey]:
        """Return the customers due at `now`, at most `limit`, each once, the earliest first."""
        self._postponed = {customer: until for customer, until in self._postponed.items() if until > now}
        found: dict[CustomerKey, None] = {}
        for due, customer in self._walk():
            if due > now or len(found) == limit:
                break
            if customer not in self._postponed:
                found[customer] = None
        return list(found)

    def count(self) -> int:
        """Count all timers."""
        return sum(1 for _ in self._walk())

    def _walk(self) -> Iterator[tuple[int, CustomerKey]]:
        # Mostly the first one is asked for, to see that it is not due.
        portion = 1
        entries = self._overlay.first(TIMER, portion)
        while True:
            for entry in entries:
                tenant, customer, _ = rest_of(entry).split(b"|", 2)
                yield time_of(entry), (tenant.decode(), customer.decode())
            if len(entries) < portion:
                return
            portion = min(16 * portion, _PORTION)
            entries = self._overlay.entries(TIMER, entries[-1], portion)
