"""Each promise holds on sound evidence and is found broken when it is broken once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from services.control.audit.caps_kept import caps_kept
from services.control.audit.closures_told import closures_told
from services.control.audit.decided_once import decided_once
from services.control.audit.evidence import Evidence, Promise
from services.control.audit.one_message import one_message
from services.control.audit.opt_outs_kept import opt_outs_kept
from services.control.audit.promises import audit, verdict
from services.control.audit.quiet_kept import is_quiet, quiet_kept
from services.control.records import DecisionRecord, FanOutRecord, FanOutStage
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Cap,
    Category,
    Defaults,
    Feedback,
    Lifecycle,
    MessageClass,
    Outcome,
    Over,
    Per,
    Plan,
    Policy,
    QuietPolicy,
    QuietTimes,
    Reason,
    Rule,
    Value,
    Window,
)
from tests.unit.control.records import (
    NOON,
    POLICY,
    SEND_ID,
    accepted,
    change,
    decision,
    fan_out,
    feedback,
    mail,
    not_sent,
    send,
)

EMAIL_A_DAY = Cap("email-a-day", Per.CHANNEL, 3, DAY, Over.DROP, where_channel="email")
NIGHT = QuietPolicy(QuietTimes(Window(22 * 60, 7 * 60)), (), Over.HOLD, 0)
KNOWN = change({"addresses": {"email": "ana@example.org"}, "timezone": "Europe/Berlin"})


def policy(**changes: Any) -> Policy:
    base = Policy(
        tenant="northwind",
        hash=POLICY,
        defaults=Defaults(timezone="Europe/Berlin", quiet_hours=NIGHT),
        categories={
            "order": Category("order", "Your orders", Value.INSTANT),
            "outage": Category("outage", "Power cuts", Value.INSTANT, required=True),
        },
        caps=(EMAIL_A_DAY,),
        locks=(),
        event_types={},
        rules=(
            Rule("order-problem", "", ("*",), plan=Plan(("email",))),
            Rule("at-any-hour", "", ("*",), plan=Plan(("email",)), respects_quiet_hours=False),
        ),
        walks={},
    )
    return replace(base, **changes)


def sound(**changes: Any) -> Evidence:
    base = Evidence(
        events=(accepted(),),
        changes=(KNOWN,),
        decisions=(decision(),),
        sends=(send(),),
        feedback=(feedback(),),
        mails=(mail(),),
        policies={POLICY: policy()},
    )
    return replace(base, **changes)


def many(count: int, every: int = MINUTE, **changes: Any) -> tuple[DecisionRecord, ...]:
    """Return that many sends of different events, in order of the log."""
    return tuple(
        decision(
            decision_id=bytes([number + 10]) * 20,
            send_ids=(bytes([number + 100]) * 20,),
            event_id=f"e{number}",
            offset=number,
            decided=NOON + number * every,
            admitted=NOON + number * every,
            **changes,
        )
        for number in range(count)
    )


def test_sound_evidence_keeps_all_promises() -> None:
    found = audit(sound(), NOON + MINUTE)
    assert found.broken() == ()
    assert found.holds
    assert verdict(found) == "all 6 promises hold"


def test_what_is_broken_is_counted_and_named() -> None:
    found = audit(sound(mails=()), NOON + MINUTE)
    assert not found.holds
    assert verdict(found) == "1 of 6 promises are broken"
    assert found.broken() == (
        (
            "every decision to send is one message: oms/4711 for ana, rule order-problem"
            " (send aibaeaqcaibaeaqcaibaeaqcaibaeaqc) was accepted, and no message is there"
        ),
    )


# --- decided once ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Break:
    name: str
    evidence: Evidence
    says: str


DECIDED = [
    Break("never decided", sound(events=(accepted(), accepted("4712", 1))), "oms/4712 was accepted and never decided"),
    Break("a revision twice", sound(decisions=(decision(), decision(offset=8813))), "has the revisions [0, 0]"),
    Break(
        "ended twice",
        sound(decisions=(decision(), decision(revision=1, offset=8813))),
        "goes on after step 0 ended",
    ),
    Break(
        "decided anew under another id",
        sound(decisions=(decision(), decision(decision_id=b"\x07" * 20, accepted=NOON + HOUR, offset=8813))),
        "ended ALLOWED and again ALLOWED",
    ),
    Break(
        "held too long",
        sound(decisions=(not_sent(Reason.QUIET_HOURS, Outcome.HOLD, terminal=False, due=NOON - HOUR),)),
        "is held and 3660 s overdue",
    ),
]


@pytest.mark.parametrize("case", DECIDED, ids=lambda case: case.name)
def test_what_is_not_decided_once_is_found(case: Break) -> None:
    found = decided_once(case.evidence, NOON + MINUTE)
    assert any(case.says in line for line in found.broken), found.broken


@pytest.mark.parametrize(
    "decisions",
    [
        (decision(), not_sent(Reason.DUPLICATE, Outcome.DUPLICATE, decision_id=b"\x07" * 20, rule="", customer="")),
        (decision(), decision(decision_id=b"\x07" * 20, accepted=NOON + DAY, offset=8813)),
        (not_sent(Reason.INVALID_DATA, Outcome.ERROR), decision(decision_id=b"\x07" * 20)),
        (decision(), decision(revision=1, step=1, offset=8813)),
        (
            not_sent(Reason.QUIET_HOURS, Outcome.HOLD, terminal=False, due=NOON + HOUR),
            decision(revision=1, decided=NOON + HOUR, offset=8813),
        ),
    ],
    ids=["duplicate", "after the window", "redriven after an error", "next step", "held, then sent"],
)
def test_what_may_be_decided_again_is_not_blamed(decisions: tuple[DecisionRecord, ...]) -> None:
    assert decided_once(sound(decisions=decisions), NOON + MINUTE).broken == ()


def test_a_dead_letter_is_an_answer() -> None:
    evidence = sound(events=(accepted(), accepted("bad", 1)), dead_letters=frozenset({(3, 1)}))
    assert decided_once(evidence, NOON).broken == ()


def test_an_event_for_many_that_reached_nobody_is_answered_by_its_reports() -> None:
    evidence = sound(decisions=(), fan_outs=(fan_out(judged=0, counts=()),))
    assert decided_once(evidence, NOON).broken == ()


def test_a_fan_out_that_runs_is_noted() -> None:
    running = fan_out(stage=FanOutStage.RUNNING, partition=4, partitions=2, counts=())
    evidence = sound(fan_outs=(fan_out(partitions=2), running))
    found = decided_once(evidence, NOON)
    assert (found.broken, found.noted) == ((), ("1 parts of fan-outs not done yet",))


@pytest.mark.parametrize(
    ("fan_outs", "says"),
    [
        ((fan_out(), fan_out()), "ended 2 times on partition 3"),
        ((fan_out(partitions=2),), "reached 1 of 2 partitions"),
        ((fan_out(counts=((Outcome.SEND, Reason.ALLOWED, 2),)),), "counted 2 decisions, 1 are there"),
        ((fan_out(counts=()),), "counted 0 decisions, 1 are there"),
    ],
)
def test_a_fan_out_that_lost_or_doubled_someone_is_found(fan_outs: tuple[FanOutRecord, ...], says: str) -> None:
    found = decided_once(sound(fan_outs=fan_outs), NOON)
    assert any(says in line for line in found.broken), found.broken


# --- one message -----------------------------------------------------------------------------

UNKNOWN = feedback(Feedback.UNKNOWN)
PARKED = feedback(Feedback.UNKNOWN, parked=True)
CRITICAL = decision(message_class=MessageClass.CRITICAL)
MESSAGES = [
    Break("two mails", sound(mails=(mail(), mail())), "is 2 messages"),
    Break("no mail", sound(mails=()), "was accepted, and no message is there"),
    Break("no outcome", sound(feedback=()), "has no outcome"),
    Break("only retries", sound(feedback=(feedback(Feedback.RETRY),), mails=()), "has no final outcome (RETRY)"),
    Break("mail after a refusal", sound(feedback=(feedback(Feedback.REJECTED),)), "was not to be sent"),
    Break("send lost", sound(sends=()), "has 0 records"),
    Break("send twice", sound(sends=(send(), send())), "has 2 records"),
    Break("send without decision", sound(sends=(send(), send(send_id=b"\x08" * 20))), "has no decision"),
    Break("mail without decision", sound(mails=(mail(), mail(b"\x08" * 20))), "has no decision"),
    Break("doubled, not critical", sound(mails=(mail(), mail()), feedback=(UNKNOWN, feedback())), "is 2 messages"),
    Break("doubled without unknown", sound(decisions=(CRITICAL,), mails=(mail(), mail())), "is 2 messages"),
]


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.name)
def test_what_is_not_one_message_is_found(case: Break) -> None:
    found = one_message(case.evidence)
    assert any(case.says in line for line in found.broken), found.broken


@pytest.mark.parametrize(
    ("evidence", "noted"),
    [
        (sound(feedback=(PARKED,), mails=()), "is parked after an unknown outcome (0 messages)"),
        (sound(feedback=(PARKED,)), "is parked after an unknown outcome (1 messages)"),
        (
            sound(decisions=(CRITICAL,), feedback=(UNKNOWN, feedback(attempt=2)), mails=(mail(), mail())),
            "is 2 messages after an unknown outcome (critical)",
        ),
    ],
    ids=["parked, lost", "parked, sent", "critical, doubled"],
)
def test_unknown_outcomes_are_listed_and_not_blamed(evidence: Evidence, noted: str) -> None:
    found = one_message(evidence)
    assert found.broken == ()
    assert [line for line in found.noted if noted in line]


# --- caps ------------------------------------------------------------------------------------


def test_one_admission_too_many_is_found() -> None:
    found = caps_kept(sound(decisions=many(4)))
    assert found.broken == ("cap email-a-day: oms/e3 for ana, rule order-problem was admitted with 3 of 3 used",)


def test_an_admission_exactly_one_window_old_counts_no_more() -> None:
    assert caps_kept(sound(decisions=many(4, every=DAY // 3))).holds
    assert not caps_kept(sound(decisions=many(4, every=DAY // 3 - 1))).holds


def test_exempt_classes_and_closures_count_but_are_not_limited() -> None:
    exempt = policy(caps=(replace(EMAIL_A_DAY, exempt=frozenset({MessageClass.CRITICAL})),))
    first = many(3)
    fourth = replace(many(4)[3], message_class=MessageClass.CRITICAL)
    assert caps_kept(sound(decisions=(*first, fourth), policies={POLICY: exempt})).holds
    assert caps_kept(sound(decisions=(*first, replace(fourth, reason=Reason.CLOSURE)))).holds
    fifth = replace(many(5)[4], message_class=MessageClass.TRANSACTIONAL)
    assert len(caps_kept(sound(decisions=(*first, fourth, fifth), policies={POLICY: exempt})).broken) == 1


def test_what_was_released_counts_no_more() -> None:
    decisions = many(4)
    rejected = feedback(Feedback.REJECTED, send_id=decisions[1].send_ids[0])
    assert caps_kept(sound(decisions=decisions, feedback=(rejected,))).holds


def test_a_reserve_lowers_the_limit_of_the_classes_below() -> None:
    reserving = replace(EMAIL_A_DAY, reserve=((MessageClass.TRANSACTIONAL, 2),))
    policies = {POLICY: policy(caps=(reserving,))}
    assert caps_kept(sound(decisions=many(3), policies=policies)).holds
    informational = many(2, message_class=MessageClass.INFORMATIONAL)
    assert len(caps_kept(sound(decisions=informational, policies=policies)).broken) == 1


@pytest.mark.parametrize(
    ("cap", "apart"),
    [
        (Cap("c", Per.CATEGORY, 1, DAY, Over.DROP), {"category": "offers"}),
        (Cap("c", Per.RULE, 1, DAY, Over.DROP), {"rule": "other"}),
        (Cap("c", Per.SUBJECT, 1, DAY, Over.DROP), {"subject": "order-1"}),
        (Cap("c", Per.CLASS, 1, DAY, Over.DROP), {"message_class": MessageClass.MARKETING}),
        (Cap("c", Per.CUSTOMER, 1, DAY, Over.DROP), {"customer": "ben"}),
    ],
    ids=lambda value: value.per.name if isinstance(value, Cap) else "",
)
def test_a_cap_counts_within_its_scope_only(cap: Cap, apart: dict[str, Any]) -> None:
    first, second = many(2)
    policies = {POLICY: policy(caps=(cap,))}
    assert not caps_kept(sound(decisions=(first, second), policies=policies)).holds
    assert caps_kept(sound(decisions=(first, replace(second, **apart)), policies=policies)).holds


# --- closures --------------------------------------------------------------------------------


def outage(make: Callable[..., DecisionRecord], lifecycle: Lifecycle, number: int, **changes: Any) -> DecisionRecord:
    return make(
        lifecycle=lifecycle,
        subject="INC-7",
        category="outage",
        decision_id=bytes([number]) * 20,
        offset=number,
        **({"send_ids": (bytes([number + 50]) * 20,)} if make is decision else {}),
        **changes,
    )


def suppressed(**changes: Any) -> DecisionRecord:
    return not_sent(**changes)


OPENED = outage(decision, Lifecycle.OPENED, 1)


@pytest.mark.parametrize("reason", [Reason.NEVER_INFORMED, Reason.CAP_REACHED, Reason.NOT_MATERIAL, Reason.TRANSIENT])
def test_who_was_told_and_not_told_of_the_end_is_found(reason: Reason) -> None:
    ended = outage(suppressed, Lifecycle.RESOLVED, 2, reason=reason)
    assert closures_told(sound(decisions=(OPENED, ended))).broken == (
        f"oms/4711 for ana, rule order-problem: told 1 times about INC-7, its end was {reason.name}",
    )


@pytest.mark.parametrize("reason", [Reason.NO_ADDRESS, Reason.STOPPED, Reason.EXPIRED, Reason.PREFERENCE_OFF])
def test_something_stronger_may_stand_against_a_closure(reason: Reason) -> None:
    ended = outage(suppressed, Lifecycle.CANCELLED, 2, reason=reason)
    assert closures_told(sound(decisions=(OPENED, ended))) == Promise(
        "whoever was told that it broke was told that it is over", looked_at=1, of="ends"
    )


def test_a_closure_for_who_was_told_nothing_is_found() -> None:
    closure = outage(decision, Lifecycle.RESOLVED, 2, reason=Reason.CLOSURE)
    assert closures_told(sound(decisions=(OPENED, closure))).holds
    again = outage(decision, Lifecycle.RESOLVED, 3, reason=Reason.CLOSURE)
    assert not closures_told(sound(decisions=(OPENED, closure, again))).holds
    assert not closures_told(sound(decisions=(closure,))).holds


def test_a_message_known_to_have_failed_told_nobody() -> None:
    ended = outage(suppressed, Lifecycle.RESOLVED, 2, reason=Reason.NEVER_INFORMED)
    failed = feedback(Feedback.REJECTED, send_id=OPENED.send_ids[0])
    assert closures_told(sound(decisions=(OPENED, ended), feedback=(failed,))).holds


# --- opt-outs --------------------------------------------------------------------------------

OFF = {"preferences": [{"category": "order", "value": "off"}]}


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        (OFF, "it was switched off"),
        ({"preferences": [{"channel": "email", "value": "off"}]}, "it was switched off"),
        ({"preferences": [{"category": "order", "channel": "email", "value": "off"}]}, "it was switched off"),
        ({"addresses": {"email": None}}, "there was no address"),
        ({"suppressed": [{"channel": "email", "why": "COMPLAINT"}]}, "the address was suppressed"),
        (None, "the customer was not known, or erased"),
    ],
    ids=["category", "channel", "both", "address", "suppressed", "erased"],
)
def test_a_message_to_who_opted_out_is_found(patch: dict[str, Any] | None, why: str) -> None:
    changes = (KNOWN, change(patch, accepted=NOON - MINUTE))
    assert opt_outs_kept(sound(changes=changes), 5 * SECOND).broken == (
        f"oms/4711 for ana, rule order-problem went by email: {why}",
    )


def test_an_opt_out_counts_once_the_grace_is_over() -> None:
    called = NOON + 50_000
    changes = (KNOWN, change(OFF, accepted=called - 5 * SECOND + 1))
    assert opt_outs_kept(sound(changes=changes), 5 * SECOND).holds
    changes = (KNOWN, change(OFF, accepted=called - 5 * SECOND))
    assert not opt_outs_kept(sound(changes=changes), 5 * SECOND).holds


def test_an_address_given_just_now_may_be_used() -> None:
    assert opt_outs_kept(sound(changes=(replace(KNOWN, accepted=NOON - SECOND),)), 5 * SECOND).holds


def test_a_required_category_is_sent_whatever_is_switched_off() -> None:
    evidence = sound(changes=(KNOWN, change(OFF)), decisions=(decision(category="outage"),))
    assert opt_outs_kept(evidence, 0).holds


def test_marketing_needs_consent() -> None:
    marketing = decision(message_class=MessageClass.MARKETING)
    assert not opt_outs_kept(sound(decisions=(marketing,)), 0).holds
    assert opt_outs_kept(sound(decisions=(marketing,), changes=(KNOWN, change({"consents": ["email"]}))), 0).holds


# --- quiet hours -----------------------------------------------------------------------------

OWN_QUIET = change({"quiet_hours": {"start": "13:00", "end": "15:00"}})


def test_a_message_in_quiet_hours_is_found() -> None:
    assert quiet_kept(sound(changes=(KNOWN, OWN_QUIET)), 0).broken == (
        "oms/4711 for ana, rule order-problem went out in quiet hours",
    )
    assert not quiet_kept(sound(decisions=(decision(decided=NOON + 8 * HOUR),)), 0).holds
    assert not quiet_kept(sound(changes=(KNOWN, change({"timezone": "Asia/Tokyo"}))), 0).holds


@pytest.mark.parametrize(
    "changes",
    [{"message_class": MessageClass.CRITICAL}, {"rule": "at-any-hour"}],
    ids=["critical", "rule ignores them"],
)
def test_some_messages_may_go_out_in_quiet_hours(changes: dict[str, Any]) -> None:
    assert quiet_kept(sound(changes=(KNOWN, OWN_QUIET), decisions=(decision(**changes),)), 0).broken == ()


def test_quiet_hours_hold_only_the_channels_of_the_policy() -> None:
    sms_only = policy(defaults=Defaults(timezone="Europe/Berlin", quiet_hours=replace(NIGHT, channels=("sms",))))
    assert quiet_kept(sound(changes=(KNOWN, OWN_QUIET), policies={POLICY: sms_only}), 0).holds


@pytest.mark.parametrize(
    ("utc", "quiet"),
    [
        ("2026-11-21T20:59:59", False),
        ("2026-11-21T21:00:00", True),
        ("2026-11-22T05:59:59", True),
        ("2026-11-22T06:00:00", False),
        ("2026-03-29T04:59:59", True),
        ("2026-03-29T05:00:00", False),
    ],
)
def test_a_window_is_half_open_and_follows_the_zone(utc: str, *, quiet: bool) -> None:
    assert is_quiet(_instant(utc), "Europe/Berlin", NIGHT.times) is quiet


def test_local_times_that_do_not_exist_or_exist_twice() -> None:
    spring = QuietTimes(Window(2 * 60 + 30, 4 * 60))
    assert not is_quiet(_instant("2026-03-29T00:59:59"), "Europe/Berlin", spring)
    assert is_quiet(_instant("2026-03-29T01:00:00"), "Europe/Berlin", spring)
    autumn = QuietTimes(Window(60, 2 * 60 + 30))
    assert is_quiet(_instant("2026-10-25T00:29:59"), "Europe/Berlin", autumn)
    assert not is_quiet(_instant("2026-10-25T00:30:00"), "Europe/Berlin", autumn)
    assert not is_quiet(_instant("2026-10-25T01:15:00"), "Europe/Berlin", autumn)


def _instant(utc: str) -> int:
    return int(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()) * SECOND


def test_the_send_of_the_builders_is_the_one_of_the_decision() -> None:
    assert decision().send_ids == (SEND_ID,)
