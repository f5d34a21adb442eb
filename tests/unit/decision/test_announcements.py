"""Closing messages for those who were not told of the beginning, by the wish of the closing event's rule."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.router.decision.model import HOUR, Feedback, Lifecycle, Over, Suppression
from tests.builders import (
    NOON,
    World,
    cap,
    channels,
    condition,
    customer,
    ended,
    first,
    one,
    pause,
    policy,
    profile,
    quiet,
    rule,
)

OPENED, UPDATED, RESOLVED = Lifecycle.OPENED, Lifecycle.UPDATED, Lifecycle.RESOLVED
SENT, CLOSURE, QUIET = ("SEND", "ALLOWED"), ("SEND", "CLOSURE"), ("HOLD", "QUIET_HOURS")
SUPERSEDED, TRANSIENT = ("SUPERSEDED", "SUPERSEDED"), ("TRANSIENT", "TRANSIENT")
NEVER = ("SUPPRESSED", "NEVER_INFORMED")
NIGHT = NOON + 11 * HOUR
SMS_QUIET: dict[str, Any] = {"quiet_hours": quiet(channels=("sms",))}


def night(**changes: Any) -> World:
    """An outage waits for the morning by sms; its end may go by email."""
    opened = rule(name="opened", when=condition(lambda s: s.event.lifecycle is not RESOLVED), plan=first("sms"))
    resolved = rule(name="resolved", **{"plan": first("email", "push"), **changes})
    world = World(policy(opened, resolved, defaults=SMS_QUIET), customer(profile=profile(channels=("email",))), NIGHT)
    assert ended(one(world.event(lifecycle=OPENED))) == QUIET
    return world


@pytest.mark.parametrize("announce", ["announce_transient", "announce_always"])
def test_the_end_of_what_was_held_goes_on_and_the_hold_is_superseded(announce: str) -> None:
    world = night(**{announce: True})
    old, new = world.event(lifecycle=RESOLVED).decisions
    assert (ended(old), old.rule_name) == (SUPERSEDED, "opened")
    assert (ended(new), channels(new)) == (SENT, ("email",))
    assert world.customer.holds == ()


def test_without_a_word_the_end_of_what_was_held_is_transient() -> None:
    assert [ended(d) for d in night().event(lifecycle=RESOLVED).decisions] == [TRANSIENT, TRANSIENT]


def test_the_end_of_what_nobody_heard_of_goes_on_only_if_it_is_always_announced() -> None:
    assert ended(one(World(policy(rule(announce_transient=True))).event(lifecycle=RESOLVED))) == NEVER
    assert ended(one(World(policy(rule(announce_always=True))).event(lifecycle=RESOLVED))) == SENT


def test_who_was_told_gets_a_closure_whatever_is_announced() -> None:
    world = World(policy(rule(announce_transient=True, announce_always=True)))
    world.event(lifecycle=OPENED)
    assert ended(one(world.event(lifecycle=RESOLVED))) == CLOSURE


def test_an_announced_end_is_no_closure_for_caps_and_counts() -> None:
    world = World(policy(rule(announce_always=True), caps=(cap(limit=1, over=Over.DROP),)))
    assert [ended(one(world.event(lifecycle=RESOLVED))) for _ in range(2)] == [SENT, ("SUPPRESSED", "CAP_REACHED")]
    assert [a.closure for a in world.customer.admissions] == [False]


def test_after_an_announced_end_nobody_is_told_any_more() -> None:
    world = World(policy(rule(announce_transient=True)))
    world.policy = policy(rule(announce_always=True))
    world.event(lifecycle=RESOLVED)
    world.policy = policy()
    assert ended(one(world.event(lifecycle=RESOLVED))) == NEVER


def test_opt_out_wins_over_an_announcement() -> None:
    world = night(announce_transient=True)
    world.change(suppressed=(Suppression("", "STOP"),))
    result = world.event(lifecycle=RESOLVED)
    assert [ended(d) for d in result.decisions] == [SUPERSEDED, ("SUPPRESSED", "ADDRESS_SUPPRESSED")]


def test_one_rule_that_announces_makes_the_holds_superseded_and_the_others_stay_silent() -> None:
    loud = rule(name="loud", announce_transient=True, plan=first("email"), go_on=True)
    silent = rule(name="silent", plan=first("push"))
    for rules in ((loud, silent), (replace(silent, go_on=True), loud)):
        world = night()
        world.policy = policy(world.policy.rules[0], *rules, defaults=SMS_QUIET)
        result = world.event(lifecycle=RESOLVED)
        wanted = {"loud": SENT, "silent": TRANSIENT, "opened": SUPERSEDED}
        assert {d.rule_name: ended(d) for d in result.decisions} == wanted


@pytest.mark.parametrize("announce", ["announce_transient", "announce_always"])
def test_an_announced_end_that_waits_goes_on_when_it_is_due(announce: str) -> None:
    world = night(**{announce: True, "plan": first("sms")})
    assert [ended(d) for d in world.event(lifecycle=RESOLVED).decisions] == [SUPERSEDED, QUIET]
    assert world.customer.holds[0].announced
    world.run()
    assert ended(world.decisions[-1]) == SENT


def test_an_announced_end_that_is_paused_at_once_goes_on_when_that_is_lifted() -> None:
    world = night(announce_transient=True)
    world.steer(pause(rule="resolved"))
    assert [ended(d) for d in world.event(lifecycle=RESOLVED).decisions] == [SUPERSEDED, ("HOLD", "PAUSED")]
    assert ended(one(world.lift("wait"))) == SENT


def test_an_announced_end_that_failed_goes_by_the_next_channel() -> None:
    world = night(announce_transient=True)
    sent = world.event(lifecycle=RESOLVED).decisions[-1]
    again = one(world.feedback(sent, Feedback.REJECTED))
    assert (ended(again), channels(again), again.step) == (SENT, ("push",), 1)


def test_an_update_never_is_an_announcement() -> None:
    never = condition(lambda _: False)
    world = World(policy(rule(announce_always=True, announce_transient=True, material=never)))
    world.event(lifecycle=OPENED)
    assert ended(one(world.event(lifecycle=UPDATED))) == ("SUPPRESSED", "NOT_MATERIAL")


def test_a_stale_end_announces_nothing() -> None:
    world = World(policy(rule(announce_always=True)))
    world.event(lifecycle=OPENED, sequence=2)
    assert ended(one(world.event(lifecycle=RESOLVED, sequence=1))) == ("STALE", "STALE")
