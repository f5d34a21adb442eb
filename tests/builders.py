"""Small values for tests of the decision core: each builder gives something plain, a test changes one field.

Time starts on a Wednesday at noon UTC (`NOON`); durations come from the model. The plain policy has one rule that
sends every event of type `outage` by sms or email, no caps and no quiet hours. `World` plays a story: it feeds
inputs to `decide` and keeps the customer, the identities and every decision made.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from services.router.decision.decide import decide, take
from services.router.decision.model import (
    DAY,
    HOUR,
    Address,
    Cap,
    Category,
    Condition,
    Control,
    ControlKind,
    Customer,
    Decision,
    Defaults,
    Digest,
    DueInput,
    EraseInput,
    Event,
    EventInput,
    EventType,
    Feedback,
    FeedbackInput,
    Identity,
    Key,
    Lifecycle,
    LiftInput,
    MemberInput,
    Over,
    Per,
    Plan,
    Policy,
    Preference,
    Profile,
    QuietPolicy,
    QuietTimes,
    Result,
    Rule,
    Scope,
    Severity,
    Truth,
    Value,
    Walk,
    Window,
)

NOON = 1_772_625_600_000_000  # 2026-03-04T12:00:00Z
CHANNELS = ("sms", "email", "push")


def event(**changes: Any) -> Event:
    plain = Event(
        tenant="northwind",
        source="oms",
        id="e1",
        type="outage",
        subject="INC-7",
        time=NOON,
        lifecycle=Lifecycle.OPENED,
        sequence=None,
        severity=Severity.INFO,
        expiry=None,
        customers=("ana",),
        data={"area": "Mitte"},
        content_hash=b"content",
        accepted=NOON,
    )
    return replace(plain, **changes)


def profile(**changes: Any) -> Profile:
    plain = Profile(
        "ana",
        addresses=tuple(Address(c, f"address of {c}") for c in CHANNELS),
        locale="de",
        timezone="UTC",
        channels=("sms", "email"),
    )
    return replace(plain, **changes)


def customer(**changes: Any) -> Customer:
    return replace(Customer("northwind", "ana", profile()), **changes)


def rule(**changes: Any) -> Rule:
    plain = Rule(
        name="outage",
        place="rules/10.yaml:1",
        on=("outage",),
        category="outage",
        plan=Plan(("sms", "email")),
        template="outage",
    )
    return replace(plain, **changes)


def first(*channels: str, fixed: bool = False) -> Plan:
    return Plan(channels, fixed=fixed)


def every(*channels: str) -> Plan:
    return Plan(channels, all=True)


def ignore_rest() -> Rule:
    return rule(name="nothing-else", place="rules/99.yaml:1", on=("*",), ignore=True)


def condition(test: Callable[[Scope], Truth | bool], source: str = "expression", shown: str = "values") -> Condition:
    def evaluate(scope: Scope) -> Truth:
        return Truth(int(test(scope)))

    return Condition(source, evaluate, lambda _: shown)


def key(test: Callable[[Scope], str | None], source: str = "expression") -> Key:
    return Key(source, test)


def stop(name: str = "halt", **changes: Any) -> Control:
    return Control(name, ControlKind.STOP, **changes)


def pause(name: str = "wait", **changes: Any) -> Control:
    return Control(name, ControlKind.PAUSE, **changes)


def cap(**changes: Any) -> Cap:
    return replace(Cap("cap", Per.CUSTOMER, limit=1, window=DAY, over=Over.DROP), **changes)


def category(**changes: Any) -> Category:
    return replace(Category("outage", "Power cuts", Value.INSTANT), **changes)


def wish(value: Value, category: str = "", channel: str = "", set_time: int = 0) -> Preference:
    return Preference(category, channel, value, set_time)


def night(start: str = "22:00", end: str = "07:00") -> QuietTimes:
    return QuietTimes(window(start, end))


def window(start: str, end: str) -> Window:
    def minutes(text: str) -> int:
        hours, rest = text.split(":")
        return int(hours) * 60 + int(rest)

    return Window(minutes(start), minutes(end))


def quiet(over: Over = Over.HOLD, channels: tuple[str, ...] = (), spread: int = 0, **times: str) -> QuietPolicy:
    return QuietPolicy(night(**times), channels, over, spread)


def event_type(name: str = "outage", *, lifecycle: bool = True, wrong: tuple[tuple[str, str], ...] = ()) -> EventType:
    return EventType(name, lifecycle, lambda _: wrong)


def policy(
    *rules: Rule,
    caps: tuple[Cap, ...] = (),
    types: tuple[EventType, ...] = (event_type(),),
    categories: tuple[Category, ...] = (category(),),
    defaults: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Policy:
    given = (*(rules or (rule(),)), ignore_rest())
    names = {t.name: t for t in types}
    plain = Policy(
        tenant="northwind",
        hash="policy-1",
        defaults=replace(Defaults(channels=("sms", "email", "push")), **(defaults or {})),
        categories={c.name: c for c in categories},
        caps=caps,
        locks=(),
        event_types=names,
        rules=given,
        walks={name: Walk(tuple(r for r in given if name in r.on or "*" in r.on)) for name in names},
        rules_by_name={r.name: r for r in given if not r.ignore},
        memory=max([0, *(c.window for c in caps), *(r.once_window for r in given)]),
    )
    return replace(plain, **changes)


class World:
    """One customer under one policy, and everything that was decided for him."""

    def __init__(self, policy: Policy, who: Customer | None = None, now: int = NOON) -> None:
        self.policy = policy
        self.customer = who or customer()
        self.now = now
        self.seen: dict[tuple[str, str], Identity] = {}
        self.decisions: list[Decision] = []
        self.digests: list[Digest] = []
        self.events = 0

    def event(self, given: Event | None = None, **changes: Any) -> Result:
        """Publish an event now; unless told otherwise it has an id of its own and happened now."""
        given = self.next(given, **changes)
        key = (given.source, given.id)
        result = decide(EventInput(given, self.seen.get(key), (0, self.events)), self.policy, self.customer, self.now)
        if result.identity is not None:
            self.seen[key] = result.identity
        return self.keep(result)

    def many(self, selector: Condition | None = None, **changes: Any) -> Result:
        """Publish an event for many now, and decide what this customer gets of it."""
        given = EventInput(self.next(**{"customers": (), **changes}), None, (0, self.events), selector)
        taken = take(given, self.policy, self.now)
        return self.keep(decide(MemberInput(taken), self.policy, self.customer, self.now))

    def next(self, given: Event | None = None, **changes: Any) -> Event:
        """Return the event to publish."""
        self.events += 1
        return given or event(**{"id": f"e{self.events}", "time": self.now, **changes})

    def due(self) -> Result:
        """Let every hold that is due now be decided again."""
        ids = frozenset(h.decision_id for h in self.customer.holds if h.due <= self.now)
        return self.keep(decide(DueInput(ids), self.policy, self.customer, self.now))

    def feedback(self, decision: Decision, outcome: Feedback, *, channel: str = "", hard: bool = False) -> Result:
        """Report what became of a send of this decision."""
        send = next(s for s in decision.sends if channel in ("", s.channel))
        given = FeedbackInput(
            decision.decision_id,
            send.send_id,
            send.channel,
            decision.step,
            outcome,
            hard,
        )
        return self.keep(decide(given, self.policy, self.customer, self.now))

    def feedback_of_digest(self, digest: Digest, outcome: Feedback) -> Result:
        """Report what became of a digest."""
        given = FeedbackInput(digest.decision_id, digest.send_id, digest.channel, 0, outcome, hard=False)
        return self.keep(decide(given, self.policy, self.customer, self.now))

    def steer(self, *controls: Control) -> "World":
        """Let these controls, and no others, be in force."""
        self.policy = replace(self.policy, controls=controls)
        return self

    def lift(self, *names: str) -> Result:
        """Lift controls: what they paused is decided again."""
        self.steer(*(c for c in self.policy.controls if c.name not in names))
        return self.keep(decide(LiftInput(frozenset(names)), self.policy, self.customer, self.now))

    def erase(self) -> Result:
        """Let the customer be forgotten."""
        return self.keep(decide(EraseInput(), self.policy, self.customer, self.now))

    def change(self, **changes: Any) -> "World":
        """Let the customer's profile have these fields, the others as in `profile`."""
        self.customer = replace(self.customer, profile=profile(**changes))
        return self

    def later(self, duration: int) -> "World":
        """Let time pass."""
        self.now += duration
        return self

    def keep(self, result: Result) -> Result:
        self.customer = result.customer
        self.decisions.extend(result.decisions)
        self.digests.extend(result.digests)
        return result

    def run(self, until: int = 30 * 24 * HOUR) -> None:
        """Let time pass until no hold is left."""
        end = self.now + until
        while self.customer.holds and self.now < end:
            self.now = max(self.now, min(h.due for h in self.customer.holds))
            self.due()


def one(result: Result) -> Decision:
    """Return the only decision of a result."""
    assert len(result.decisions) == 1, result.decisions
    return result.decisions[0]


def ended(decision: Decision) -> tuple[str, str]:
    """Return how a decision ended, in words."""
    return decision.outcome.name, decision.reason.name


def channels(decision: Decision) -> tuple[str, ...]:
    return tuple(s.channel for s in decision.sends)


def verdicts(decision: Decision) -> dict[str, str]:
    return {v.channel: v.reason.name for v in decision.verdicts}
