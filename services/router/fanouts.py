"""The fan-outs of one partition that have not ended, in the order in which they came.

Those of one subject stand in a queue: only the first of it, its head, is worked off. Each has a record that never
changes and one that says how far it is; both are gone when it has ended. Which rules apply to its event is worked out
once for each policy and kept in memory, as is which one had its turn last, and when a single event came.
"""

from collections import deque
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from services.router import fanout_records, indexes
from services.router.decision.model import Condition, Event
from services.router.decision.rules import Matched
from services.router.fanout_records import FanOut, Progress
from services.router.overlay import Overlay

# A state record's key has a customer; those of the partition itself have none.
_NOBODY = b""
_ALL = 1_000_000
# So many of a queue are looked at.
_SEEN = 20

Queue = tuple[str, str, str] | int


class View(Struct, frozen=True, gc=False):
    """What a policy makes of a fan-out: the rules that apply, the selector compiled, whether a message is critical.

    `attribute` and its `values`: no other customers can be selected.
    """

    policy_hash: str
    matched: tuple[Matched, ...]
    urgent: bool
    selector: Condition | None = None
    attribute: str = ""
    values: tuple[str, ...] = ()


class FanOuts:
    """Fan-outs by their offset; changes go to the overlay of the pass."""

    def __init__(self, overlay: Overlay, partition: int = 0) -> None:
        self._overlay = overlay
        self._partition = partition
        self._fans: dict[int, FanOut] = {}
        self._progress: dict[int, Progress] = {}
        self._queues: dict[Queue, deque[int]] = {}
        self._postponed: dict[int, int] = {}
        self.views: dict[int, View] = {}
        self.served = -1
        self.last_event = 0  # for a single customer
        for entry in overlay.entries(indexes.FANOUT, b"", _ALL):
            self._load(indexes.time_of(entry), indexes.rest_of(entry))

    def __len__(self) -> int:
        return len(self._fans)

    def adopt(self, fan: FanOut, value: bytes) -> None:
        """Take a fan-out over; `value` is its record's."""
        self._hold(fan, Progress())
        key = _key(fan.event.tenant, indexes.FANOUT_KIND, fan.offset)
        self._overlay.put({key: value})
        self._overlay.index((), (indexes.of_fan_out(fan.event.tenant.encode(), fan.offset),))
        self.put(fan, self._progress[fan.offset])

    def heads(self) -> list[tuple[FanOut, ...]]:
        """Return the fan-outs whose turn it is by their subjects, each with the next ones behind it."""
        return [tuple(self._fans[offset] for offset in islice(queue, _SEEN)) for queue in self._queues.values()]

    def progress(self, fan: FanOut) -> Progress:
        """Return how far a fan-out is."""
        return self._progress[fan.offset]

    def put(self, fan: FanOut, progress: Progress) -> None:
        """Note how far a fan-out is."""
        self._progress[fan.offset] = progress
        key = _key(fan.event.tenant, indexes.PROGRESS, fan.offset)
        self._overlay.put({key: fanout_records.report(fan, progress, self._partition)})

    def end(self, fan: FanOut) -> None:
        """Forget a fan-out that has ended; the next one of its subject may begin."""
        tenant, offset = fan.event.tenant, fan.offset
        self._overlay.put(
            {_key(tenant, indexes.FANOUT_KIND, offset): None, _key(tenant, indexes.PROGRESS, offset): None}
        )
        self._overlay.index((indexes.of_fan_out(tenant.encode(), offset),), ())
        queue = self._queues[_queue(fan)]
        queue.remove(offset)
        if not queue:
            del self._queues[_queue(fan)]
        del self._fans[offset], self._progress[offset]
        self.views.pop(offset, None)
        self._postponed.pop(offset, None)

    def postpone(self, fan: FanOut, until: int) -> None:
        """Leave a fan-out alone until an instant, microseconds since 1970."""
        self._postponed[fan.offset] = until

    def postponed(self, fan: FanOut) -> int:
        """Return until when a fan-out is left alone, 0: it is not."""
        return self._postponed.get(fan.offset, 0)

    def _load(self, offset: int, tenant: bytes) -> None:
        name = tenant.decode()
        value = self._overlay.get(_key(name, indexes.FANOUT_KIND, offset))
        progress = self._overlay.get(_key(name, indexes.PROGRESS, offset))
        if value is not None and progress is not None:
            self._hold(fanout_records.parse(offset, value), fanout_records.progress_of(progress))

    def _hold(self, fan: FanOut, progress: Progress) -> None:
        event = fan.event
        if event.customers:
            fan = replace(fan, event=_sorted(event))
        self._fans[fan.offset] = fan
        self._progress[fan.offset] = progress
        self._queues.setdefault(_queue(fan), deque()).append(fan.offset)


def order(customer: str) -> bytes:
    """Return what puts customers in the order of the state's indexes."""
    return customer.encode() + b"|"


def _sorted(event: Event) -> Event:
    return replace(event, customers=tuple(sorted(event.customers, key=order)))


def _queue(fan: FanOut) -> Queue:
    event = fan.event
    return (event.tenant, event.source, event.subject) if event.subject else fan.offset


def _key(tenant: str, kind: bytes, offset: int) -> bytes:
    return b"|".join((tenant.encode(), _NOBODY, kind, b"%016x" % offset))
