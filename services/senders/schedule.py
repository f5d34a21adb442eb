"""Which open sends of one partition may go now: pure.

Urgent before normal before bulk; within a lane by the instant they are due.
First tries of one customer in one lane go in order of decision, so a send waits for those before it in its line.
A send waits for the one named by its `after`, a digest for those of its items, until they have ended or expired. One
that is not known is given a grace, since its lane may be read later; then it is taken for one that ended long ago.
A customer with a call under way waits for its end. Nobody waits beyond his own expiry.

A send that waits for another is woken by it, the next of many and not all of them: the work grows with the sends.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import TypeVar

from services.common.topics import LANES
from services.senders.due import Due
from services.senders.ledger import Intent, Open, Waiting
from services.senders.send import Send

_AT_ONCE = 0

_Customer = tuple[str, str]
_Line = tuple[str, str, str]
_Key = TypeVar("_Key")
_Place = TypeVar("_Place", tuple[int, bytes], tuple[int, int, bytes])


class Schedule:
    """The open sends by id; `ended` tells whether a send is known to have ended, `grace` is for unknown ones.

    What waits is in one of three places: `_behind` another in its line, `_held` while its customer has a call under
    way (by lane and position), `_after` the send it names. Each has an instant in `_due`, too, when it waits no longer.
    """

    def __init__(self, ended: Callable[[bytes], bool], grace: int) -> None:
        self._ended = ended
        self._grace = grace
        self._open: dict[bytes, Open] = {}
        self._due = Due(LANES)
        self._lines: dict[_Line, list[tuple[int, bytes]]] = {}
        self._under_way: dict[_Customer, set[bytes]] = {}
        self._behind: set[bytes] = set()
        self._held: dict[_Customer, list[tuple[int, int, bytes]]] = {}
        self._after: dict[bytes, set[bytes]] = {}
        self._ended_now: set[bytes] = set()

    def __contains__(self, send_id: bytes) -> bool:
        return send_id in self._open

    def __len__(self) -> int:
        return len(self._open)

    @property
    def entries(self) -> int:
        """Return how many instants are kept for the open sends."""
        return self._due.entries

    def wait(self, entry: Waiting) -> None:
        """Put a send in, or back, to be taken when it is due."""
        self._settle(entry.send)
        if entry.send.send_id not in self._open:
            self._wake_followers(entry.send)  # they gave a grace to one who is known now, and who may expire sooner
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
        self._wake_followers(send)

    def committed(self) -> None:
        """Note that all ends are in the ledger now, where `ended` finds them."""
        self._ended_now.clear()

    def take(self, now: int, limit: int) -> list[Open]:
        """Take what may go now, in order; each is to be put back, started or ended by the caller."""
        taken: list[Open] = []
        for lane in LANES:
            while len(taken) < limit and (send_id := self._due.pop(lane, now)) is not None:
                entry = self._open[send_id]
                self._stop_waiting(entry)
                until = self._blocked_until(entry, now)
                if until > now:
                    self._at(entry, until)
                else:
                    self._settle(entry.send)
                    taken.append(entry)
                self._release(_customer(entry.send))
        return taken

    def next_due(self) -> int | None:
        """Return when something may be taken next, if nothing happens before."""
        return self._due.first()

    def _blocked_until(self, entry: Open, now: int) -> int:
        """Return when to look at an entry again if nothing wakes it before; not after now: it may go."""
        send, customer = entry.send, _customer(entry.send)
        if isinstance(entry, Intent) or now >= send.expires:
            return now
        if entry.attempt == 0 and self._lines[_line(send)][0][1] != send.send_id:
            self._behind.add(send.send_id)
            return send.expires
        if customer in self._under_way:
            insort(self._held.setdefault(customer, []), _rank(entry))
            return send.expires
        for after in send.afters:
            until = min(self._predecessor_until(send, after, now), send.expires)
            if until > now:
                self._after.setdefault(after, set()).add(send.send_id)
                return until
        return now

    def _predecessor_until(self, send: Send, after: bytes, now: int) -> int:
        predecessor = self._open.get(after)
        if predecessor is not None:
            return predecessor.send.expires
        if after in self._ended_now or self._ended(after):
            return now
        return send.decided + self._grace

    def _settle(self, send: Send) -> None:
        """Take a send out of whatever it is in or waits in, and wake who is next."""
        entry, customer = self._open.get(send.send_id), _customer(send)
        self._due.remove(send.send_id)
        if entry is not None:
            self._stop_waiting(entry)
            self._leave_line(entry)
        if customer in self._under_way:
            _discard(self._under_way, customer, send.send_id)
            self._release(customer)

    def _stop_waiting(self, entry: Open) -> None:
        send = entry.send
        self._behind.discard(send.send_id)
        for after in send.afters:
            _discard(self._after, after, send.send_id)
        _remove(self._held, _customer(send), _rank(entry))

    def _leave_line(self, entry: Open) -> None:
        line = _line(entry.send)
        _remove(self._lines, line, (entry.position, entry.send.send_id))
        if line in self._lines and (following := self._lines[line][0][1]) in self._behind:
            self._behind.discard(following)
            self._at(self._open[following], _AT_ONCE)

    def _wake_followers(self, send: Send) -> None:
        for send_id in sorted(self._after.pop(send.send_id, ())):
            self._at(self._open[send_id], _AT_ONCE)

    def _release(self, customer: _Customer) -> None:
        """Wake the first of those held by a call, if none is under way; it wakes the next when it is looked at."""
        if customer not in self._under_way and customer in self._held:
            first = self._held[customer][0]
            _remove(self._held, customer, first)
            self._at(self._open[first[-1]], _AT_ONCE)

    def _at(self, entry: Open, instant: int) -> None:
        self._due.put(entry.send.lane, instant, entry.position, entry.send.send_id)


def in_order(entries: Iterable[Waiting]) -> list[Waiting]:
    """Return sends that are adopted together in the order in which they were decided, lane by lane."""
    return sorted(entries, key=lambda entry: (LANES.index(entry.send.lane), entry.position))


def _customer(send: Send) -> _Customer:
    return send.tenant, send.customer


def _line(send: Send) -> _Line:
    return send.tenant, send.customer, send.lane


def _rank(entry: Open) -> tuple[int, int, bytes]:
    return LANES.index(entry.send.lane), entry.position, entry.send.send_id


def _discard(index: dict[_Key, set[bytes]], key: _Key, send_id: bytes) -> None:
    if (members := index.get(key)) is not None:
        members.discard(send_id)
        if not members:
            del index[key]


def _remove(index: dict[_Key, list[_Place]], key: _Key, place: _Place) -> None:
    """Take a place out of the sorted list of a key."""
    places = index.get(key)
    if places is None:
        return
    found = bisect_left(places, place)
    if found < len(places) and places[found] == place:
        del places[found]
        if not places:
            del index[key]
