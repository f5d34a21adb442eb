"""A customer who wants his messages together; his flush is at 08:00 UTC, the story starts at noon."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from services.router.decision import digest, ids
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Admission,
    Digest,
    DigestTimes,
    Feedback,
    Hold,
    Item,
    Lifecycle,
    MessageClass,
    Over,
    Part,
    Per,
    Policy,
    Reason,
    Suppression,
    Value,
)
from tests.builders import (
    NOON,
    World,
    cap,
    category,
    channels,
    condition,
    customer,
    ended,
    event,
    event_type,
    every,
    first,
    key,
    night,
    one,
    pause,
    policy,
    profile,
    quiet,
    rule,
    stop,
    verdicts,
    wish,
)

SENT, HELD, REACHED = ("SEND", "ALLOWED"), ("HOLD", "DIGEST"), ("SUPPRESSED", "CAP_REACHED")
SUPERSEDED = ("SUPERSEDED", "SUPERSEDED")
MORNING = NOON + 20 * HOUR
POINT = Lifecycle.POINT
TOGETHER = wish(Value.DIGEST)
EMAIL = rule(plan=first("email"))


def world(*rules: Any, now: int = NOON, who: Any = None, **changes: Any) -> World:
    given = policy(*(rules or (EMAIL,)), **changes)
    return World(given, customer(profile=profile(preferences=(TOGETHER,), **(who or {}))), now)


def point(given: World, **changes: Any) -> Any:
    return one(given.event(lifecycle=POINT, **changes))


def flush(given: World) -> tuple[Any, ...]:
    given.now = min(h.due for h in given.customer.holds)
    return given.due().decisions


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


# --- check 10: who waits for a digest ----------------------------------------------------------


def test_who_wants_a_digest_waits_for_the_next_flush() -> None:
    given = world()
    held = point(given)
    assert (ended(held), held.due, held.terminal) == (HELD, MORNING, False)
    assert verdicts(held) == {"email": "DIGEST"}
    assert (held.verdicts[0].until, held.verdicts[0].preference) == (MORNING, "everything")
    hold = given.customer.holds[0]
    assert (hold.reason, hold.digests, hold.due) == (Reason.DIGEST, ("email",), MORNING)
    assert given.customer.admissions == ()


@pytest.mark.parametrize(
    "wishes",
    [
        {"preferences": (wish(Value.DIGEST, "outage", "email"),)},
        {"preferences": (wish(Value.DIGEST, "outage"),)},
        {"preferences": (wish(Value.DIGEST, "", "email"),)},
    ],
)
def test_any_preference_may_say_digest(wishes: Any) -> None:
    assert ended(one(World(policy(EMAIL), customer(profile=profile(**wishes))).event())) == HELD


def test_the_tenants_default_and_the_categorys_may_say_digest() -> None:
    assert ended(one(World(policy(EMAIL, defaults={"preferences": (TOGETHER,)})).event())) == HELD
    assert ended(one(World(policy(EMAIL, categories=(category(default=Value.DIGEST),))).event())) == HELD


def test_critical_and_required_are_never_put_into_a_digest_by_a_preference() -> None:
    assert ended(point(world(rule(message_class=MessageClass.CRITICAL)))) == SENT
    assert ended(point(world(categories=(category(required=True),)))) == SENT


def test_without_a_template_for_digests_messages_go_at_once() -> None:
    assert ended(point(world(digests=False))) == SENT


def test_a_digest_is_asked_before_quiet_hours_and_caps() -> None:
    given = world(defaults={"quiet_hours": quiet()}, caps=(cap(limit=1),), now=NOON + 11 * HOUR)
    assert [ended(point(given)) for _ in range(2)] == [HELD, HELD]
    assert given.decisions[-1].caps == ()


def test_marketing_without_consent_does_not_reach_the_digest() -> None:
    assert ended(point(world(rule(message_class=MessageClass.MARKETING)))) == ("SUPPRESSED", "NO_CONSENT")


def test_a_held_channel_ends_the_walk_of_a_first_plan() -> None:
    given = world(rule(), who={"channels": ("email", "sms")})
    given.change(channels=("email", "sms"), preferences=(wish(Value.DIGEST, "", "email"),))
    assert verdicts(point(given)) == {"email": "DIGEST"}


def test_all_leaves_out_the_channel_that_waits_beside_one_that_sends() -> None:
    given = World(policy(rule(plan=every("sms", "email"))))
    given.change(preferences=(wish(Value.DIGEST, "", "email"),))
    decision = point(given)
    assert channels(decision) == ("sms",)
    assert verdicts(decision) == {"sms": "ALLOWED", "email": "DIGEST"}
    assert given.customer.holds == ()


def test_a_digest_that_would_come_too_late_is_expired_at_once() -> None:
    assert ended(point(world(rule(plan=first("email"), expires_after=20 * HOUR)))) == ("EXPIRED", "EXPIRED")
    assert ended(point(world(rule(plan=first("email"), expires_after=20 * HOUR + 1)))) == HELD


# --- when a digest is flushed ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "zone", "now", "wanted"),
    [
        (DigestTimes(), "UTC", "2026-03-04T07:59:59+00:00", "2026-03-04T08:00:00+00:00"),
        (DigestTimes(), "UTC", "2026-03-04T08:00:00+00:00", "2026-03-05T08:00:00+00:00"),
        (DigestTimes(), "Asia/Tokyo", "2026-03-04T12:00:00+00:00", "2026-03-05T08:00:00+09:00"),
        (DigestTimes(at=18 * 60 + 30), "Europe/Berlin", "2026-03-04T12:00:00Z", "2026-03-04T18:30:00+01:00"),
        (DigestTimes(every=HOUR), "UTC", "2026-03-04T08:00:00+00:00", "2026-03-04T09:00:00+00:00"),
        (DigestTimes(every=HOUR), "Asia/Kolkata", "2026-03-04T08:00:00+00:00", "2026-03-04T08:30:00+00:00"),
        # Both nights of the clock change in Berlin, and a flush time in the gap or twice.
        (DigestTimes(), "Europe/Berlin", "2026-03-28T20:00:00+01:00", "2026-03-29T08:00:00+02:00"),
        (DigestTimes(), "Europe/Berlin", "2026-10-24T20:00:00+02:00", "2026-10-25T08:00:00+01:00"),
        (DigestTimes(at=150), "Europe/Berlin", "2026-03-29T00:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        (DigestTimes(at=150), "Europe/Berlin", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"),
        (DigestTimes(at=150), "Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
        (DigestTimes(at=150), "Europe/Berlin", "2026-10-25T02:10:00+01:00", "2026-10-26T02:30:00+01:00"),
        # Samoa had no 30 December 2011: 08:00 of that day is the first instant of the next.
        (DigestTimes(), "Pacific/Apia", "2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        (DigestTimes(), "Pacific/Apia", "2011-12-31T00:00:00+14:00", "2011-12-31T08:00:00+14:00"),
    ],
)
def test_the_flush_is_the_next_local_boundary_strictly_after_now(
    times: DigestTimes, zone: str, now: str, wanted: str
) -> None:
    assert digest.next_flush(times, zone, at(now)) == at(wanted)


def test_the_customer_may_have_his_own_times_and_zone() -> None:
    evening = DigestTimes(at=18 * 60)
    assert point(world(defaults={"digest": evening})).due == NOON + 6 * HOUR
    given = world(defaults={"digest": evening}, who={"digest": DigestTimes(at=13 * 60)})
    assert point(given).due == NOON + HOUR
    assert point(world(who={"timezone": "Asia/Tokyo"})).due == NOON + 11 * HOUR


# --- one send, one admission -------------------------------------------------------------------

TWO = (
    rule(plan=first("email")),
    rule(name="order", on=("order",), category="order", message_class=MessageClass.TRANSACTIONAL, plan=first("email")),
)


def two_kinds(**changes: Any) -> Policy:
    types = (event_type(), event_type("order"))
    return policy(*TWO, types=types, categories=(category(), category(name="order")), **changes)


def test_what_passes_a_flush_shares_one_send_and_one_admission() -> None:
    given = World(two_kinds(), customer(profile=profile(preferences=(TOGETHER,), timezone="Europe/Berlin")))
    outage = point(given, subject="INC-1")
    order = point(given.later(MINUTE), type="order", subject="O-1")
    later = point(given, subject="INC-2")
    due = at("2026-03-05T08:00:00+01:00")
    assert [h.due for h in given.customer.holds] == [due] * 3
    released = flush(given)
    send, whole = ids.digest_id(given.customer, "email", due), ids.digest_id(given.customer, "", due)
    assert [ended(d) for d in released] == [SENT] * 3
    assert [(d.decision_id, d.revision) for d in released] == [(d.decision_id, 1) for d in (order, outage, later)]
    assert [d.sends for d in released] == [released[0].sends] * 3
    assert [(s.send_id, s.channel, s.after, s.digest) for s in released[0].sends] == [(send, "email", b"", True)]
    mail, parcel = TWO
    informational, transactional = MessageClass.INFORMATIONAL, MessageClass.TRANSACTIONAL
    assert given.digests == [
        Digest(
            send,
            whole,
            "email",
            due,
            transactional,
            tuple(
                Item(d.decision_id, r, d.event, d.expires) for d, r in ((order, parcel), (outage, mail), (later, mail))
            ),
            "Europe/Berlin",
            "de",
            "policy-1",
        )
    ]
    assert given.customer.admissions == (
        Admission(
            due,
            whole,
            ("email",),
            "order",
            transactional,
            "order",
            "O-1",
            parts=(
                Part(("email",), "outage", informational, "outage", "INC-1"),
                Part(("email",), "outage", informational, "outage", "INC-2"),
            ),
        ),
    )
    assert (given.customer.holds, given.customer.opens) == ((), ())


def test_a_digest_of_one_is_a_digest() -> None:
    given = world(who={"locale": ""})
    held = point(given)
    flush(given)
    (only,) = given.digests
    assert (only.message_class, only.locale, only.timezone) == (MessageClass.INFORMATIONAL, "en", "UTC")
    assert [i.decision_id for i in only.items] == [held.decision_id]
    assert given.customer.admissions[0].parts == ()


def test_each_channel_has_a_digest_of_its_own_and_they_count_as_one_message() -> None:
    given = world(rule(plan=every("sms", "email")))
    held = point(given)
    assert given.customer.holds[0].digests == ("sms", "email")
    (sent,) = flush(given)
    assert [d.channel for d in given.digests] == ["email", "sms"]
    assert {s.channel: s.send_id for s in sent.sends} == {d.channel: d.send_id for d in given.digests}
    assert len({d.decision_id for d in given.digests}) == 1
    assert [a.channels for a in given.customer.admissions] == [("sms", "email")]
    assert held.due == sent.time


def test_a_flush_without_anything_that_passes_sends_nothing() -> None:
    given = world()
    point(given)
    given.change(snoozed_until=NOON + 2 * DAY)
    assert [ended(d) for d in flush(given)] == [("SUPPRESSED", "SNOOZED")]
    assert (given.digests, given.customer.admissions) == ([], ())


def test_who_no_longer_passes_is_left_out_of_the_digest() -> None:
    given = World(two_kinds(), customer(profile=profile(preferences=(TOGETHER,))))
    point(given)
    point(given, type="order")
    given.change(preferences=(TOGETHER, wish(Value.OFF, "outage")))
    assert [ended(d) for d in flush(given)] == [SENT, ("SUPPRESSED", "PREFERENCE_OFF")]
    assert [i.rule.name for i in given.digests[0].items] == ["order"]
    assert given.customer.admissions[0].parts == ()


def test_a_member_without_its_rule_has_its_last_record_and_the_others_go() -> None:
    given = World(two_kinds(), customer(profile=profile(preferences=(TOGETHER,))))
    point(given)
    point(given, type="order")
    given.policy = policy(TWO[1], categories=(category(name="order"),))
    assert [ended(d) for d in flush(given)] == [SENT, ("NO_RULE", "NO_RULE")]


def test_a_flush_of_members_is_asked_for_stops_and_shares_again() -> None:
    given = world()
    point(given)
    given.steer(stop())
    assert [ended(d) for d in flush(given)] == [("SUPPRESSED", "STOPPED")]


def test_a_digest_has_no_next_step() -> None:
    given = world(rule(plan=first("email", "sms")), who={"channels": ("email", "sms")})
    point(given)
    flush(given)
    assert given.customer.opens == ()
    assert given.feedback_of_digest(given.digests[0], Feedback.REJECTED).decisions == ()


# --- caps --------------------------------------------------------------------------------------


def test_all_members_are_decided_against_the_ledger_before_the_flush() -> None:
    given = world(caps=(cap(limit=1),))
    for _ in range(3):
        point(given)
    assert [ended(d) for d in flush(given)] == [SENT] * 3
    assert [d.caps[0].used for d in given.decisions[-3:]] == [0, 0, 0]
    assert len(given.customer.admissions) == 1


def test_a_digest_counts_once_for_a_cap_that_matches_any_of_its_parts() -> None:
    caps = tuple(
        cap(name=f"{per.name} {where}", per=per, limit=9, where_category=where)
        for per in (Per.CUSTOMER, Per.CATEGORY, Per.CLASS, Per.RULE, Per.SUBJECT)
        for where in ("", "outage")
    )
    given = World(two_kinds(caps=caps), customer(profile=profile(preferences=(TOGETHER,))))
    for changes in ({"type": "order", "subject": "A"}, {"subject": "B"}, {"subject": "B"}):
        point(given, **changes)
    flush(given)
    given.change(preferences=())
    used = {f.cap: f.used for f in point(given, subject="B").caps}
    assert used == dict.fromkeys((c.name for c in caps), 1)
    assert [f.used for f in point(given, type="order", subject="B").caps] == [2, 1, 1, 1, 2]


def test_a_flush_finds_a_cap_full() -> None:
    given = world(caps=(cap(limit=1, window=2 * DAY),))
    point(given)
    given.change()
    assert ended(point(given)) == SENT
    given.change(preferences=(TOGETHER,))
    assert [ended(d) for d in flush(given)] == [REACHED]


def test_a_cap_may_put_what_is_over_into_the_digest() -> None:
    given = World(policy(EMAIL, caps=(cap(limit=1, over=Over.DIGEST),)))
    assert ended(point(given)) == SENT
    held = point(given)
    assert (ended(held), held.due, verdicts(held)) == (HELD, MORNING, {"email": "DIGEST"})
    assert given.customer.holds[0].digests == ("email",)
    again = flush(given)
    assert [(ended(d), d.due) for d in again] == [(HELD, MORNING + DAY)]
    assert given.customer.holds[0].digests == ("email",)
    assert [ended(d) for d in flush(given)] == [SENT]
    assert len(given.digests) == 1


def test_a_cap_defers_a_member_of_a_flush_and_it_stays_one() -> None:
    given = world(caps=(cap(limit=1, window=DAY, over=Over.DEFER, max_hold=3 * DAY),))
    point(given)
    given.change()
    given.later(HOUR)
    point(given)
    given.change(preferences=(TOGETHER,))
    (held,) = flush(given)
    assert (ended(held), held.due) == (("HOLD", "CAP"), NOON + HOUR + DAY)
    assert given.customer.holds[0].digests == ("email",)
    assert [ended(d) for d in flush(given)] == [SENT]
    assert [d.send_id for d in given.digests] == [ids.digest_id(given.customer, "email", NOON + HOUR + DAY)]


def test_a_released_digest_gives_its_one_place_back() -> None:
    given = world(caps=(cap(limit=1),))
    for subject in ("A", "B"):
        point(given, subject=subject)
    flush(given)
    given.change()
    assert ended(point(given)) == REACHED
    given.feedback_of_digest(given.digests[0], Feedback.EXPIRED)
    assert given.customer.admissions == ()
    assert ended(point(given)) == SENT


def test_of_a_digest_on_two_channels_only_the_one_that_was_not_sent_is_given_back() -> None:
    caps = (cap(limit=9), cap(name="c", per=Per.CHANNEL, limit=9), cap(name="s", per=Per.SUBJECT, limit=9))
    given = world(rule(plan=every("sms", "email")), caps=caps)
    for subject in ("A", "B"):
        point(given, subject=subject)
    flush(given)
    given.feedback_of_digest(next(d for d in given.digests if d.channel == "sms"), Feedback.SUPPRESSED)
    given.change()
    used = {(c.cap, c.channel): c.used for c in point(given, subject="B").caps}
    assert used == {("cap", ""): 1, ("c", "sms"): 0, ("c", "email"): 1, ("s", ""): 1}
    given.feedback_of_digest(next(d for d in given.digests if d.channel == "email"), Feedback.SUPPRESSED)
    assert [a.decision_id for a in given.customer.admissions] == [given.decisions[-1].decision_id]


def test_a_part_may_use_fewer_channels_than_the_first() -> None:
    both, mail = every("sms", "email"), first("email")
    given = World(
        policy(
            rule(name="both", plan=both, go_on=True), rule(name="mail", plan=mail), caps=(cap(per=Per.RULE, limit=9),)
        ),
        customer(profile=profile(preferences=(TOGETHER,))),
    )
    given.event(lifecycle=POINT)
    flush(given)
    (admission,) = given.customer.admissions
    uses = {admission.rule: admission.channels, **{p.rule: p.channels for p in admission.parts}}
    assert uses == {"both": ("sms", "email"), "mail": ("email",)}
    given.feedback_of_digest(next(d for d in given.digests if d.channel == "email"), Feedback.REJECTED)
    (admission,) = given.customer.admissions
    uses = {admission.rule: admission.channels, **{p.rule: p.channels for p in admission.parts}}
    assert uses == {"both": ("sms",), "mail": ()}
    given.change()
    assert {d.rule_name: d.caps[0].used for d in given.event(lifecycle=POINT).decisions} == {"both": 1, "mail": 0}


# --- members that are held again, members that stray -------------------------------------------


def test_members_that_are_quiet_at_their_flush_go_together_in_the_morning() -> None:
    given = world(
        rule(plan=first("email")),
        defaults={"quiet_hours": quiet(spread=10 * MINUTE), "digest": DigestTimes(at=23 * 60)},
    )
    for subject in ("A", "B"):
        point(given, subject=subject)
    held = flush(given)
    due = held[0].due
    assert [(ended(d), d.due, d.time) for d in held] == [(("HOLD", "QUIET_HOURS"), due, NOON + 11 * HOUR)] * 2
    assert [h.digests for h in given.customer.holds] == [("email",)] * 2
    assert NOON + 19 * HOUR <= due < NOON + 19 * HOUR + 10 * MINUTE
    assert [ended(d) for d in flush(given)] == [SENT] * 2
    (only,) = given.digests
    assert (only.time, len(only.items), only.send_id) == (due, 2, ids.digest_id(given.customer, "email", due))
    assert len(given.customer.admissions) == 1


def test_members_that_are_paused_at_their_flush_stay_members_when_it_is_lifted() -> None:
    given = world()
    for subject in ("A", "B"):
        point(given, subject=subject)
    given.steer(pause(channel="email"))
    assert [ended(d) for d in flush(given)] == [("HOLD", "PAUSED")] * 2
    assert [(h.digests, h.control) for h in given.customer.holds] == [(("email",), "wait")] * 2
    assert [ended(d) for d in given.later(HOUR).lift("wait").decisions] == [SENT] * 2
    assert [len(d.items) for d in given.digests] == [2]


def test_members_that_are_paused_as_a_whole_at_their_flush_stay_members_too() -> None:
    given = world()
    for subject in ("A", "B"):
        point(given, subject=subject)
    given.steer(pause())
    assert [(ended(d), d.verdicts) for d in flush(given)] == [(("HOLD", "PAUSED"), ())] * 2
    assert [ended(d) for d in given.later(HOUR).lift("wait").decisions] == [SENT] * 2
    assert [len(d.items) for d in given.digests] == [2]


def test_what_is_paused_before_it_waits_for_a_digest_goes_into_the_next_one() -> None:
    given = world().steer(pause())
    assert ended(point(given)) == ("HOLD", "PAUSED")
    assert given.customer.holds[0].digests == ()
    again = one(given.later(HOUR).lift("wait"))
    assert (ended(again), again.due) == (HELD, MORNING)


def test_two_pauses_lifted_one_after_the_other_make_two_digests() -> None:
    given = world(rule(name="a", plan=first("email"), go_on=True), rule(name="b", plan=first("email")))
    given.event(lifecycle=POINT)
    given.steer(pause("p", rule="a"), pause("q", rule="b"))
    assert [ended(d) for d in flush(given)] == [("HOLD", "PAUSED")] * 2
    for name in ("p", "q"):
        given.later(HOUR).lift(name)
    assert [(d.send_id, len(d.items)) for d in given.digests] == [
        (ids.digest_id(given.customer, "email", MORNING + hours * HOUR), 1) for hours in (1, 2)
    ]


def test_a_member_whose_way_leads_to_another_channel_goes_by_himself_after_the_digest() -> None:
    stray = rule(name="stray", plan=first("email", "sms"), go_on=True)
    given = World(
        policy(
            stray,
            rule(name="stay", plan=first("email"), category="stay"),
            caps=(cap(limit=9),),
            categories=(category(), category(name="stay")),
        ),
        customer(profile=profile(channels=("email", "sms"), preferences=(TOGETHER,))),
    )
    given.event(lifecycle=POINT)
    wishes = (wish(Value.OFF, "outage", "email"), wish(Value.INSTANT, "outage", "sms"), TOGETHER)
    given.change(channels=("email", "sms"), preferences=wishes)
    stay, stray_goes = flush(given)
    assert (stay.rule_name, ended(stay), stay.sends[0].digest) == ("stay", SENT, True)
    assert (stray_goes.rule_name, ended(stray_goes), channels(stray_goes)) == ("stray", SENT, ("sms",))
    assert stray_goes.sends[0] == replace(
        stray_goes.sends[0], send_id=ids.send_id(stray_goes.decision_id, "sms", 0), digest=False
    )
    assert stray_goes.caps[0].used == 1
    assert [len(d.items) for d in given.digests] == [1]
    assert [o.channel for o in given.customer.opens] == ["sms"]


def test_a_member_whose_other_channel_wants_a_digest_too_waits_for_that_one() -> None:
    given = world(rule(plan=first("email", "sms")), who={"channels": ("email", "sms")})
    point(given)
    given.change(channels=("email", "sms"), preferences=(wish(Value.OFF, "", "email"), TOGETHER))
    (again,) = flush(given)
    assert (ended(again), again.due) == (HELD, MORNING + DAY)
    assert given.customer.holds[0].digests == ("sms",)


def test_a_member_that_another_channel_holds_goes_by_himself_then() -> None:
    given = world(
        rule(plan=first("email", "sms")),
        who={"channels": ("email", "sms"), "digest": DigestTimes(at=23 * 60)},
        defaults={"quiet_hours": quiet(channels=("sms",))},
    )
    point(given)
    wishes = (wish(Value.OFF, "", "email"), wish(Value.INSTANT, "", "sms"))
    given.change(channels=("email", "sms"), preferences=wishes)
    (again,) = flush(given)
    assert (ended(again), given.customer.holds[0].digests) == (("HOLD", "QUIET_HOURS"), ())
    (sent,) = flush(given)
    assert (ended(sent), channels(sent), sent.sends[0].digest) == (SENT, ("sms",), False)


def test_a_member_decides_as_if_it_wanted_no_digest_though_the_customer_changed_his_mind() -> None:
    given = world()
    point(given)
    given.change()
    (sent,) = flush(given)
    assert (ended(sent), sent.sends[0].digest) == (SENT, True)


def test_members_of_different_flushes_due_in_one_pass_are_one_digest_of_the_later() -> None:
    given = world(who={"digest": DigestTimes(every=HOUR)})
    point(given)
    point(given.later(HOUR))
    given.now = NOON + 3 * HOUR
    assert [ended(d) for d in given.due().decisions] == [SENT] * 2
    assert [d.send_id for d in given.digests] == [ids.digest_id(given.customer, "email", NOON + 2 * HOUR)]


def test_a_flush_stands_where_its_first_member_does_among_other_holds() -> None:
    urgent = rule(name="urgent", on=("order",), message_class=MessageClass.TRANSACTIONAL, plan=first("sms"))
    bulk = rule(name="bulk", on=("offer",), message_class=MessageClass.MARKETING, plan=first("sms"))
    types = (event_type(), event_type("order"), event_type("offer"))
    given = World(
        policy(EMAIL, urgent, bulk, types=types, caps=(cap(limit=9),), defaults={"quiet_hours": quiet(end="08:00")}),
        customer(profile=profile(consents=("sms",), preferences=(wish(Value.DIGEST, "", "email"),))),
        now=NOON + 11 * HOUR,
    )
    for type_ in ("offer", "outage", "order"):
        point(given, type=type_)
    released = flush(given)
    assert [(d.rule_name, ended(d), d.caps[0].used) for d in released] == [
        ("urgent", SENT, 0),
        ("outage", SENT, 1),
        ("bulk", SENT, 2),
    ]


# --- subjects ----------------------------------------------------------------------------------


def test_a_newer_event_replaces_what_waits_for_a_digest() -> None:
    given = world()
    given.event(lifecycle=Lifecycle.OPENED)
    result = given.event(lifecycle=Lifecycle.UPDATED)
    assert [ended(d) for d in result.decisions] == [SUPERSEDED, HELD]


def test_a_closing_event_ends_what_waits_for_a_digest() -> None:
    given = world()
    given.event(lifecycle=Lifecycle.OPENED)
    result = given.event(lifecycle=Lifecycle.RESOLVED)
    assert [ended(d) for d in result.decisions] == [("TRANSIENT", "TRANSIENT")] * 2


def test_two_members_of_one_subject_are_one_message_and_do_not_wait_for_each_other() -> None:
    given = world(rule(name="a", plan=first("email"), go_on=True), rule(name="b", plan=first("email")))
    given.change()
    earlier = given.event(lifecycle=Lifecycle.OPENED).decisions[-1].sends[0]
    given.change(preferences=(TOGETHER,))
    given.event(lifecycle=Lifecycle.UPDATED, data={"area": "Ost"})
    released = flush(given)
    (only,) = given.digests
    assert [i.after for i in only.items] == [earlier.send_id, b""]
    assert [d.sends[0].after for d in released] == [earlier.send_id, b""]
    subject = given.customer.subjects["oms", "INC-7"]
    assert subject.previous == {"area": "Ost"}
    assert [t.send_id for t in subject.last_sends] == [only.send_id]


def test_the_next_message_of_a_subject_waits_for_its_digest() -> None:
    given = world()
    given.event(lifecycle=Lifecycle.OPENED)
    flush(given)
    given.change()
    assert one(given.event(lifecycle=Lifecycle.RESOLVED)).sends[0].after == given.digests[0].send_id


def test_a_digest_tells_of_all_its_subjects_until_it_is_known_to_have_failed() -> None:
    given = world()
    for subject in ("A", "B"):
        given.event(subject=subject)
    flush(given)
    given.change()
    assert ended(one(given.event(lifecycle=Lifecycle.RESOLVED, subject="A"))) == ("SEND", "CLOSURE")
    given.feedback_of_digest(given.digests[0], Feedback.REJECTED)
    assert ended(one(given.event(lifecycle=Lifecycle.RESOLVED, subject="B"))) == ("SUPPRESSED", "NEVER_INFORMED")
    assert [t.send_id for t in given.customer.subjects["oms", "B"].told] == []


def test_a_closure_may_go_with_a_digest_and_counts_as_one() -> None:
    given = world(caps=(cap(limit=1),))
    given.change()
    given.event(lifecycle=Lifecycle.OPENED)
    given.change(preferences=(TOGETHER,))
    assert ended(one(given.event(lifecycle=Lifecycle.RESOLVED))) == HELD
    point(given, subject="other")
    given.policy = policy(EMAIL, caps=(cap(limit=1, window=2 * DAY),))
    assert sorted(ended(d) for d in flush(given)) == sorted([("SEND", "CLOSURE"), REACHED])
    assert [a.closure for a in given.customer.admissions] == [False, True]


def test_a_closure_that_comes_second_is_marked_on_its_part() -> None:
    given = world()
    given.change()
    given.event(lifecycle=Lifecycle.OPENED)
    given.change(preferences=(TOGETHER,))
    point(given, subject="other")
    given.event(lifecycle=Lifecycle.RESOLVED, time=NOON + 1)
    flush(given)
    admission = given.customer.admissions[-1]
    assert (admission.closure, [p.closure for p in admission.parts]) == (False, [True])


def test_material_is_asked_when_the_flush_decides() -> None:
    news = condition(lambda s: s.previous is None or s.event.data != s.previous)
    given = world(rule(plan=first("email"), material=news))
    given.event(lifecycle=Lifecycle.UPDATED)
    given.event(lifecycle=Lifecycle.UPDATED, source="other")
    assert [ended(d) for d in flush(given)] == [SENT, SENT]


def test_once_is_kept_by_the_first_and_by_the_parts() -> None:
    given = world(rule(plan=first("email"), once=key(lambda s: s.event.subject), once_window=7 * DAY))
    for subject in ("A", "B"):
        point(given, subject=subject)
    flush(given)
    given.change()
    assert [ended(point(given, subject=s)) for s in "ABC"] == [("SUPPRESSED", "ONCE")] * 2 + [SENT]
    given.feedback_of_digest(given.digests[0], Feedback.EXPIRED)
    assert [ended(point(given, subject=s)) for s in "ABC"] == [SENT, SENT, ("SUPPRESSED", "ONCE")]


def test_an_opt_out_before_the_flush_ends_its_members() -> None:
    given = world()
    point(given)
    given.change(preferences=(TOGETHER,), suppressed=(Suppression("", "STOP"),))
    assert [ended(d) for d in flush(given)] == [("SUPPRESSED", "ADDRESS_SUPPRESSED")]


def test_the_customers_own_quiet_hours_hold_his_digest() -> None:
    given = world(who={"quiet_hours": night("07:00", "09:00")})
    point(given)
    given.customer = replace(
        given.customer, profile=profile(preferences=(TOGETHER,), quiet_hours=night("07:00", "09:00"))
    )
    assert [(ended(d), d.due) for d in flush(given)] == [(("HOLD", "QUIET_HOURS"), MORNING + HOUR)]


def test_a_flush_is_the_same_however_its_members_were_kept() -> None:
    results = []
    for backwards in (False, True):
        given = world()
        for subject in "ABC":
            point(given, subject=subject)
        if backwards:
            holds: tuple[Hold, ...] = given.customer.holds[::-1]
            given.customer = replace(given.customer, holds=holds)
        flush(given)
        results.append((given.digests, given.customer))
    assert results[0] == results[1]


def test_an_event_of_a_digest_is_its_item() -> None:
    given = world()
    published = event(lifecycle=POINT, time=NOON - HOUR)
    given.event(published)
    flush(given)
    (item,) = given.digests[0].items
    assert (item.event, item.expires) == (published, NOON + 71 * HOUR)


def test_what_does_not_fit_into_a_digest_goes_into_one_a_moment_later() -> None:
    given = World(policy(rule(name="a", plan=first("email"), expires_after=71 * HOUR)))
    given.change(preferences=(TOGETHER,))
    for number in range(101):
        point(given, subject=f"S{number}")
    released = flush(given)
    assert sorted((ended(d), d.due) for d in released) == [(HELD, MORNING + 1), *[(SENT, 0)] * 100]
    assert [h.digests for h in given.customer.holds] == [("email",)]
    assert [ended(d) for d in flush(given)] == [SENT]
    assert [(d.time - MORNING, len(d.items)) for d in given.digests] == [(0, 100), (1, 1)]
    assert len({d.send_id for d in given.digests}) == 2


def test_large_events_have_a_digest_of_their_own() -> None:
    given = world()
    for size in (150_000, 70_000, 70_000):
        point(given, data={"area": "x" * size}, time=NOON - size)
    for _ in range(3):
        flush(given)
    assert [len(d.items) for d in given.digests] == [1, 1, 1]


def test_what_does_not_fit_and_has_no_rule_any_more_has_its_last_record() -> None:
    given = world()
    for number in range(101):
        point(given, subject=f"S{number}")
    given.policy = policy(rule(name="renamed"))
    assert [ended(d) for d in flush(given)] == [("NO_RULE", "NO_RULE")] * 101


def test_a_channel_that_is_quiet_until_the_flush_is_no_part_of_it() -> None:
    given = world(
        rule(plan=every("sms", "email")),
        defaults={"quiet_hours": quiet(channels=("email",), end="08:00")},
        now=NOON + 11 * HOUR,
    )
    given.change(preferences=(wish(Value.DIGEST, "", "sms"),))
    assert verdicts(point(given)) == {"sms": "DIGEST", "email": "QUIET_HOURS"}
    assert (given.customer.holds[0].due, given.customer.holds[0].digests) == (MORNING, ("sms",))


def test_once_is_free_again_for_the_item_none_of_whose_channels_was_sent() -> None:
    by_subject: dict[str, Any] = {"once": key(lambda s: s.event.subject), "once_window": 7 * DAY}
    both = rule(name="both", plan=every("sms", "email"), go_on=True, **by_subject)
    mail = rule(name="mail", plan=first("email"), **by_subject)
    for number in range(8):  # either may be the first of the digest
        given = World(policy(both, mail), customer(profile=profile(preferences=(TOGETHER,))))
        given.event(lifecycle=POINT, id=f"x{number}")
        flush(given)
        given.feedback_of_digest(next(d for d in given.digests if d.channel == "email"), Feedback.REJECTED)
        given.change()
        again = {d.rule_name: ended(d) for d in given.event(lifecycle=POINT).decisions}
        assert again == {"both": ("SUPPRESSED", "ONCE"), "mail": SENT}


def test_without_the_template_what_waited_for_a_digest_goes_by_itself() -> None:
    world = World(policy(rule(plan=first("sms"))), customer(profile=profile(preferences=(wish(Value.DIGEST),))))
    world.event(lifecycle=Lifecycle.POINT)
    world.policy = replace(world.policy, digests=False)
    world.run()
    last = world.decisions[-1]
    assert (ended(last), last.digest, world.digests) == (("SEND", "ALLOWED"), b"", [])
    assert [s.digest for s in last.sends] == [False]


def test_of_one_key_one_message_goes_into_a_digest() -> None:
    same = rule(plan=first("sms"), once=key(lambda _: "k"), once_window=DAY)
    world = World(policy(same), customer(profile=profile(preferences=(wish(Value.DIGEST),))))
    for _ in range(2):
        world.event(lifecycle=Lifecycle.POINT)
    world.run()
    assert [ended(d) for d in world.decisions[-2:]] == [("SEND", "ALLOWED"), ("SUPPRESSED", "ONCE")]
    assert [len(d.items) for d in world.digests] == [1]


def test_what_does_not_fit_waits_for_sends_of_its_own_with_one_record_more() -> None:
    world = World(policy(rule(plan=first("sms"))), customer(profile=profile(preferences=(wish(Value.DIGEST),))))
    for _ in range(250):
        world.event(lifecycle=Lifecycle.POINT)
    world.run()
    assert sorted(len(d.items) for d in world.digests) == [50, 100, 100]
    assert len({d.send_id for d in world.digests}) == 3
    assert len(world.decisions) == 250 + 150 + 250


def test_a_member_of_a_flush_that_is_held_keeps_its_key() -> None:
    """It is not ended by the key of another one that went: that is asked when it is released."""
    each = rule(plan=first("sms"), once=key(lambda _: "k"), once_window=HOUR)
    full = cap(per=Per.SUBJECT, over=Over.DEFER, max_hold=3 * DAY)
    earlier = Admission(NOON, b"a", ("sms",), "outage", MessageClass.INFORMATIONAL, "outage", "B")
    given = policy(each, caps=(full,))
    world = World(given, customer(profile=profile(preferences=(TOGETHER,)), admissions=(earlier,)))
    for subject in ("A", "B"):
        world.event(lifecycle=POINT, subject=subject)
    assert {d.event.subject: ended(d) for d in flush(world) if d.event} == {"A": SENT, "B": ("HOLD", "CAP")}


def test_what_is_not_sent_at_a_flush_is_of_no_digest() -> None:
    given = world()
    point(given)
    given.change(preferences=(wish(Value.OFF),))
    assert [(ended(d), d.digest) for d in flush(given)] == [(("SUPPRESSED", "PREFERENCE_OFF"), b"")]


def test_a_channel_that_joins_at_the_flush_is_no_part_of_the_next_one() -> None:
    given = world(rule(plan=every("email", "push")), caps=(cap(over=Over.DIGEST),))
    given.change(preferences=(wish(Value.DIGEST, "", "email"),))
    given.steer(pause(channel="push"))
    assert verdicts(point(given)) == {"email": "DIGEST", "push": "PAUSED"}
    assert given.customer.holds[0].digests == ("email",)
    given.steer()
    full = Admission(MORNING - HOUR, b"a", ("sms",), "outage", MessageClass.INFORMATIONAL, "outage", "B")
    given.customer = replace(given.customer, admissions=(full,))
    assert [ended(d) for d in flush(given)] == [HELD]
    assert given.customer.holds[0].digests == ("email",)


def test_two_flushes_of_one_instant_are_two_digests() -> None:
    given = world(rule(name="a", plan=first("email"), go_on=True), rule(name="b", plan=first("email")))
    given.event(lifecycle=POINT)
    given.steer(pause("p", rule="a"), pause("q", rule="b"))
    flush(given)
    given.later(HOUR).lift("p")
    given.lift("q")
    assert [d.send_id for d in given.digests] == [
        ids.digest_id(given.customer, "email", MORNING + HOUR + moment) for moment in (0, 1)
    ]
