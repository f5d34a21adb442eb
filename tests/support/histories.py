"""Invented histories of one customer for the properties of the decision core.

`play` makes a policy and a customer and lets things happen to him: events, time, feedback, changed wishes, controls,
rules that go, released holds, erasure. All choices come from the given Random, so a seed (or hypothesis) reproduces a
history. The log keeps what went in and what came out of each step, in order; the properties judge it by their own,
naive reckoning.
"""

from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import TypeVar

from msgspec import msgpack
from msgspec.structs import replace

from services.router.decision.decide import decide
from services.router.decision.model import (
    HOUR,
    MINUTE,
    Admission,
    Customer,
    Decision,
    Digest,
    DueInput,
    EraseInput,
    Event,
    EventInput,
    Feedback,
    FeedbackInput,
    Hold,
    Identity,
    Input,
    LiftInput,
    Open,
    Outcome,
    Policy,
    Profile,
    Result,
    Rule,
    Subject,
    Walk,
)
from tests.support.invented import STARTS, a_control, a_policy, a_profile, an_event

GAPS = (0, 0, 1, *(MINUTE, 10 * MINUTE) * 3, 30 * MINUTE, HOUR, 2 * HOUR, 9 * HOUR)
KINDS = ("event",) * 12 + ("feedback",) * 4 + ("wish",) * 2 + ("control",) * 2 + ("lift", "policy", "erase")
OUTCOMES = (Feedback.REJECTED, Feedback.REJECTED, Feedback.BOUNCED, *Feedback)
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One input, what it met and what it led to; `policy` has the controls in force, `before` the profile."""

    now: int
    input: Input
    policy: Policy
    before: Customer
    result: Result

    @property
    def profile(self) -> Profile | None:
        return self.before.profile

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return self.result.decisions

    @property
    def event(self) -> Event | None:
        return self.input.event if isinstance(self.input, EventInput) else None


@dataclass
class History:
    """A policy, a customer, and the log of what happened to him."""

    policy: Policy
    customer: Customer
    now: int
    log: list[Step] = field(default_factory=list)
    seen: dict[tuple[str, str], Identity] = field(default_factory=dict)
    events: int = 0
    controls: int = 0
    restarts: bool = False

    @property
    def decisions(self) -> list[Decision]:
        return [d for step in self.log for d in step.decisions]

    @cached_property
    def digests(self) -> dict[bytes, Digest]:
        """Return the digests of the whole log by the id of their send."""
        return {d.send_id: d for step in self.log for d in step.result.digests}

    def encoded(self) -> bytes:
        """Return every decision and digest as bytes, without the rules' functions."""
        digests = [[msgpack.encode(replace(i, rule=_bare(i.rule))) for i in d.items] for d in self.digests.values()]
        return msgpack.encode([[replace(d, rule=None) for d in self.decisions], digests])

    def give(self, input: Input) -> None:
        """Let the core decide, and keep what came of it."""
        if self.restarts:
            self.customer = written_and_read(self.customer)
        result = decide(input, self.policy, self.customer, self.now)
        self.log.append(Step(self.now, input, self.policy, self.customer, result))
        self.customer = result.customer

    def later(self, duration: int, *, exactly: bool) -> None:
        """Let time pass; holds that get due are decided at their time, or else all of them at the end."""
        end = self.now + duration
        while exactly and self.customer.holds and min(h.due for h in self.customer.holds) <= end:
            self.now = max(self.now, min(h.due for h in self.customer.holds))
            self.release()
        self.now = end
        self.release()

    def release(self) -> None:
        """Decide again what is due now."""
        due = frozenset(h.decision_id for h in self.customer.holds if h.due <= self.now)
        if due:
            self.give(DueInput(due))


def play(random: Random, steps: int = 14, *, gentle: bool = False, restarts: bool = False) -> History:
    """Invent a history. A gentle one has no feedback, no opt-out and nothing that expires, stops or is forgotten.

    With restarts the customer is written and read again before every step, as a router that starts anew does.
    """
    policy, now = a_policy(random, gentle=gentle), random.choice(STARTS)
    known = a_profile(random, now, gentle=gentle) if gentle or random.random() < 0.98 else None
    history = History(policy, Customer("northwind", "ana", known), now, restarts=restarts)
    for _ in range(steps):
        history.later(random.choice(GAPS), exactly=random.random() < 0.7)
        _happen(history, random, "event" if gentle else random.choice(KINDS), gentle=gentle)
    for _ in range(1_000):
        if not history.customer.holds:
            break
        history.now = max(history.now, min(h.due for h in history.customer.holds))
        history.release()
    return history


def _happen(history: History, random: Random, kind: str, *, gentle: bool) -> None:
    if kind == "event":
        _publish(history, random, gentle=gentle)
    elif kind == "feedback":
        _report(history, random)
    elif kind == "wish":
        changed = a_profile(random, history.now)
        history.customer = replace(history.customer, profile=changed)
    elif kind == "control":
        history.controls += 1
        control = a_control(random, f"c{history.controls}", history.now)
        history.policy = replace(history.policy, controls=(*history.policy.controls, control))
    elif kind == "lift" and history.policy.controls:
        lifted = random.choice(history.policy.controls)
        kept = tuple(c for c in history.policy.controls if c != lifted)
        history.policy = replace(history.policy, controls=kept)
        history.give(LiftInput(frozenset({lifted.name})))
    elif kind == "policy" and random.random() < 0.4:
        history.policy = _without(history.policy, random.choice(history.policy.rules[:-1]))
    elif kind == "erase" and random.random() < 0.4:
        history.give(EraseInput())


def _without(policy: Policy, gone: Rule) -> Policy:
    if len(policy.rules) == 2:
        return policy
    return replace(
        policy,
        rules=tuple(r for r in policy.rules if r is not gone),
        walks={t: Walk(tuple(r for r in walk.rules if r is not gone)) for t, walk in policy.walks.items()},
        rules_by_name={n: r for n, r in policy.rules_by_name.items() if r is not gone},
    )


def _publish(history: History, random: Random, *, gentle: bool) -> None:
    history.events += 1
    event = an_event(random, history.events, history.now, gentle=gentle)
    key = (event.source, event.id)
    history.give(EventInput(event, history.seen.get(key), (0, history.events)))
    identity = history.log[-1].result.identity
    if identity is not None:
        history.seen[key] = identity


def _report(history: History, random: Random) -> None:
    outcome, hard = random.choice(OUTCOMES), random.random() < 0.5
    results = [s.result for s in history.log]
    sends = [(d.decision_id, s, d.step) for r in results for d in r.decisions for s in d.sends if not s.digest]
    digests = [d for r in results for d in r.digests]
    made = [FeedbackInput(of, s.send_id, s.channel, step, outcome, hard) for of, s, step in sends[-6:]]
    made += [FeedbackInput(d.decision_id, d.send_id, d.channel, 0, outcome, hard) for d in digests[-3:]]
    if made:
        history.give(random.choice(made))


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


def _bare(rule: Rule) -> Rule:
    return Rule(rule.name, rule.place, rule.on)


def sent(decisions: tuple[Decision, ...] | list[Decision]) -> list[Decision]:
    """Return the decisions that sent something."""
    return [d for d in decisions if d.outcome is Outcome.SEND]
