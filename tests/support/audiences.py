"""Invented events for several customers at once: named ones, those whom a selector finds, or everyone.

Each event is taken once and then judged for every customer of the tenant, as a fan-out does. The reference is told of
each customer whether he was named, found or neither.
"""

from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from services.router.decision.decide import decide, take
from services.router.decision.model import (
    HOUR,
    MINUTE,
    Condition,
    Customer,
    Decision,
    DueInput,
    Event,
    EventInput,
    Identity,
    MemberInput,
    Policy,
)
from services.router.decision.quiet_hours import spread
from tests.builders import condition
from tests.support.invented import STARTS, a_policy, a_profile, an_event
from tests.support.reference.duel import row
from tests.support.reference.game import Reference
from tests.support.reference.values import Row

NAMES = ("ana", "ben", "eve", "kim")
GAPS = (0, 1, MINUTE, 10 * MINUTE, HOUR, 9 * HOUR)
SELECT = condition(lambda s: s.customer is not None and s.customer.attributes.get("contract") == "gold")


@dataclass
class Crowd:
    """Customers under one policy, each with his reference; `both` has what the two said, input by input."""

    policy: Policy
    now: int
    customers: dict[str, Customer]
    references: dict[str, Reference]
    seen: dict[tuple[str, str], Identity] = field(default_factory=dict)
    events: int = 0
    both: list[tuple[str, list[Row], list[Row]]] = field(default_factory=list)
    decisions: list[tuple[Event, str, Decision]] = field(default_factory=list)

    def publish(self, event: Event, selector: Condition | None) -> None:
        """Take an event and judge every customer."""
        self.events += 1
        key = (event.source, event.id)
        taken = take(EventInput(event, self.seen.get(key), (0, self.events), selector), self.policy, self.now)
        if taken.identity is not None:
            self.seen[key] = taken.identity
        for name in NAMES:
            core = list(taken.decisions)
            if not core:
                # A named customer is the only one who is asked for: for all others nothing must come of it.
                result = decide(MemberInput(taken), self.policy, self.customers[name], self.now)
                self.customers[name], core = result.customer, list(result.decisions)
                self.decisions += [(event, name, d) for d in core]
            if name in event.customers or not event.customers:
                self._compare(name, core, self._reference(name, event))
            elif not taken.decisions:
                self._compare(name, core, [])
            if taken.identity is not None:
                self.references[name].identities[key] = (event.content_hash, self.now)

    def release(self) -> None:
        """Decide again what is due, customer by customer."""
        for name, customer in self.customers.items():
            due = frozenset(h.decision_id for h in customer.holds if h.due <= self.now)
            if due:
                result = decide(DueInput(due), self.policy, customer, self.now)
                self.customers[name] = result.customer
                self._compare(name, list(result.decisions), self.references[name].due(self.now))

    def change(self, random: Random) -> None:
        """Let one customer become another."""
        name = random.choice(NAMES)
        profile = replace(a_profile(random, self.now), customer=name)
        self.customers[name] = replace(self.customers[name], profile=profile)
        self.references[name].profile = profile

    def _reference(self, name: str, event: Event) -> list[Row]:
        reference = self.references[name]
        assert reference.profile is not None
        found = event.everyone or (event.select != "" and reference.profile.attributes["contract"] == "gold")
        return reference.event(event, self.now, selected=None if event.customers else found)

    def _compare(self, name: str, core: list[Decision], reference: list[Row]) -> None:
        self.both.append((name, sorted(row(d) for d in core), sorted(reference)))


def gather(random: Random, steps: int = 10) -> Crowd:
    """Invent what happens to some customers."""
    policy, now = a_policy(random), random.choice(STARTS)
    profiles = {name: replace(a_profile(random, now), customer=name) for name in NAMES}
    customers = {name: Customer("northwind", name, profile) for name, profile in profiles.items()}
    references = {name: Reference(policy, "northwind", name, profiles[name], spread) for name in NAMES}
    crowd = Crowd(policy, now, customers, references)
    for number in range(steps):
        crowd.now += random.choice(GAPS)
        crowd.release()
        if random.random() < 0.15:
            crowd.change(random)
            continue
        event = an_event(random, number, crowd.now)
        kind = random.choice(("named", "select", "everyone"))
        named = tuple(sorted(random.sample(NAMES, random.randrange(1, 4)))) if kind == "named" else ()
        select = "contract == gold" if kind == "select" else ""
        event = replace(event, customers=named, select=select, everyone=kind == "everyone")
        crowd.publish(event, SELECT if select else None)
    return crowd
