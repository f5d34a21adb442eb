"""The story of an event for a customer, told in plain words."""

from services.control import words
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    CapFinding,
    Feedback,
    Lifecycle,
    MessageClass,
    Outcome,
    Reason,
    RuleTried,
    Truth,
    Verdict,
)
from tests.unit.control.records import NOON, decision, feedback, not_sent

ZONE = "Europe/Berlin"


def test_a_sent_message_is_told_from_acceptance_to_the_provider() -> None:
    sent = decision(
        rules_tried=(
            RuleTried("order-fraud", "rules/20-orders.yaml:2", Truth.FALSE, "event.severity is minor"),
            RuleTried("order-problem", "rules/20-orders.yaml:4", Truth.TRUE),
        ),
        verdicts=(Verdict("email", Reason.ALLOWED, "category", NOON - 30 * DAY),),
        traceparent="4bf9",
    )
    findings = [feedback(), feedback(Feedback.DELIVERED, time=NOON + 2_000_000)]
    assert words.explain([sent], findings, ZONE) == (
        "oms/4711  com.northwind.order.error about order-4711  accepted 2026-11-21 14:00:00.000 (gRPC, trace 4bf9)\n"
        "  times are those of Europe/Berlin\n"
        "  rule order-problem (rules/20-orders.yaml:4, policy 9f3c1a): its condition held; before it 1 rule was tried\n"
        "    not order-fraud (rules/20-orders.yaml:2): event.severity is minor\n"
        "  class transactional, category order, plan first of [email], expires 16:00:00\n"
        "  email   yes  preference: category = on (set by the customer 2026-10-22)\n"
        "  -> SEND by email (ALLOWED), decided 14:00:00.012, decision aeaqcaib, partition 3 offset 8812\n"
        "  -> accepted by smtp 14:00:00.050\n"
        "  -> delivered by smtp 14:00:02.000"
    )


def test_a_cap_tells_what_was_used_when_and_when_it_is_free_again() -> None:
    used = (NOON - 5 * HOUR, NOON - 3 * HOUR, NOON - 20 * HOUR)
    full = CapFinding("email-a-day", "email", 3, 3, DAY, blocked=True, next_free=NOON + 4 * HOUR, used_times=used)
    capped = not_sent(Reason.CAP_REACHED, caps=(full,), verdicts=(Verdict("email", Reason.CAP_REACHED),))
    lines = words.explain([capped], [], ZONE).splitlines()
    assert lines[-2:] == [
        (
            "  email   no   cap email-a-day: 3 of 3 used in the last 24 h (09:00:00, 11:00:00, 2026-11-20 18:00:00);"
            " free again 18:00:00"
        ),
        "  -> SUPPRESSED CAP_REACHED, decided 14:00:00.012, decision aeaqcaib, partition 3 offset 8812",
    ]
    assert words.sentence(capped, [], ZONE) == (
        "NOT SENT (CAP_REACHED): email-a-day: 3 of 3 used in the last 24 h"
        " (09:00:00, 11:00:00, 2026-11-20 18:00:00); free again 18:00:00."
    )


def test_a_hold_and_its_later_revision_are_one_story() -> None:
    held = not_sent(
        Reason.QUIET_HOURS,
        Outcome.HOLD,
        terminal=False,
        due=NOON + 6 * HOUR,
        timezone="Asia/Tokyo",
        local_time="2026-11-21T22:00:00+09:00",
        verdicts=(Verdict("email", Reason.QUIET_HOURS, until=NOON + 6 * HOUR),),
    )
    later = decision(revision=1, decided=NOON + 6 * HOUR, offset=9000, verdicts=(Verdict("email", Reason.ALLOWED),))
    lines = words.explain([held, later], [feedback(time=NOON + 6 * HOUR + 30_000)], ZONE).splitlines()
    assert lines[4:] == [
        "  email   no   it is quiet time for the customer, 22:00 in Asia/Tokyo; until 20:00:00",
        "  -> HOLD QUIET_HOURS until 20:00:00, decided 14:00:00.012, decision aeaqcaib, partition 3 offset 8812",
        "  decided again 20:00:00.000, policy 9f3c1a",
        "  email   yes  nothing stood against it",
        "  -> SEND by email (ALLOWED), decided 20:00:00.000, decision aeaqcaib, partition 3 offset 9000",
        "  -> accepted by smtp 20:00:00.030",
    ]
    assert words.sentence(held, [], ZONE) == (
        "WAITS until 20:00:00 (Europe/Berlin): it is quiet time for the customer, 22:00 in Asia/Tokyo."
    )


def test_an_opt_out_names_the_preference_and_who_set_it() -> None:
    off = not_sent(
        Reason.PREFERENCE_OFF,
        verdicts=(Verdict("email", Reason.PREFERENCE_OFF, "category", NOON - DAY),),
    )
    assert words.sentence(off, [], ZONE) == (
        "NOT SENT (PREFERENCE_OFF): the customer does not want it (category = off (set by the customer 2026-11-20))."
    )


def test_a_default_is_nobodys_wish() -> None:
    off = not_sent(Reason.PREFERENCE_OFF, verdicts=(Verdict("email", Reason.PREFERENCE_OFF, "category default"),))
    assert words.sentence(off, [], ZONE) == (
        "NOT SENT (PREFERENCE_OFF): the customer does not want it (category default = off)."
    )


def test_no_rule_tells_the_rules_that_were_tried() -> None:
    nothing = not_sent(
        Reason.NO_RULE,
        Outcome.NO_RULE,
        rule="",
        rule_place="",
        message_class=None,
        rules_tried=(RuleTried("order-problem", "rules/20-orders.yaml:4", Truth.ABSENT, "data.amount is absent"),),
    )
    assert words.explain([nothing], [], "").splitlines()[1:] == [
        "  times are those of UTC",
        "  no rule was applied (policy 9f3c1a); 1 rule was tried",
        "    not order-problem (rules/20-orders.yaml:4): data.amount is absent (a field it reads is absent)",
        "  -> NO_RULE: no rule makes a message of it, decided 13:00:00.012, decision aeaqcaib, partition 3 offset 8812",
    ]


def test_a_duplicate_is_its_own_story_of_the_same_event() -> None:
    again = not_sent(
        Reason.DUPLICATE, Outcome.DUPLICATE, decision_id=b"\x09" * 20, rule="", message_class=None, offset=8820
    )
    text = words.explain([decision(), again], [], ZONE)
    assert text.endswith(
        "  -> DUPLICATE: the same event came before, decided 14:00:00.012, decision beeqscij, partition 3 offset 8820"
    )


def test_a_closure_says_why_it_is_sent() -> None:
    closure = decision(
        reason=Reason.CLOSURE,
        lifecycle=Lifecycle.RESOLVED,
        message_class=MessageClass.TRANSACTIONAL,
        verdicts=(Verdict("email", Reason.CLOSURE, "required"),),
    )
    text = words.explain([closure], [feedback(Feedback.UNKNOWN, parked=True, reason="no answer")], ZONE)
    assert "email   yes  preference: this category is required, nobody can switch it off" in text
    assert "SEND by email (CLOSURE): the customer was told that it began, so is told that it is over" in text
    assert text.endswith("no answer from smtp 14:00:00.050 (no answer), parked: it will not be tried again")


def test_every_reason_and_every_finding_has_its_words() -> None:
    assert set(words.REASONS) == set(Reason)
    assert set(words.PROVIDER) == set(Feedback)


def test_durations_are_told_in_their_largest_whole_unit() -> None:
    lengths = (DAY, 7 * DAY, 90 * MINUTE, 2 * HOUR, 1_500_000)
    assert [words.duration(length) for length in lengths] == ["24 h", "7 d", "90 min", "2 h", "1.5 s"]
