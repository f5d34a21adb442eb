from typing import Any

import pytest
from msgspec.structs import replace

from services.router.decision.decide import decide
from services.router.decision.lifecycle import prune
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Address,
    DueInput,
    Feedback,
    Lifecycle,
    Plan,
    Policy,
    Scope,
    Subject,
    Suppression,
)
from tests.builders import (
    NOON,
    World,
    channels,
    condition,
    customer,
    ended,
    every,
    first,
    one,
    policy,
    profile,
    quiet,
    rule,
    stop,
)

OPENED, UPDATED, RESOLVED, CANCELLED = (
    Lifecycle.OPENED,
    Lifecycle.UPDATED,
    Lifecycle.RESOLVED,
    Lifecycle.CANCELLED,
)
SENT, CLOSURE = ("SEND", "ALLOWED"), ("SEND", "CLOSURE")
NIGHT = NOON + 11 * HOUR
QUIET: dict[str, Any] = {"quiet_hours": quiet()}


def news(scope: Scope) -> bool:
    return scope.previous is None or scope.event.data["at"] != scope.previous["at"]


def quiet_policy(**changes: Any) -> Policy:
    return policy(rule(**changes), defaults=QUIET)


def subject(world: World) -> Subject:
    return world.customer.subjects["oms", "INC-7"]


@pytest.mark.parametrize("closing", [RESOLVED, CANCELLED])
def test_who_was_told_that_it_broke_is_told_that_it_is_over(closing: Lifecycle) -> None:
    world = World(policy())
    assert ended(one(world.event(lifecycle=OPENED))) == SENT
    assert ended(one(world.event(lifecycle=closing))) == CLOSURE
    assert ended(one(world.event(lifecycle=closing))) == ("SUPPRESSED", "NEVER_INFORMED")


def test_who_was_not_told_is_not_told_of_the_end() -> None:
    world = World(policy())
    assert ended(one(world.event(lifecycle=RESOLVED))) == ("SUPPRESSED", "NEVER_INFORMED")
    world.event(lifecycle=OPENED, subject="INC-8")
    world.event(lifecycle=OPENED, source="other")
    assert ended(one(world.event(lifecycle=RESOLVED))) == ("SUPPRESSED", "NEVER_INFORMED")


def test_an_event_in_sequence_only() -> None:
    world = World(policy())
    assert ended(one(world.event(lifecycle=OPENED, sequence=2))) == SENT
    assert ended(one(world.event(lifecycle=UPDATED, sequence=2))) == ("STALE", "STALE")
    assert ended(one(world.event(lifecycle=RESOLVED, sequence=1))) == ("STALE", "STALE")
    assert ended(one(world.event(lifecycle=UPDATED, sequence=3))) == SENT
    assert ended(one(world.event(lifecycle=UPDATED))) == SENT
    assert ended(one(world.event(lifecycle=UPDATED, sequence=1, subject="INC-8"))) == SENT


def test_an_event_that_reached_the_check_counts_even_if_it_was_not_sent() -> None:
    world = World(policy(), customer(profile=profile(snoozed_until=NOON + 1)))
    assert ended(one(world.event(sequence=5))) == ("SUPPRESSED", "SNOOZED")
    assert ended(one(world.event(sequence=4))) == ("STALE", "STALE")


def test_an_event_for_others_does_not_count_for_the_sequence() -> None:
    world = World(policy(rule(who=condition(lambda s: s.event.sequence != 5))))
    assert ended(one(world.event(sequence=5))) == ("SUPPRESSED", "NOT_IN_AUDIENCE")
    assert ended(one(world.event(sequence=4))) == SENT


def test_points_are_kept_in_sequence_too_but_have_no_life() -> None:
    world = World(policy())
    assert ended(one(world.event(lifecycle=Lifecycle.POINT, sequence=2))) == SENT
    assert ended(one(world.event(lifecycle=Lifecycle.POINT, sequence=1))) == ("STALE", "STALE")
    assert subject(world).told == ()
    assert ended(one(world.event(lifecycle=RESOLVED))) == ("SUPPRESSED", "NEVER_INFORMED")


def test_events_without_subject_have_no_life() -> None:
    world = World(policy())
    for lifecycle in (OPENED, UPDATED, RESOLVED):
        assert ended(one(world.event(lifecycle=lifecycle, subject=""))) == SENT
    assert world.customer.subjects == {}


def test_a_short_cut_at_night_is_never_heard_of() -> None:
    world = World(quiet_policy(), now=NIGHT)
    held = one(world.event(lifecycle=OPENED))
    result = world.later(HOUR).event(lifecycle=RESOLVED)
    assert [ended(d) for d in result.decisions] == [("TRANSIENT", "TRANSIENT")] * 2
    last = result.decisions[0]
    assert (last.decision_id, last.revision, last.terminal) == (held.decision_id, 1, True)
    world.run()
    assert world.customer.admissions == ()


def test_a_newer_event_replaces_what_waits() -> None:
    world = World(quiet_policy(), now=NIGHT)
    held = one(world.event(lifecycle=OPENED))
    old, new = world.later(HOUR).event(lifecycle=UPDATED).decisions
    assert (old.decision_id, ended(old)) == (held.decision_id, ("SUPERSEDED", "SUPERSEDED"))
    assert ended(new) == ("HOLD", "QUIET_HOURS")
    world.run()
    assert [ended(d) for d in world.decisions[-1:]] == [SENT]
    assert len(world.customer.admissions) == 1


def test_an_event_that_comes_to_nothing_replaces_nothing() -> None:
    world = World(policy(rule(), defaults=QUIET), now=NIGHT)
    world.event(lifecycle=OPENED)
    world.customer = replace(world.customer, profile=profile(snoozed_until=world.now + 1))
    assert ended(one(world.event(lifecycle=UPDATED))) == ("SUPPRESSED", "SNOOZED")
    assert len(world.customer.holds) == 1
    assert ended(one(world.event(lifecycle=Lifecycle.POINT))) == ("SUPPRESSED", "SNOOZED")


def test_a_point_replaces_nothing() -> None:
    world = World(quiet_policy(), now=NIGHT)
    world.event(lifecycle=OPENED)
    assert ended(one(world.event(lifecycle=Lifecycle.POINT))) == ("HOLD", "QUIET_HOURS")
    assert len(world.customer.holds) == 2


def test_an_update_without_news_is_not_sent_and_ends_what_waits() -> None:
    world = World(policy(rule(material=condition(news)), defaults=QUIET))
    world.event(lifecycle=OPENED, data={"at": 1})
    world.now = NIGHT
    held = one(world.event(lifecycle=UPDATED, data={"at": 2}))
    result = world.event(lifecycle=UPDATED, data={"at": 1})
    assert [ended(d) for d in result.decisions] == [("SUPERSEDED", "SUPERSEDED"), ("SUPPRESSED", "NOT_MATERIAL")]
    assert result.decisions[0].decision_id == held.decision_id
    assert result.decisions[1].rules_tried[-1].why == "material: expression (values)"


def test_news_is_measured_against_the_last_message_that_was_sent() -> None:
    world = World(policy(rule(material=condition(news))))
    wanted = [(1, SENT), (1, ("SUPPRESSED", "NOT_MATERIAL")), (2, SENT), (1, SENT)]
    assert [ended(one(world.event(lifecycle=UPDATED, data={"at": n}))) for n, _ in wanted] == [w for _, w in wanted]


def test_material_is_asked_of_updates_only() -> None:
    world = World(policy(rule(material=condition(lambda _: False))))
    assert ended(one(world.event(lifecycle=OPENED))) == SENT
    assert ended(one(world.event(lifecycle=OPENED))) == SENT
    assert ended(one(world.event(lifecycle=RESOLVED))) == CLOSURE


def test_a_closing_event_ends_what_waits_whatever_becomes_of_its_own_message() -> None:
    world = World(policy(rule(), defaults=QUIET))
    world.event(lifecycle=OPENED)
    world.now = NIGHT
    world.event(lifecycle=UPDATED)
    world.customer = replace(world.customer, profile=profile(suppressed=(Suppression("", "STOP"),)))
    result = world.event(lifecycle=RESOLVED)
    assert [ended(d) for d in result.decisions] == [
        ("SUPERSEDED", "SUPERSEDED"),
        ("SUPPRESSED", "ADDRESS_SUPPRESSED"),
    ]
    assert world.customer.holds == ()


def test_a_stale_closing_event_ends_nothing() -> None:
    world = World(quiet_policy(), now=NIGHT)
    world.event(lifecycle=OPENED, sequence=5)
    assert ended(one(world.event(lifecycle=RESOLVED, sequence=4))) == ("STALE", "STALE")
    assert len(world.customer.holds) == 1


def test_a_closure_goes_to_who_was_told_whatever_who_says_now() -> None:
    elsewhere = condition(lambda s: s.event.lifecycle is OPENED)
    world = World(policy(rule(who=elsewhere)))
    world.event(lifecycle=OPENED)
    assert ended(one(world.event(lifecycle=RESOLVED))) == CLOSURE
    assert ended(one(world.event(lifecycle=RESOLVED))) == ("SUPPRESSED", "NOT_IN_AUDIENCE")


def test_a_closing_event_ends_what_waits_even_for_a_customer_outside_who() -> None:
    elsewhere = condition(lambda s: s.event.lifecycle is OPENED)
    world = World(quiet_policy(who=elsewhere), now=NIGHT)
    world.event(lifecycle=OPENED)
    assert [ended(d) for d in world.event(lifecycle=RESOLVED).decisions] == [("TRANSIENT", "TRANSIENT")] * 2


def test_a_closure_takes_the_channel_of_the_earlier_message_first() -> None:
    world = World(policy())
    assert channels(one(world.event(lifecycle=OPENED))) == ("sms",)
    world.customer = replace(world.customer, profile=profile(channels=("email", "sms")))
    assert channels(one(world.event(lifecycle=RESOLVED))) == ("sms",)
    world.event(lifecycle=OPENED)
    assert channels(world.decisions[-1]) == ("email",)
    world.policy = policy(rule(plan=first("sms", "push")))
    assert channels(one(world.event(lifecycle=RESOLVED))) == ("sms",)


def test_opt_out_and_expiry_win_over_a_closure() -> None:
    world = World(policy(rule(expires_after=HOUR)))
    world.event(lifecycle=OPENED)
    assert ended(one(world.event(lifecycle=RESOLVED, time=NOON - HOUR))) == ("EXPIRED", "EXPIRED")
    world.customer = replace(world.customer, profile=profile(snoozed_until=NOON + 1))
    assert ended(one(world.event(lifecycle=RESOLVED))) == ("SUPPRESSED", "SNOOZED")
    world.customer = replace(world.customer, profile=profile())
    assert ended(one(world.event(lifecycle=RESOLVED))) == CLOSURE


def test_an_open_subject_can_break_again() -> None:
    world = World(policy())
    for lifecycle, wanted in [(OPENED, SENT), (RESOLVED, CLOSURE), (OPENED, SENT), (RESOLVED, CLOSURE)]:
        assert ended(one(world.event(lifecycle=lifecycle))) == wanted


@pytest.mark.parametrize(
    ("outcome", "hard", "wanted"),
    [
        (Feedback.EXPIRED, False, ("SUPPRESSED", "NEVER_INFORMED")),
        (Feedback.SUPPRESSED, False, ("SUPPRESSED", "NEVER_INFORMED")),
        (Feedback.REJECTED, False, ("SUPPRESSED", "NEVER_INFORMED")),
        (Feedback.BOUNCED, True, ("SUPPRESSED", "NEVER_INFORMED")),
        (Feedback.BOUNCED, False, CLOSURE),
        (Feedback.UNKNOWN, False, CLOSURE),
        (Feedback.ACCEPTED, False, CLOSURE),
        (Feedback.COMPLAINED, False, CLOSURE),
    ],
)
def test_told_is_who_was_sent_something_that_is_not_known_to_have_failed(
    outcome: Feedback, wanted: tuple[str, str], *, hard: bool
) -> None:
    world = World(policy(rule(plan=first("sms"))))
    world.feedback(one(world.event(lifecycle=OPENED)), outcome, hard=hard)
    assert ended(one(world.event(lifecycle=RESOLVED))) == wanted


def test_a_closing_message_that_failed_leaves_the_customer_told() -> None:
    world = World(policy(rule(plan=first("sms"))))
    world.event(lifecycle=OPENED)
    closing = one(world.event(lifecycle=RESOLVED))
    world.feedback(closing, Feedback.REJECTED)
    assert len(subject(world).told) == 1
    assert ended(one(world.event(lifecycle=CANCELLED))) == CLOSURE


def test_a_message_that_failed_is_not_what_news_is_measured_against() -> None:
    world = World(policy(rule(plan=first("sms"), material=condition(news))))
    world.event(lifecycle=OPENED, data={"at": 1})
    world.feedback(one(world.event(lifecycle=UPDATED, data={"at": 2})), Feedback.REJECTED)
    assert subject(world).previous == {"at": 1}
    assert ended(one(world.event(lifecycle=UPDATED, data={"at": 1}))) == ("SUPPRESSED", "NOT_MATERIAL")
    assert ended(one(world.event(lifecycle=UPDATED, data={"at": 2}))) == SENT


def test_an_older_message_that_failed_changes_nothing_for_news() -> None:
    world = World(policy(rule(plan=first("sms"), material=condition(news))))
    old = one(world.event(lifecycle=OPENED, data={"at": 1}))
    world.event(lifecycle=UPDATED, data={"at": 2})
    world.feedback(old, Feedback.EXPIRED)
    assert ended(one(world.event(lifecycle=UPDATED, data={"at": 2}))) == ("SUPPRESSED", "NOT_MATERIAL")


def test_one_of_two_channels_that_failed_leaves_the_customer_told() -> None:
    world = World(policy(rule(plan=every("sms", "email"), material=condition(news))))
    sent = one(world.event(lifecycle=OPENED, data={"at": 1}))
    world.feedback(sent, Feedback.REJECTED, channel="email")
    assert subject(world).previous == {"at": 1}
    assert ended(one(world.event(lifecycle=RESOLVED, data={"at": 1}))) == CLOSURE


def test_holds_of_one_event_do_not_count_each_other_as_news_when_released() -> None:
    two: tuple[Any, ...] = tuple(
        rule(name=n, go_on=True, plan=Plan((c,)), material=condition(news)) for n, c in (("a", "sms"), ("b", "email"))
    )
    world = World(policy(*two, defaults=QUIET))
    world.event(lifecycle=OPENED, data={"at": 1})
    world.now = NIGHT
    world.event(lifecycle=UPDATED, data={"at": 2})
    world.run()
    assert [ended(d) for d in world.decisions[-2:]] == [SENT, SENT]
    world.now = NIGHT + 24 * HOUR
    world.event(lifecycle=RESOLVED, data={"at": 3})
    world.run()
    assert [ended(d) for d in world.decisions[-2:]] == [CLOSURE, CLOSURE]


def test_a_message_waits_for_the_last_one_of_its_subject_on_its_channel() -> None:
    world = World(policy())
    opened, updated = one(world.event()), one(world.event(lifecycle=UPDATED))
    elsewhere = one(world.event(subject="INC-8"))
    assert (opened.sends[0].after, updated.sends[0].after) == (b"", opened.sends[0].send_id)
    assert elsewhere.sends[0].after == b""
    world.policy = policy(rule(plan=every("sms", "email")))
    both = one(world.event(lifecycle=Lifecycle.POINT))
    assert {s.channel: s.after for s in both.sends} == {"sms": updated.sends[0].send_id, "email": b""}


def test_other_subjects_stay_the_same_objects() -> None:
    world = World(policy())
    world.event(subject="INC-8")
    before = world.customer.subjects["oms", "INC-8"]
    world.event()
    assert world.customer.subjects["oms", "INC-8"] is before


def test_of_a_long_story_only_so_much_is_remembered() -> None:
    world = World(policy())
    for _ in range(40):
        world.event(lifecycle=UPDATED, data={"area": "x" * 100})
    known = subject(world)
    assert len(known.told) == 16
    assert sum(t.data is not None for t in known.told) == 1
    assert ended(one(world.event(lifecycle=RESOLVED))) == CLOSURE


def test_holds_end_in_the_same_order_however_they_were_kept() -> None:
    two = tuple(rule(name=n, go_on=True) for n in "abcd")
    ends = []
    for backwards in (False, True):
        world = World(policy(*two, defaults=QUIET), now=NIGHT)
        world.event(lifecycle=OPENED)
        if backwards:
            world.customer = replace(world.customer, holds=world.customer.holds[::-1])
        ends.append([d.rule_name for d in world.event(lifecycle=RESOLVED).decisions])
    assert ends[0] == ends[1]


def test_an_event_that_has_the_id_of_a_forgotten_one_is_another() -> None:
    world = World(policy(defaults=QUIET))
    world.event(lifecycle=OPENED, id="x")
    world.now = NIGHT + 24 * HOUR
    assert ended(one(world.event(lifecycle=RESOLVED, id="x"))) == ("HOLD", "QUIET_HOURS")
    world.run()
    assert ended(world.decisions[-1]) == CLOSURE


def test_each_channel_has_its_own_last_message() -> None:
    world = World(policy(rule(plan=first("sms"))))
    by_sms = one(world.event())
    world.policy = policy(rule(plan=first("email")))
    world.event(lifecycle=UPDATED)
    world.policy = policy(rule(plan=first("sms")))
    assert one(world.event(lifecycle=UPDATED)).sends[0].after == by_sms.sends[0].send_id


def test_news_goes_back_to_the_event_before_when_all_messages_of_one_fail() -> None:
    two = (rule(name="a", go_on=True, plan=first("sms")), rule(name="b", plan=first("email")))
    world = World(policy(*two))
    world.event(lifecycle=OPENED, data={"at": 1})
    for sent in world.event(lifecycle=UPDATED, data={"at": 2}).decisions:
        world.feedback(sent, Feedback.EXPIRED)
    assert subject(world).previous == {"at": 1}


def test_of_a_failed_message_those_before_it_stay() -> None:
    world = World(policy(rule(plan=first("sms"))))
    sent = [one(world.event(lifecycle=UPDATED, data={"at": n})) for n in (1, 2, 3)]
    world.feedback(sent[2], Feedback.EXPIRED)
    assert [t.send_id for t in subject(world).told] == [d.sends[0].send_id for d in sent[:2]]
    assert subject(world).previous == {"at": 2}


def test_news_goes_back_behind_a_closing_message_that_failed() -> None:
    world = World(policy(rule(plan=first("sms"))))
    world.event(lifecycle=OPENED, data={"at": 1})
    world.feedback(one(world.event(lifecycle=RESOLVED, data={"at": 2})), Feedback.REJECTED)
    assert subject(world).previous == {"at": 1}


def test_only_the_holds_that_are_named_are_decided_again() -> None:
    world = World(policy(defaults=QUIET), now=NIGHT)
    held = [one(world.event(subject=s)) for s in ("A", "B")]
    assert not any(h.announced for h in world.customer.holds)
    world.later(9 * HOUR)
    due = DueInput(frozenset({held[1].decision_id}))
    assert [d.decision_id for d in decide(due, world.policy, world.customer, world.now).decisions] == [
        held[1].decision_id
    ]


def test_a_message_that_is_sent_replaces_what_waits() -> None:
    world = World(quiet_policy(), now=NIGHT)
    world.event(lifecycle=OPENED)
    world.policy = policy()
    assert [ended(d) for d in world.event(lifecycle=UPDATED).decisions] == [("SUPERSEDED", "SUPERSEDED"), SENT]


def test_a_decision_expires_by_its_event_or_its_rule_whichever_is_first() -> None:
    world = World(policy(rule(expires_after=2 * HOUR)))
    wanted = {None: 2 * HOUR, HOUR: HOUR, 3 * HOUR: 2 * HOUR}
    for expiry, lasts in wanted.items():
        given = None if expiry is None else NOON + expiry
        assert one(world.event(lifecycle=OPENED, expiry=given)).expires == NOON + lasts


def closing_that_waits(**event: Any) -> World:
    """Tell of a beginning at noon, hold the end at 13:00, then take another event of the subject."""
    night = quiet(start="13:00", end="14:00")
    ends = rule(name="ends", plan=first("push"), when=condition(lambda s: s.event.lifecycle is Lifecycle.CANCELLED))
    all_else = rule(material=condition(lambda s: s.previous != s.event.data))
    world = World(policy(ends, all_else, defaults={"quiet_hours": night}), customer(profile=profile(channels=("sms",))))
    world.customer = replace(
        world.customer, profile=replace(profile(), addresses=(Address("sms", "1"), Address("email", "2")))
    )
    assert ended(one(world.event(lifecycle=Lifecycle.OPENED))) == ("SEND", "ALLOWED")
    assert ended(one(world.later(HOUR).event(lifecycle=Lifecycle.RESOLVED))) == ("HOLD", "QUIET_HOURS")
    world.later(MINUTE).event(**event)
    world.run()
    return world


@pytest.mark.parametrize(
    "event",
    [
        {"lifecycle": Lifecycle.UPDATED},  # NOT_MATERIAL
        {"lifecycle": Lifecycle.RESOLVED, "time": NOON - 30 * DAY},  # EXPIRED
        {"lifecycle": Lifecycle.CANCELLED},  # NO_ADDRESS
    ],
)
def test_who_was_told_is_told_of_the_end_though_something_else_comes_that_is_not_sent(event: dict[str, object]) -> None:
    assert ended(closing_that_waits(**event).decisions[-1]) == ("SEND", "CLOSURE")


def test_a_closing_message_that_waits_ends_when_another_one_waits() -> None:
    reasons = [ended(d) for d in closing_that_waits(lifecycle=Lifecycle.RESOLVED).decisions]
    assert reasons == [
        ("SEND", "ALLOWED"),
        ("HOLD", "QUIET_HOURS"),
        ("SUPERSEDED", "SUPERSEDED"),
        ("HOLD", "QUIET_HOURS"),
        ("SEND", "CLOSURE"),
    ]


def test_without_a_subject_nothing_is_kept_in_sequence() -> None:
    world = World(policy())
    assert ended(one(world.event(lifecycle=Lifecycle.POINT, subject="", sequence=5))) == SENT
    assert ended(one(world.event(lifecycle=Lifecycle.POINT, subject="", sequence=3))) == SENT
    assert world.customer.subjects == {}


def test_an_event_that_says_nothing_new_keeps_its_subject_from_being_forgotten() -> None:
    world = World(policy(rule(material=condition(news))))
    world.event(lifecycle=OPENED, data={"at": 1})
    assert ended(one(world.later(DAY).event(lifecycle=UPDATED, data={"at": 1}))) == ("SUPPRESSED", "NOT_MATERIAL")
    assert subject(world).last_event_time == NOON + DAY


def test_of_two_subjects_the_one_that_is_over_is_forgotten() -> None:
    subjects = {("oms", name): Subject("oms", name, last_event_time=at) for name, at in (("A", NOON), ("B", 1))}
    kept = prune(customer(subjects=subjects), policy(), NOON)
    assert list(kept.subjects) == [("oms", "A")]


def test_a_closure_goes_first_to_the_channel_of_the_newest_message() -> None:
    world = World(policy(rule(plan=first("sms", "email"))))
    assert channels(one(world.event(lifecycle=OPENED))) == ("sms",)
    world.steer(stop(channel="sms"))
    assert channels(one(world.event(lifecycle=UPDATED))) == ("email",)
    world.steer()
    assert channels(one(world.event(lifecycle=RESOLVED))) == ("email",)


def test_the_second_rule_of_an_update_ends_the_message_of_an_end_that_the_first_left_waiting() -> None:
    ends = rule(name="ends", when=condition(lambda s: s.event.lifecycle.closing))
    no_news = rule(name="no-news", material=condition(lambda _: False), go_on=True)
    given = policy(ends, no_news, rule(name="always"), defaults={"quiet_hours": quiet(start="13:00", end="14:00")})
    world = World(given)
    world.event(lifecycle=OPENED)
    assert ended(one(world.later(HOUR).event(lifecycle=RESOLVED))) == ("HOLD", "QUIET_HOURS")
    found = world.later(MINUTE).event(lifecycle=UPDATED).decisions
    assert {d.rule_name: ended(d) for d in found} == {
        "no-news": ("SUPPRESSED", "NOT_MATERIAL"),
        "ends": ("SUPERSEDED", "SUPERSEDED"),
        "always": ("HOLD", "QUIET_HOURS"),
    }
