"""A model of Kafka's group coordinator: eager rebalances, range assignment, static members, group offsets."""

from collections.abc import Callable

from services.common.processor.log import Tail
from tests.simulation.errors import UnknownMemberError
from tests.simulation.loop import Loop

SESSION_SECONDS = 10.0
REBALANCE_SECONDS = 30.0
CHECK_SECONDS = 1.0

Joined = Callable[[list[Tail] | None], None]


class Seat:
    """A member as the coordinator knows it; `joined` waits for the end of a rebalance."""

    def __init__(self, instance: str, beat: float) -> None:
        self.instance = instance
        self.beat = beat
        self.joined: Joined | None = None
        self.assignment: list[Tail] = []


class Group:
    """One group over topics that all have so many partitions; the calls are what a request does when it arrives."""

    def __init__(self, loop: Loop, partitions: int) -> None:
        self._loop = loop
        self._partitions = partitions
        self._topics: tuple[str, ...] = ()
        self._seats: dict[str, Seat] = {}
        self._since: float | None = None
        self.offsets: dict[Tail, int] = {}
        self.rebalances = 0
        loop.later(CHECK_SECONDS, self._check)

    def join(self, member: str, instance: str, topics: tuple[str, ...], joined: Joined) -> None:
        """Join, or join again in a rebalance; a static member that restarts gets its partitions at once."""
        self._topics = topics
        now = self._loop.time()
        before = next((n for n, s in self._seats.items() if instance and s.instance == instance and n != member), None)
        if before is not None:
            old = self._seats.pop(before)
            seat = self._seats[member] = Seat(instance, now)
            seat.assignment = old.assignment
            if self._since is None:
                joined(seat.assignment)
                return
            seat.joined = joined
            self._complete()
            return
        seat = self._seats.get(member) or Seat(instance, now)
        if member not in self._seats:
            self._seats[member] = seat
            self._rebalance()
        seat.beat, seat.joined = now, joined
        if self._since is None:
            self._rebalance()
        self._complete()

    def beat(self, member: str) -> bool:
        """Return whether the member must join again; raise UnknownMemberError when it is not one."""
        seat = self._seats.get(member)
        if seat is None:
            raise UnknownMemberError
        seat.beat = self._loop.time()
        return self._since is not None and seat.joined is None

    def leave(self, member: str) -> None:
        """Leave; a static member only disappears."""
        seat = self._seats.get(member)
        if seat is not None and not seat.instance:
            del self._seats[member]
            self._rebalance()
            self._complete()

    def commit(self, member: str, offsets: dict[Tail, int]) -> None:
        """Remember where a member is."""
        if member not in self._seats:
            raise UnknownMemberError
        self.offsets.update(offsets)

    def _rebalance(self) -> None:
        if self._since is None:
            self._since = self._loop.time()
            self.rebalances += 1

    def _check(self) -> None:
        now = self._loop.time()
        gone = [name for name, seat in self._seats.items() if now - seat.beat > SESSION_SECONDS and seat.joined is None]
        if self._since is not None and now - self._since > REBALANCE_SECONDS:
            gone += [name for name, seat in self._seats.items() if seat.joined is None and name not in gone]
        for name in gone:
            del self._seats[name]
        if gone:
            self._rebalance()
            self._complete()
        self._loop.later(CHECK_SECONDS, self._check)

    def _complete(self) -> None:
        seats = sorted(self._seats.items(), key=lambda item: (item[1].instance, item[0]))
        if self._since is None or not seats or any(seat.joined is None for _, seat in seats):
            return
        self._since = None
        share, rest = divmod(self._partitions, len(seats))
        first = 0
        for place, (_, seat) in enumerate(seats):
            count = share + (place < rest)
            seat.assignment = [Tail(topic, n) for topic in self._topics for n in range(first, first + count)]
            first += count
            joined, seat.joined = seat.joined, None
            seat.beat = self._loop.time()
            if joined is not None:
                joined(seat.assignment)
