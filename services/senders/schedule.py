"""Which open sends of one partition may go now: pure.

Urgent before normal before bulk; within a lane by the instant they are due.
First tries of one customer in one lane go in order of decision, so a send waits for those before it in its line.
A send waits for the one named by its `after` until that one has ended or expired. One that is not known is given a
grace, since its lane may be read later; then it is taken for one that ended long ago.
A customer with a call under way waits for its end. Nobody waits beyond his own expiry.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from services.common.topics import LANES
from services.senders.ledger import Intent, Open, Waiting
from services.senders.send import Send

_Customer = tuple[str, str]
_Line = tuple[str, str, str]


class Schedule:
    """The open sends by id; `ended` tells whether a send is known to have ended, `grace` is for unknown ones."""

    def __init__(self, ended: Callable[[bytes], bool], grace: int) -> None:
        self._ended = ended
        self._grace = grace
        self._open: dict[bytes, Open] = {}
        self._due: dict[bytes, int] = {}
        self._heaps: dict[str, list[tuple[int, int, bytes]]] = {lane: [] for lane in LANES}
        self._lines: dict[_Line, list[tuple[int, bytes]]] = {}
        self._under_way: dict[_Customer, set[bytes]] = {}
        self._blocked: dict[_Customer, set[bytes]] = {}
        self._changed: set[_Customer] = set()
        self._ended_now: set[bytes] = set()

    def __contains__(self, send_id: bytes) -> bool:
        return send_id in self._open

    def __len__(self) -> int:
        return len(self._open)

    def wait(self, entry: Waiting) -> None:
        """Put a send in, or back, to be taken when it is due."""
        self._settle(entry.send)
        self._open[entry.send.send_id] = entry
        if entry.attempt == 0:
            insort(self._lines.setdefault(_line(entry.send), []), (entry.position, entry.send.send_id))
        self._at(entry, entry.due)

    def orphan(self, entry: Intent, due: int) -> None:
        """Put in an intent of a predecessor, to be judged when its call has surely ended."""
        self._open[entry.send.send_id] = entry
        self._at(entry, due)

    def start(self, entry: Intent) -> None:
        """Note that a send is under way."""
        self._settle(entry.send)
        self._open[entry.send.send_id] = entry
        self._under_way.setdefault(_customer(entry.send), set()).add(entry.send.send_id)

    def end(self, send: Send) -> None:
        """Take a send out: it has ended."""
        self._settle(send)
        self._open.pop(send.send_id, None)
        self._ended_now.add(send.send_id)

    def committed(self) -> None:
        """Note that all ends are in the ledger now, where `ended` finds them."""
        self._ended_now.clear()

    def take(self, now: int, limit: int) -> list[Open]:
        """Take what may go now, in order; each is to be put back, started or ended by the caller."""
        self._wake()
        taken: list[Open] = []
        for lane in LANES:
            heap = self._heaps[lane]
            while heap and heap[0][0] <= now and len(taken) < limit:
                due, _, send_id = heappop(heap)
                if self._due.get(send_id) != due:
                    continue
                entry = self._open[send_id]
                until = self._blocked_until(entry, now)
                if until > now:
                    self._blocked.setdefault(_customer(entry.send), set()).add(send_id)
                    self._at(entry, until)
                else:
                    self._settle(entry.send)
                    taken.append(entry)
        return taken

    def next_due(self) -> int | None:
        """Return when something may be taken next, if nothing happens before."""
        self._wake()
        for heap in self._heaps.values():
            while heap and self._due.get(heap[0][2]) != heap[0][0]:
                heappop(heap)
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=None)

    def _blocked_until(self, entry: Open, now: int) -> int:
        """Return when to look at an entry again if nothing happens before; not after now: it may go."""
        send = entry.send
        if isinstance(entry, Intent) or now >= send.expires:
            return now
        if self._under_way.get(_customer(send)):
            return send.expires
        if entry.attempt == 0 and self._lines[_line(send)][0][1] != send.send_id:
            return send.expires
        return min(self._predecessor_until(send, now), send.expires)

    def _predecessor_until(self, send: Send, now: int) -> int:
        if not send.after or send.after == send.send_id:
            return now
        predecessor = self._open.get(send.after)
        if predecessor is not None:
            return predecessor.send.expires
        if send.after in self._ended_now or self._ended(send.after):
            return now
        return send.decided + self._grace

    def _settle(self, send: Send) -> None:
        """Take a send out of whatever it waits in; those of its customer that were blocked are looked at again."""
        customer = _customer(send)
        self._due.pop(send.send_id, None)
        _discard(self._blocked, customer, send.send_id)
        _discard(self._under_way, customer, send.send_id)
        self._leave_line(send)
        self._changed.add(customer)

    def _leave_line(self, send: Send) -> None:
        entry, line = self._open.get(send.send_id), self._lines.get(_line(send))
        if entry is None or line is None:
            return
        place = (entry.position, send.send_id)
        index = bisect_left(line, place)
        if index < len(line) and line[index] == place:
            del line[index]
        if not line:
            del self._lines[_line(send)]

    def _wake(self) -> None:
        for customer in sorted(self._changed):
            for send_id in sorted(self._blocked.pop(customer, ())):
                self._at(self._open[send_id], 0)
        self._changed.clear()

    def _at(self, entry: Open, due: int) -> None:
        self._due[entry.send.send_id] = due
        heappush(self._heaps[entry.send.lane], (due, entry.position, entry.send.send_id))


def in_order(entries: Iterable[Waiting]) -> list[Waiting]:
    """Return sends that are adopted together in the order in which they were decided, lane by lane."""
    return sorted(entries, key=lambda entry: (LANES.index(entry.send.lane), entry.position))


def _customer(send: Send) -> _Customer:
    return send.tenant, send.customer


def _line(send: Send) -> _Line:
    return send.tenant, send.customer, send.lane


def _discard(index: dict[_Customer, set[bytes]], customer: _Customer, send_id: bytes) -> None:
    if (members := index.get(customer)) is not None:
        members.discard(send_id)
        if not members:
            del index[customer]
