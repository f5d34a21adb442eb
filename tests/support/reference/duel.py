"""The core and the reference play the same inputs; the first step after which they differ is found and made short."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from services.router.decision.decide import decide
from services.router.decision.model import (
    Admission,
    Decision,
    DueInput,
    EraseInput,
    EventInput,
    FeedbackInput,
    Identity,
    LiftInput,
    MemberInput,
    Part,
    Policy,
)
from services.router.decision.quiet_hours import spread
from tests.support.histories import Step
from tests.support.reference.game import Reference
from tests.support.reference.values import Message, Row

Counted = tuple[int, list[tuple[Any, ...]]]


@dataclass
class Difference:
    """What the core and the reference said after the same inputs; `steps` are all that are needed to get there."""

    steps: list[Step]
    core: list[Any]
    reference: list[Any]

    def __str__(self) -> str:
        lines = [f"  {s.now} {shown(s)}: {[tuple(row(d)) for d in s.decisions]}" for s in self.steps]
        only_core = [r for r in self.core if r not in self.reference]
        only_reference = [r for r in self.reference if r not in self.core]
        last = self.steps[-1]
        about = f"controls {last.policy.controls}\n{last.profile}\n{last.policy.defaults}\n{last.policy.caps}"
        return "\n".join(("", *lines, f"core:      {only_core}", f"reference: {only_reference}", about))


def first_difference(steps: Sequence[Step]) -> Difference | None:
    """Play what the core has played; give up where the core no longer knows what was said before (see `forgot`)."""
    if not steps:
        return None
    reference = Reference(steps[0].policy, "northwind", "ana", None, spread)
    for number, step in enumerate(steps):
        told: list[Any] = sorted(decided_by_reference(reference, step))
        said: list[Any] = sorted(row(d) for d in step.decisions)
        if told == said:
            told, said = counted_by_reference(reference, step), counted_by_core(step)
        if told != said:
            return None if forgot(said, told) else Difference(list(steps[: number + 1]), said, told)
    return None


def forgot(core: list[Any], reference: list[Any]) -> bool:
    """Say whether the core lacked `previous`: it keeps the data of two messages; should both fail, it rather sends."""
    other = [r for r in reference if r not in core]
    return bool(other) and all(isinstance(r, Row) and r.reason == "NOT_MATERIAL" for r in other)


def shortest(found: Difference) -> Difference:
    """Leave out every input that is not needed for a difference."""
    at = 0
    while at < len(found.steps) - 1:
        shorter = first_difference(played_again([*found.steps[:at], *found.steps[at + 1 :]]))
        found, at = (shorter, at) if shorter else (found, at + 1)
    return found


def played_again(steps: Sequence[Step]) -> list[Step]:
    """Let the core decide these inputs, each with the policy and the profile of its time."""
    customer = replace(steps[0].before, admissions=(), subjects={}, holds=(), opens=())
    seen: dict[tuple[str, str], Identity] = {}
    again = []
    for step in steps:
        customer = replace(customer, profile=step.profile)
        given = step.input
        if isinstance(given, EventInput):
            given = replace(given, seen=seen.get((given.event.source, given.event.id)))
        elif isinstance(given, DueInput):
            given = DueInput(frozenset(h.decision_id for h in customer.holds if h.due <= step.now))
        result = decide(given, step.policy, customer, step.now)
        if isinstance(given, EventInput) and result.identity is not None:
            seen[given.event.source, given.event.id] = result.identity
        again.append(Step(step.now, given, step.policy, customer, result))
        customer = result.customer
    return again


def decided_by_reference(reference: Reference, step: Step) -> list[Row]:
    reference.policy, reference.profile = step.policy, step.profile
    reference.controls = list(step.policy.controls)
    match step.input:
        case EventInput(event):
            return reference.event(event, step.now)
        case DueInput():
            return reference.due(step.now)
        case LiftInput(names):
            return reference.lift(names, step.now)
        case FeedbackInput() as given:
            return reference.feedback(given.send_id, given.channel, given.outcome, step.now, hard=given.hard)
        case EraseInput():
            return reference.erase()
        case MemberInput():
            raise AssertionError("histories of one customer have no audiences")


def row(d: Decision) -> Row:
    assert d.event is not None
    verdicts = tuple(sorted((v.channel, v.reason.name) for v in d.verdicts))
    channels = tuple(s.channel for s in d.sends)
    return Row(d.event.id, d.rule_name, d.outcome.name, d.reason.name, d.step, d.revision, channels, d.due, verdicts)


def counted_by_core(step: Step) -> list[Counted]:
    def facts(part: Admission | Part) -> tuple[Any, ...]:
        return (part.rule, part.channels, part.category, part.message_class, part.subject, part.once, part.closure)

    def parts(whole: Admission) -> list[Admission | Part]:
        every: list[Admission | Part] = [whole, *whole.parts]
        return [part for part in every if part.channels]

    ledger = ((a.time, [facts(part) for part in parts(a)]) for a in step.result.customer.admissions)
    return recent(ledger, step.policy, step.now)


def counted_by_reference(reference: Reference, step: Step) -> list[Counted]:
    def facts(m: Message) -> tuple[Any, ...]:
        return (m.rule, tuple(m.counted), m.category, m.message_class, m.subject, m.once, m.closure)

    ledger = ((e.time, [facts(m) for m in e.messages if m.counted]) for e in reference.memory.ledger)
    return recent(ledger, step.policy, step.now)


def recent(ledger: Any, policy: Policy, now: int) -> list[Counted]:
    """Return the entries that can still matter, in an order that both know."""
    found = [(time, sorted(messages)) for time, messages in ledger if time > now - policy.memory and messages]
    return sorted(found)


def shown(step: Step) -> str:
    match step.input:
        case EventInput(event):
            return f"event {event.id} {event.type} {event.lifecycle.name} {event.subject} {event.sequence} {event.data}"
        case FeedbackInput() as given:
            return f"feedback {given.outcome.name} {given.channel} step {given.step} hard {given.hard}"
        case _:
            return type(step.input).__name__
