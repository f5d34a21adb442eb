"""Invented histories of one customer for the properties of the decision core.

`play` makes a policy and a customer and lets things happen to him: events, time, feedback, changed wishes, released
holds. All choices come from the given Random, so a seed (or hypothesis) reproduces a history. The log keeps what
went in and what came out of each step, in order; the properties judge it by their own, naive reckoning.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from msgspec import msgpack
from msgspec.structs import replace

from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Address,
    Admission,
    Cap,
    Customer,
    Decision,
    Event,
    Feedback,
    Hold,
    Lifecycle,
    MessageClass,
    Open,
    Outcome,
    Over,
    Per,
    Policy,
    Profile,
    QuietPolicy,
    QuietTimes,
    Rule,
    Subject,
    Suppression,
    Value,
    Window,
)
from tests.builders import (
    CHANNELS,
    NOON,
    World,
    category,
    condition,
    customer,
    event_type,
    every,
    first,
    policy,
    profile,
    rule,
    wish,
)

ZONES = ("UTC", "Asia/Tokyo", "America/Phoenix", "Asia/Kolkata")  # none changes its clock: quiet hours stay simple
TYPES = ("outage", "order", "offer")
WINDOWS = (30 * MINUTE, 2 * HOUR, DAY)
GAPS = (0, 0, 1, *(MINUTE, 10 * MINUTE) * 3, 30 * MINUTE, HOUR, 2 * HOUR, 9 * HOUR)
OUTCOMES = tuple(Feedback)
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One input and what it led to; `failed` is the send that feedback was about, with its outcome."""

    now: int
    profile: Profile
    decisions: tuple[Decision, ...]
    event: Event | None = None
    failed: tuple[Decision, str, Feedback, bool] | None = None


@dataclass
class History:
    """A world and its log."""

    world: World
    log: list[Step] = field(default_factory=list)

    @property
    def decisions(self) -> list[Decision]:
        return [d for step in self.log for d in step.decisions]

    def encoded(self) -> bytes:
        """Return every decision as bytes, without the rules' functions."""
        return msgpack.encode([replace(d, rule=None) for d in self.decisions])


def play(random: Random, steps: int = 40, *, gentle: bool = False, restarts: bool = False) -> History:
    """Invent a history. A gentle one has no feedback, no opt-out and nothing that expires.

    With restarts the customer is written and read again before every step, as a router that starts anew does.
    """
    history = History(World(a_policy(random, gentle=gentle), customer(profile=a_profile(random, gentle=gentle))))
    for _ in range(steps):
        if restarts:
            history.world.customer = written_and_read(history.world.customer)
        history.world.later(random.choice(GAPS))
        _release(history)
        kind = random.choice(("event",) * 6 + (() if gentle else ("feedback", "feedback", "wish")))
        if kind == "event":
            _publish(history, random, gentle=gentle)
        elif kind == "feedback":
            _report(history, random)
        else:
            history.world.customer = replace(history.world.customer, profile=a_profile(random, gentle=False))
    while history.world.customer.holds:
        history.world.now = max(history.world.now, min(h.due for h in history.world.customer.holds))
        _release(history)
    return history


def written_and_read(customer: Customer) -> Customer:
    """Return a customer as the state gives him back: the same things, kept in an order of their own."""
    return replace(
        customer,
        admissions=tuple(sorted(_copy(customer.admissions, Admission), key=lambda a: (a.time, a.decision_id))),
        subjects={(s.source, s.subject): s for s in reversed(_copy(tuple(customer.subjects.values()), Subject))},
        holds=tuple(sorted(_copy(customer.holds, Hold), key=lambda h: h.decision_id)),
        opens=tuple(sorted(_copy(customer.opens, Open), key=lambda o: o.send_id)),
    )


def _copy(values: tuple[T, ...], kind: type[T]) -> list[T]:
    return [msgpack.decode(msgpack.encode(value), type=kind) for value in values]


def _keep(history: History, decisions: tuple[Decision, ...], **more: Any) -> None:
    world = history.world
    known = world.customer.profile or profile()
    history.log.append(Step(world.now, known, decisions, **more))


def _release(history: History) -> None:
    if any(h.due <= history.world.now for h in history.world.customer.holds):
        _keep(history, history.world.due().decisions)


def _publish(history: History, random: Random, *, gentle: bool) -> None:
    world, kind = history.world, random.choice(("outage", *TYPES))
    changes: dict[str, Any] = {
        "type": kind,
        "subject": random.choice(("A", "B")),
        "lifecycle": random.choice(tuple(Lifecycle)) if kind == "outage" else Lifecycle.POINT,
        "data": {"at": random.randrange(2)},
    }
    if not gentle:
        changes["time"] = world.now - random.choice((0, 0, 0, 0, HOUR, DAY))
        changes["expiry"] = random.choice((*(None,) * 8, world.now + HOUR, world.now))
        changes["sequence"] = random.choice((None, None, world.events, world.events - 3))
        changes["id"] = f"e{random.choice((world.events, world.events, world.events, max(world.events - 2, 0)))}"
    result = world.event(**changes)
    _keep(history, result.decisions, event=next((d.event for d in result.decisions[-1:]), None))


def _report(history: History, random: Random) -> None:
    sent = [d for d in history.decisions if d.sends][-6:]
    if not sent:
        return
    decision, outcome, hard = random.choice(sent), random.choice(OUTCOMES), random.random() < 0.5
    channel = random.choice(decision.sends).channel
    result = history.world.feedback(decision, outcome, channel=channel, hard=hard)
    _keep(history, result.decisions, failed=(decision, channel, outcome, hard))


def a_policy(random: Random, *, gentle: bool) -> Policy:
    """Invent a policy: three kinds of events, some caps, perhaps quiet hours."""
    lasting = 400 * DAY if gentle else random.choice((6 * HOUR, 3 * DAY, 3 * DAY))
    rules = tuple(_rules(random, lasting))
    quiet = None
    if random.random() < 0.7:
        channels = random.choice(((), (), ("sms",), ("sms", "email")))
        over = random.choice((Over.HOLD, Over.DROP, Over.REROUTE))
        quiet = QuietPolicy(_times(random), channels, over, random.choice((0, 10 * MINUTE)))
    return policy(
        *rules,
        caps=tuple(a_cap(random, f"cap-{n}") for n in range(random.randrange(4))),
        types=tuple(event_type(t, lifecycle=t == "outage") for t in TYPES),
        categories=(category(required=random.random() < 0.3), category(name="order"), category(name="offer")),
        defaults={"quiet_hours": quiet},
    )


def _rules(random: Random, lasting: int) -> list[Rule]:
    fresh = condition(lambda s: s.previous is None or s.event.data["at"] != s.previous["at"])
    rules = [
        rule(name="outage-too", go_on=True, plan=_plan(random), expires_after=lasting),
        rule(name="outage", material=fresh, plan=_plan(random), expires_after=lasting),
        rule(name="order", on=("order",), category="order", plan=_plan(random), expires_after=lasting),
        rule(name="offer", on=("offer",), category="offer", plan=_plan(random), expires_after=lasting),
    ]
    rules = [replace(r, message_class=random.choice(tuple(MessageClass)[:3])) for r in rules]
    rules[3] = replace(rules[3], message_class=MessageClass.MARKETING)
    return rules if random.random() < 0.5 else rules[1:]


def _plan(random: Random) -> Any:
    channels = random.sample(CHANNELS, random.randrange(1, 4))
    return every(*channels) if random.random() < 0.3 else first(*channels, fixed=random.random() < 0.2)


def a_cap(random: Random, name: str) -> Cap:
    """Invent a cap."""
    per = random.choice(tuple(Per))
    channel = random.choice(("", "", "sms"))
    overs = [Over.DROP, Over.DEFER] + ([Over.REROUTE] if channel or per is Per.CHANNEL else [])
    limit = random.randrange(1, 5)
    return Cap(
        name,
        per,
        limit,
        random.choice(WINDOWS),
        random.choice(overs),
        where_channel=channel,
        where_category=random.choice(("", "", "outage")),
        exempt=frozenset({MessageClass.CRITICAL}) if random.random() < 0.5 else frozenset(),
        reserve=((MessageClass.TRANSACTIONAL, limit - 1),) if random.random() < 0.3 and limit > 1 else (),
        max_hold=random.choice((HOUR, DAY)),
    )


def a_profile(random: Random, *, gentle: bool) -> Profile:
    """Invent a customer; a gentle one can be reached and wants everything."""
    plain = profile(
        timezone=random.choice(ZONES),
        channels=tuple(random.sample(CHANNELS, random.randrange(4))),
        quiet_hours=_times(random) if random.random() < 0.3 else None,
        consents=CHANNELS if gentle else tuple(c for c in CHANNELS if random.random() < 0.5),
    )
    if gentle:
        return plain
    wishes = tuple(
        wish(random.choice((Value.INSTANT, Value.OFF)), random.choice(("", *TYPES)), random.choice(("", *CHANNELS)))
        for _ in range(random.randrange(3))
    )
    return replace(
        plain,
        addresses=tuple(Address(c, c) for c in CHANNELS if random.random() < 0.8),
        suppressed=tuple(Suppression(c, "STOP") for c in CHANNELS if random.random() < 0.15),
        snoozed_until=NOON + random.choice((0, 0, 0, HOUR, DAY)),
        preferences=wishes,
    )


def _times(random: Random) -> QuietTimes:
    start = random.randrange(0, 1440, 30)
    return QuietTimes(Window(start, (start + random.randrange(30, 900, 30)) % 1440))


def sent(decisions: list[Decision]) -> list[Decision]:
    """Return the decisions that sent something."""
    return [d for d in decisions if d.outcome is Outcome.SEND]
