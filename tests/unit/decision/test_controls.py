from typing import Any

import pytest

from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Control,
    ControlKind,
    Feedback,
    Lifecycle,
    MessageClass,
    Reason,
    Suppression,
    Verdict,
)
from tests.builders import (
    NOON,
    World,
    channels,
    condition,
    ended,
    every,
    first,
    one,
    pause,
    policy,
    quiet,
    rule,
    stop,
    verdicts,
)

SENT, CLOSURE = ("SEND", "ALLOWED"), ("SEND", "CLOSURE")
STOPPED, PAUSED = ("SUPPRESSED", "STOPPED"), ("HOLD", "PAUSED")
EXPIRED = ("EXPIRED", "EXPIRED")


def world(*controls: Control, now: int = NOON, **changes: Any) -> World:
    return World(policy(rule(**changes), defaults={"quiet_hours": quiet()}), now=now).steer(*controls)


MATCHING: list[dict[str, Any]] = [
    {},
    {"rule": "outage"},
    {"category": "outage"},
    {"message_class": MessageClass.INFORMATIONAL},
    {"source": "oms"},
    {"event": "e1"},
    {"expires": NOON + 1},
    {"rule": "outage", "category": "outage", "source": "oms", "event": "e1"},
]
OTHERS: list[dict[str, Any]] = [
    {"rule": "other"},
    {"category": "other"},
    {"message_class": MessageClass.MARKETING},
    {"source": "crm"},
    {"event": "e2"},
    {"expires": NOON},
    {"expires": NOON - 1},
    {"rule": "outage", "source": "crm"},
]


@pytest.mark.parametrize("fields", MATCHING)
def test_a_control_matches_when_all_its_fields_do(fields: dict[str, Any]) -> None:
    assert ended(one(world(stop(**fields)).event())) == STOPPED
    assert ended(one(world(pause(**fields)).event())) == PAUSED
    assert verdicts(one(world(stop(channel="sms", **fields)).event())) == {"sms": "STOPPED", "email": "ALLOWED"}


@pytest.mark.parametrize("fields", OTHERS)
def test_a_control_of_something_else_or_past_its_end_does_not_matter(fields: dict[str, Any]) -> None:
    assert ended(one(world(stop(**fields), pause(**fields)).event())) == SENT
    assert channels(one(world(stop(channel="sms", **fields), pause(channel="sms", **fields)).event())) == ("sms",)


@pytest.mark.parametrize("kind", [ControlKind.FANOUT_PAUSE, ControlKind.FANOUT_ABORT])
def test_controls_of_fanouts_are_no_concern_of_decisions(kind: ControlKind) -> None:
    assert ended(one(world(Control("x", kind)).event())) == SENT


def test_a_stop_says_who_and_why() -> None:
    decision = one(world(stop(author="kim", reason="wrong data")).event())
    assert (decision.detail, decision.terminal, decision.verdicts) == ("stop halt by kim: wrong data", True, ())
    assert one(world(stop()).event()).detail == "stop halt"
    assert one(world(pause(reason="storm")).event()).detail == "pause wait: storm"
    assert one(world(stop(channel="sms", author="kim")).event()).detail == "stop halt by kim"
    assert one(world(pause(channel="sms", author="kim")).event()).detail == "pause wait by kim"


def test_a_stop_wins_over_a_pause_wherever_it_stands() -> None:
    assert ended(one(world(pause("a"), stop("b")).event())) == STOPPED


def test_a_stop_wins_over_a_closure() -> None:
    given = world()
    given.event(lifecycle=Lifecycle.OPENED)
    assert ended(one(given.steer(stop()).event(lifecycle=Lifecycle.RESOLVED))) == STOPPED
    assert ended(one(given.steer().event(lifecycle=Lifecycle.RESOLVED))) == CLOSURE


def test_a_stopped_event_counts_for_the_sequence_and_a_stale_one_is_stale_first() -> None:
    given = world(stop())
    assert ended(one(given.event(sequence=5))) == STOPPED
    assert ended(one(given.event(sequence=4))) == ("STALE", "STALE")


def test_a_customer_outside_the_audience_is_outside_before_he_is_stopped() -> None:
    assert ended(one(world(stop(), who=condition(lambda _: False)).event())) == ("SUPPRESSED", "NOT_IN_AUDIENCE")


def test_a_pause_holds_until_it_is_lifted() -> None:
    given = world(pause())
    held = one(given.event())
    assert (ended(held), held.due, held.terminal) == (PAUSED, held.expires, False)
    assert given.customer.holds[0].control == "wait"
    assert given.customer.holds[0].reason is Reason.PAUSED
    assert given.later(HOUR).due().decisions == ()
    sent = one(given.lift("wait"))
    assert (ended(sent), sent.decision_id, sent.revision, sent.time) == (SENT, held.decision_id, 1, NOON + HOUR)
    assert given.customer.holds == ()


def test_lifting_another_control_releases_nothing() -> None:
    given = world(pause())
    given.event()
    before = given.customer
    assert given.lift("other").decisions == ()
    assert given.customer is before


def test_what_waits_for_something_else_is_not_released_by_lifting() -> None:
    given = world(now=NOON + 11 * HOUR)
    assert ended(one(given.event())) == ("HOLD", "QUIET_HOURS")
    assert given.lift("wait").decisions == ()
    assert [h.control for h in given.customer.holds] == [""]


def test_a_pause_that_ends_by_itself_releases_what_it_held_then() -> None:
    given = world(pause(expires=NOON + HOUR))
    held = one(given.event())
    assert held.due == NOON + HOUR
    given.now = held.due
    assert ended(one(given.due())) == SENT


def test_a_pause_holds_no_longer_than_the_decision_lasts() -> None:
    given = world(pause(expires=NOON + DAY), expires_after=HOUR)
    held = one(given.event())
    assert (ended(held), held.due) == (PAUSED, NOON + HOUR)
    given.now = held.due
    assert ended(one(given.due())) == EXPIRED
    assert given.customer.holds == ()


def test_a_pause_does_not_hold_what_has_expired() -> None:
    given = world(pause(), expires_after=HOUR)
    assert ended(one(given.event(time=NOON - HOUR))) == EXPIRED
    assert ended(one(given.event(time=NOON - HOUR + 1))) == PAUSED


def test_what_was_lifted_may_be_held_by_the_next_pause() -> None:
    given = world(pause("a"), pause("b"))
    given.event()
    again = one(given.lift("a"))
    assert (ended(again), again.revision, given.customer.holds[0].control) == (PAUSED, 1, "b")
    assert ended(one(given.lift("b"))) == SENT


def test_what_was_lifted_may_be_stopped_by_then() -> None:
    given = world(pause(), stop(event="other"))
    given.event()
    given.steer(pause(), stop())
    assert ended(one(given.lift("wait"))) == STOPPED


def test_what_was_lifted_in_the_night_waits_for_the_morning() -> None:
    given = world(pause())
    given.event()
    assert ended(one(given.later(11 * HOUR).lift("wait"))) == ("HOLD", "QUIET_HOURS")
    assert given.customer.holds[0].control == ""


def test_all_that_one_pause_held_is_released_in_order() -> None:
    given = world(pause())
    for subject, time in (("A", NOON - 1), ("B", NOON - 3), ("C", NOON - 2)):
        given.event(subject=subject, time=time)
    released = given.lift("wait").decisions
    assert [d.event.subject for d in released if d.event] == ["B", "C", "A"]


def test_a_newer_event_replaces_what_a_pause_holds() -> None:
    given = world(pause())
    given.event(lifecycle=Lifecycle.OPENED)
    result = given.event(lifecycle=Lifecycle.UPDATED)
    assert [ended(d) for d in result.decisions] == [("SUPERSEDED", "SUPERSEDED"), PAUSED]


def test_a_closing_event_ends_what_a_pause_holds_though_it_is_paused_itself() -> None:
    given = world(pause())
    given.event(lifecycle=Lifecycle.OPENED)
    assert [ended(d) for d in given.event(lifecycle=Lifecycle.RESOLVED).decisions] == [
        ("TRANSIENT", "TRANSIENT"),
        PAUSED,
    ]
    assert ended(one(given.lift("wait"))) == ("TRANSIENT", "TRANSIENT")


def test_a_stopped_channel_gives_way_to_the_next() -> None:
    decision = one(world(stop(channel="sms")).event())
    assert (ended(decision), channels(decision)) == (SENT, ("email",))
    assert verdicts(decision) == {"sms": "STOPPED", "email": "ALLOWED"}


def test_all_leaves_a_stopped_channel_out() -> None:
    assert channels(one(world(stop(channel="sms"), plan=every("sms", "email")).event())) == ("email",)


def test_when_every_channel_is_stopped_the_decision_is() -> None:
    given = world(stop("a", channel="sms"), stop("b", channel="email"))
    assert ended(one(given.event())) == STOPPED


def test_a_stopped_channel_came_less_far_than_one_that_was_asked() -> None:
    given = world(stop(channel="sms")).change(addresses=())
    assert ended(one(given.event())) == ("SUPPRESSED", "NO_ADDRESS")


def test_a_paused_channel_holds_a_first_plan_though_another_channel_is_free() -> None:
    given = world(pause(channel="sms"))
    held = one(given.event())
    assert (ended(held), held.due, given.customer.holds[0].control) == (PAUSED, held.expires, "wait")
    assert held.verdicts == (Verdict("sms", Reason.PAUSED, "category default", 0, held.due),)
    assert channels(one(given.lift("wait"))) == ("sms",)


def test_a_channel_that_is_not_reached_may_be_paused() -> None:
    assert channels(one(world(pause(channel="email")).event())) == ("sms",)
    assert channels(one(world(pause(channel="push")).event())) == ("sms",)


def test_a_paused_channel_the_customer_cannot_have_gives_way() -> None:
    given = world(pause(channel="sms")).change(suppressed=(Suppression("sms", "STOP"),))
    assert channels(one(given.event())) == ("email",)


def test_all_leaves_out_a_paused_channel_beside_one_that_sends() -> None:
    decision = one(world(pause(channel="sms"), plan=every("sms", "email")).event())
    assert channels(decision) == ("email",)
    assert verdicts(decision) == {"sms": "PAUSED", "email": "ALLOWED"}


def test_all_waits_when_every_channel_is_paused_for_the_pause_that_ends_first() -> None:
    controls = (
        pause("a", channel="sms", expires=NOON + 2 * MINUTE),
        pause("b", channel="email", expires=NOON + MINUTE),
    )
    given = world(*controls, plan=every("sms", "email"))
    held = one(given.event())
    assert (ended(held), held.due, given.customer.holds[0].control) == (PAUSED, NOON + MINUTE, "b")
    given.now = held.due
    assert channels(one(given.due())) == ("email",)


def test_a_paused_channel_is_paused_before_it_is_quiet() -> None:
    assert ended(one(world(pause(channel="sms"), now=NOON + 11 * HOUR).event())) == PAUSED


def test_a_channels_pause_holds_until_the_end_of_the_decision_and_is_expired_then() -> None:
    given = world(pause(channel="sms"), expires_after=HOUR)
    held = one(given.event())
    assert held.due == NOON + HOUR
    given.now = held.due
    assert ended(one(given.due())) == EXPIRED


def test_the_next_step_of_a_message_that_failed_is_steered_too() -> None:
    given = world()
    sent = one(given.event())
    assert ended(one(given.steer(stop()).feedback(sent, Feedback.REJECTED))) == STOPPED
    given = world()
    sent = one(given.event())
    held = one(given.steer(pause(channel="email")).feedback(sent, Feedback.REJECTED))
    assert (ended(held), held.step) == (PAUSED, 1)
    sent = one(given.lift("wait"))
    assert (ended(sent), channels(sent), sent.step) == (SENT, ("email",), 1)


def test_a_stopped_channel_is_no_next_step() -> None:
    given = world(plan=first("sms", "email", "push"))
    sent = one(given.event())
    assert channels(one(given.steer(stop(channel="email")).feedback(sent, Feedback.REJECTED))) == ("push",)
