"""A timeline, lived through on a virtual clock.

What the router does with a partition happens here with the same pure core: identities are remembered for each key,
controls come into force and end, holds are decided again when they are due. At one instant due timers come first, then
the entries in the order of the file, one pass each. The clock stands only where something happens, never goes back,
and after the last entry runs until no timer is left.
"""

import heapq
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from services.policy.changes import changed, erased
from services.policy.profiles import to_profile
from services.policy.testing.timeline import (
    Changes,
    Entry,
    Erases,
    Finds,
    Happens,
    Lifts,
    Steers,
    Timeline,
    means,
)
from services.router.decision.decide import decide, take
from services.router.decision.lifecycle import prune
from services.router.decision.model import (
    Control,
    Customer,
    Decision,
    Digest,
    DueInput,
    EraseInput,
    Event,
    EventInput,
    FeedbackInput,
    Identity,
    Input,
    LiftInput,
    MemberInput,
    Policy,
    Profile,
    Taken,
    Truth,
)

# What is held again and again ends when it expires; more timers than this are a bug of the core.
TIMER_LIMIT: Final = 100_000


class Happened(Struct, frozen=True):
    """One revision, with the customer's profile as it was then and the digests it was decided with."""

    decision: Decision
    profile: Profile | None = None
    digests: tuple[Digest, ...] = ()


class Fault(Struct, frozen=True):
    """An entry that could not be done, as when it speaks of a message that was not sent."""

    line: int
    message: str


class Found(Struct, frozen=True):
    """What a provider said, and the decision whose message it said it of."""

    decision: Decision
    said: FeedbackInput
    time: int


class History(Struct, frozen=True):
    """All that became of a timeline; `matched` counts the events that each rule matched."""

    happened: tuple[Happened, ...]
    found: tuple[Found, ...]
    faults: tuple[Fault, ...]
    matched: Mapping[str, int]


def live(timeline: Timeline, policy: Policy) -> History:
    """Live through a timeline under a policy."""
    world = _World(timeline, policy)
    for entry in timeline.entries:
        world.wait(entry.at)
        world.do(entry)
    world.wait(None)
    return History(tuple(world.happened), tuple(world.found), tuple(world.faults), world.matched)


class _World:
    def __init__(self, timeline: Timeline, policy: Policy) -> None:
        self.happened: list[Happened] = []
        self.found: list[Found] = []
        self.faults: list[Fault] = []
        self.matched: dict[str, int] = {}
        self._now = timeline.start
        self._policy = policy
        self._controls: dict[str, Control] = {}
        self._seen: dict[tuple[str, str, str], Identity] = {}
        self._timers: list[tuple[int, str]] = []
        self._documents: dict[str, Mapping[str, Any]] = dict(timeline.customers)
        self._customers: dict[str, Customer] = {}
        for name, document in sorted(timeline.customers.items()):
            self._customers[name] = Customer(policy.tenant, name, to_profile(name, document))

    def wait(self, until: int | None) -> None:
        """Let the clock run to an instant, or until no timer is left, deciding what is due on the way."""
        for _ in range(TIMER_LIMIT):
            if not self._timers or (until is not None and self._timers[0][0] > until):
                break
            due, name = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            customer = self._customer(name)
            holds = frozenset(hold.decision_id for hold in customer.holds if hold.due <= self._now)
            if holds:
                self._decide(DueInput(holds), customer)
        else:
            raise AssertionError("holds go round in circles: each must end when it expires")
        if until is not None:
            self._now = max(self._now, until)

    def do(self, entry: Entry) -> None:
        """Do what an entry says, at this instant."""
        match entry.deed:
            case Happens():
                self._event(entry.deed)
            case Changes(customer=name, patch=patch):
                document = changed(self._documents.get(name, {}), patch, self._now, "")
                self._documents[name] = document
                self._customers[name] = replace(self._customer(name), profile=to_profile(name, document))
            case Finds():
                self._feedback(entry.deed, entry.line)
            case Steers(control=control):
                self._controls[control.name] = control
                self._in_force()
            case Lifts(name=name):
                self._lift(name)
            case Erases(customer=name):
                self._erase(name)

    def _event(self, deed: Happens) -> None:
        event = deed.event
        key = (_key(event), event.source, event.id)
        given = EventInput(event, self._seen.get(key), (0, len(self.happened)), deed.selector)
        taken = take(given, self._policy, self._now)
        if taken.identity is not None:
            self._seen[key] = taken.identity
        for rule in _held(taken):
            self.matched[rule] = self.matched.get(rule, 0) + 1
        self.happened += [Happened(decision) for decision in taken.decisions]
        if taken.decisions:
            return
        for name in sorted(event.customers or self._customers):
            self._decide(MemberInput(taken), self._customer(name))

    def _feedback(self, deed: Finds, line: int) -> None:
        for happened in reversed(self.happened):
            decision = happened.decision
            event = decision.event
            if event is None or decision.customer != deed.customer or not means(deed.of, event):
                continue
            for send in decision.sends if deed.rule in ("", decision.rule_name) else ():
                if send.channel == deed.channel:
                    flush = next((each for each in happened.digests if each.send_id == send.send_id), None)
                    decision_id = decision.decision_id if flush is None else flush.decision_id
                    said = FeedbackInput(
                        decision_id, send.send_id, send.channel, decision.step, deed.outcome, deed.hard
                    )
                    self.found.append(Found(decision, said, self._now))
                    self._decide(said, self._customer(deed.customer))
                    return
        message = f"no message about {deed.of} has gone to {deed.customer} by {deed.channel} until then"
        self.faults.append(Fault(line, message))

    def _lift(self, name: str) -> None:
        self._controls.pop(name, None)
        self._in_force()
        for customer in [self._customers[each] for each in sorted(self._customers)]:
            if any(hold.control == name for hold in customer.holds):
                self._decide(LiftInput(frozenset({name})), customer)

    def _erase(self, name: str) -> None:
        self._decide(EraseInput(), self._customer(name))
        left = erased(name, self._documents.get(name, {}))
        self._documents[name] = left
        self._customers[name] = replace(self._customers[name], profile=to_profile(name, left))

    def _in_force(self) -> None:
        controls = tuple(self._controls[name] for name in sorted(self._controls))
        self._policy = replace(self._policy, controls=controls)

    def _customer(self, name: str) -> Customer:
        known = self._customers.get(name)
        return known if known is not None else Customer(self._policy.tenant, name)

    def _decide(self, given: Input, customer: Customer) -> None:
        result = decide(given, self._policy, prune(customer, self._policy, self._now), self._now)
        self._customers[customer.id] = result.customer
        for timer in result.timers:
            heapq.heappush(self._timers, (timer.due, customer.id))
        self.happened += [Happened(decision, customer.profile, result.digests) for decision in result.decisions]


def _held(taken: Taken) -> list[str]:
    """Return the rules whose condition held, one that ignores among them."""
    ignored = [line for decision in taken.decisions for line in decision.rules_tried if line.truth is Truth.TRUE]
    return [rule.name for rule, _ in taken.matched] + [line.rule for line in ignored]


def _key(event: Event) -> str:
    """Return the key under which an event is remembered: its one customer, else its subject, else itself."""
    if len(event.customers) == 1 and not event.select and not event.everyone:
        return f"customer|{event.customers[0]}"
    return f"subject|{event.subject}" if event.subject else f"event|{event.source}|{event.id}"
