"""What must hold in every history, each promise by its own name, judged by a naive reckoning of the records."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from msgspec import msgpack

from services.router.decision.decide import decide
from services.router.decision.model import (
    Admission,
    Control,
    ControlKind,
    Decision,
    DueInput,
    EraseInput,
    EventInput,
    Feedback,
    FeedbackInput,
    Hold,
    Identity,
    Lifecycle,
    LiftInput,
    MessageClass,
    Open,
    Outcome,
    Over,
    QuietPolicy,
    QuietTimes,
    Reason,
    Subject,
    Timer,
)
from tests.support.histories import History, Step, sent, written_and_read
from tests.support.reference import clocks, wishes

Judge = Callable[[History], None]


def every_step_of_a_decision_ends_exactly_once(history: History) -> None:
    records: dict[bytes, list[Decision]] = defaultdict(list)
    for decision in history.decisions:
        records[decision.decision_id].append(decision)
    for revisions in records.values():
        assert [r.revision for r in revisions] == list(range(len(revisions)))
        ends = [r.step for r in revisions if r.terminal]
        assert ends == list(range(len(ends)))
        assert revisions[-1].terminal
        assert all(r.terminal == (r.outcome is not Outcome.HOLD) for r in revisions)
        assert all(bool(r.sends) == (r.outcome is Outcome.SEND) for r in revisions)
        assert sum(r.outcome is Outcome.SEND for r in revisions) == len({r.step for r in revisions if r.sends})


def no_message_is_sent_twice(history: History) -> None:
    sends = [s.send_id for d in history.decisions for s in d.sends if not s.digest]
    digests = [d for step in history.log for d in step.result.digests]
    sends += [d.send_id for d in digests]
    assert len(sends) == len(set(sends))
    items = [(i.decision_id, d.send_id) for d in digests for i in d.items]
    assert sorted(items) == sorted((d.decision_id, s.send_id) for d in history.decisions for s in d.sends if s.digest)


def nothing_is_sent_in_quiet_hours_that_apply_to_it(history: History) -> None:
    quiet = history.policy.defaults.quiet_hours or QuietPolicy(QuietTimes(None), (), Over.HOLD, 0)
    for step in history.log:
        for decision in sent(step.decisions):
            assert decision.rule is not None
            assert step.profile is not None
            if decision.rule.message_class is MessageClass.CRITICAL or not decision.rule.respects_quiet_hours:
                continue
            if not quiet.channels or {s.channel for s in decision.sends} & {*quiet.channels}:
                times = step.profile.quiet_hours or quiet.times
                zone = step.profile.timezone or history.policy.defaults.timezone
                assert not clocks.quiet_until(times, zone, step.now), decision


def who_opted_out_is_not_written_to(history: History) -> None:
    for step in history.log:
        for decision in sent(step.decisions):
            assert decision.rule is not None
            for send in decision.sends:
                why = wishes.excluded(step.policy, decision.rule, step.profile, send.channel, step.now)
                assert why is None, (decision, why)


def nothing_is_sent_after_it_expired(history: History) -> None:
    for decision in sent(history.decisions):
        assert decision.time < decision.expires


def stops_and_pauses_are_obeyed(history: History) -> None:
    for step in history.log:
        for decision in sent(step.decisions):
            for control in about(step, decision):
                assert control.channel not in {"", *(s.channel for s in decision.sends)}, (control, decision)
        if isinstance(step.input, LiftInput):
            assert not any(h.control in step.input.controls for h in step.result.customer.holds)
        for decision in step.decisions:
            if decision.reason is Reason.STOPPED:
                assert any(c.kind is ControlKind.STOP for c in about(step, decision)), decision
            if decision.reason is Reason.PAUSED:
                assert any(c.kind is ControlKind.PAUSE for c in about(step, decision)), decision


def about(step: Step, decision: Decision) -> list[Control]:
    """Return the controls in force that are about a message, on whatever channel."""
    assert decision.event is not None
    if decision.rule is None:
        return []
    return [c for c in step.policy.controls if wishes.hits(c, decision.rule, decision.event, step.now)]


def each_hold_is_released(history: History) -> None:
    for step in history.log:
        holds = step.result.customer.holds
        assert {h.decision_id for h in holds} <= {h.decision_id for h in step.before.holds} | {
            d.decision_id for d in step.decisions
        }
        for hold in holds:
            if hold not in step.before.holds:
                assert Timer(hold.due, hold.decision_id) in step.result.timers
                assert step.now < hold.due <= hold.expires
        if isinstance(step.input, DueInput):
            assert not any(h.due <= step.now for h in holds)
    assert not history.customer.holds


def who_is_forgotten_leaves_nothing_behind(history: History) -> None:
    for step in history.log:
        if isinstance(step.input, EraseInput):
            left = step.result.customer
            assert not [*left.admissions, *left.subjects, *left.holds, *left.opens]
            assert left.profile is None or not left.profile.addresses
            assert {d.decision_id for d in step.decisions} == {h.decision_id for h in step.before.holds}


def what_is_stored_can_be_read_again(history: History) -> None:
    customer = max((s.result.customer for s in history.log), key=lambda c: len(c.holds) + len(c.opens), default=None)
    for stored in () if customer is None else (customer, history.customer):
        values: tuple[tuple[Any, Any], ...] = (
            (stored.admissions, Admission),
            (stored.holds, Hold),
            (stored.opens, Open),
            (tuple(stored.subjects.values()), Subject),
            (tuple(history.seen.values()), Identity),
        )
        for found, kind in values:
            for value in found:
                assert msgpack.decode(msgpack.encode(value), type=kind) == value


def a_customer_who_was_written_and_read_again_is_decided_the_same(history: History) -> None:
    for step in history.log[len(history.log) // 2 :: 5]:
        again = decide(step.input, step.policy, written_and_read(step.before), step.now)
        assert again.decisions == step.decisions
        assert again.digests == step.result.digests
        assert again.timers == step.result.timers
        assert written_and_read(again.customer) == written_and_read(step.result.customer)


class Heard:
    """What a customer was sent about each subject and is not known to have failed."""

    def __init__(self) -> None:
        self.messages: list[tuple[Decision, set[bytes]]] = []

    def learn(self, step: Step) -> None:
        given = step.input
        if isinstance(given, EraseInput):
            self.messages.clear()
        if isinstance(given, FeedbackInput) and (
            given.outcome in (Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED)
            or (given.outcome is Feedback.BOUNCED and given.hard)
        ):
            for _, sends in self.messages:
                sends.discard(given.send_id)

    def add(self, decision: Decision) -> None:
        self.messages.append((decision, {s.send_id for s in decision.sends}))

    def told(self, decision: Decision) -> bool:
        """Say whether the customer knows of the subject from other events, and not of its end."""
        told = False
        for other, sends in self.messages:
            if sends and same_subject(other, decision) and same_event(other, decision) is False:
                assert other.event is not None
                told = not other.event.lifecycle.closing
        return told


def same_subject(one: Decision, other: Decision) -> bool:
    assert one.event is not None
    assert other.event is not None
    both = (one.event.lifecycle, other.event.lifecycle)
    return Lifecycle.POINT not in both and (one.event.source, one.event.subject) == (
        other.event.source,
        other.event.subject,
    )


def same_event(one: Decision, other: Decision) -> bool:
    assert one.event is not None
    assert other.event is not None
    return (one.event.id, one.first_seen) == (other.event.id, other.first_seen)


OF_THE_CUSTOMER = (
    Reason.NO_ADDRESS,
    Reason.ADDRESS_SUPPRESSED,
    Reason.LOCKED,
    Reason.SNOOZED,
    Reason.PREFERENCE_OFF,
    Reason.NO_CONSENT,
    Reason.CHANNEL_FAILED,
)
# Other ends of a closure: it is late, newer events came, or its rule is gone. A stop is judged by a judge of its own.
OTHERWISE = (Reason.CLOSURE, Reason.EXPIRED, Reason.STALE, Reason.SUPERSEDED, Reason.NO_RULE, Reason.STOPPED)


def who_was_told_and_can_be_reached_is_told_of_the_end(history: History) -> None:
    heard = Heard()
    for step in history.log:
        heard.learn(step)
        told = [heard.told(d) if d.rule_name else False for d in step.decisions]
        for number, decision in enumerate(step.decisions):
            if told[number] and decision.event is not None and decision.event.lifecycle.closing and decision.terminal:
                may_be_closed(step, decision, history)
        for decision in sent(step.decisions):
            heard.add(decision)


def may_be_closed(step: Step, decision: Decision, history: History) -> None:
    if decision.reason in OTHERWISE or isinstance(step.input, EraseInput):
        return
    if decision.reason is Reason.TRANSIENT:  # ended by the next closing event, after another rule had told of the end
        assert any(d.reason is Reason.CLOSURE and same_event(d, decision) for d in history.decisions), decision
        return
    assert decision.reason in (*OF_THE_CUSTOMER, Reason.STOPPED), decision
    assert decision.rule is not None
    stopped = {c.channel for c in about(step, decision) if c.kind is ControlKind.STOP}
    failed = {v.channel for v in decision.verdicts if v.reason is Reason.CHANNEL_FAILED}
    for channel in {*decision.rule.plan.channels} - stopped - failed:
        assert wishes.excluded(step.policy, decision.rule, step.profile, channel, step.now) is not None, decision


def no_update_follows_the_end_it_preceded(history: History) -> None:
    closed: dict[str, int] = {}
    said: dict[str, int] = {}
    began: dict[bytes, int] = {}
    for number, step in enumerate(history.log):
        for decision in step.decisions:
            began.setdefault(decision.decision_id, number)
        for decision in sent(step.decisions):
            assert decision.event is not None
            if decision.event.lifecycle is not Lifecycle.POINT:
                # A message of an end waits on when a later end says nothing to the customer: it must not be lost.
                ends = said if decision.event.lifecycle.closing else closed
                assert began[decision.decision_id] >= ends.get(decision.event.subject, 0)
        in_sequence = any(d.rule_name and d.reason not in PASSED_BY for d in step.decisions)
        if isinstance(step.input, EventInput) and step.input.event.lifecycle.closing and in_sequence:
            closed[step.input.event.subject] = number
            if any(d.outcome in (Outcome.SEND, Outcome.HOLD) for d in step.decisions):
                said[step.input.event.subject] = number


def no_next_step_follows_newer_news(history: History) -> None:
    """When a message failed and a newer one of its subject went out meanwhile, the old one takes no other channel."""
    heard = Heard()
    began: dict[bytes, int] = {}
    for number, step in enumerate(history.log):
        heard.learn(step)
        for decision in step.decisions:
            began.setdefault(decision.decision_id, number)
        for decision in sent(step.decisions):
            for other, sends in heard.messages if decision.step else ():
                newer = began[other.decision_id] > began[decision.decision_id]
                assert not (sends and newer and same_subject(other, decision)), (other, decision)
            heard.add(decision)


PASSED_BY = (Reason.STALE, Reason.NOT_IN_AUDIENCE)
