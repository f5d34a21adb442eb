from typing import Any

import pytest

from services.router.decision.model import DAY, HOUR, MINUTE, Feedback, Lifecycle, MessageClass, Rule
from tests.builders import NOON, World, category, channels, ended, event_type, every, key, one, policy, quiet, rule

SENT, ONCE, CLOSURE = ("SEND", "ALLOWED"), ("SUPPRESSED", "ONCE"), ("SEND", "CLOSURE")
POINT = Lifecycle.POINT


def once(**changes: Any) -> Rule:
    return rule(**{"once": key(lambda s: s.event.data["order"]), "once_window": DAY, **changes})


def point(world: World, order: str | None = "A", **changes: Any) -> Any:
    return one(world.event(**{"lifecycle": POINT, "data": {"order": order}, **changes}))


def test_of_one_key_there_is_one_message() -> None:
    world = World(policy(once()))
    assert [ended(point(world, order)) for order in "AABA"] == [SENT, ONCE, SENT, ONCE]
    assert world.decisions[1].detail == "key 'A'"
    assert world.decisions[1].verdicts == ()
    assert [a.once for a in world.customer.admissions] == ["A", "B"]


def test_the_window_is_half_open_and_counts_from_the_message_that_was_sent() -> None:
    world = World(policy(once(once_window=HOUR)))
    point(world)
    point(world.later(30 * MINUTE))
    assert ended(point(world.later(30 * MINUTE - 1))) == ONCE
    assert ended(point(world.later(1))) == SENT


def test_an_older_message_of_another_key_does_not_end_the_search() -> None:
    world = World(policy(once(once_window=HOUR)))
    point(world)
    for _ in range(3):
        point(world.later(MINUTE), "B")
    assert ended(point(world)) == ONCE


def test_a_window_is_each_rules_own() -> None:
    types = (event_type(), event_type("other"))
    world = World(policy(once(once_window=HOUR), once(name="other", on=("other",), once_window=DAY), types=types))
    point(world)
    point(world, type="other")
    world.later(HOUR)
    assert ended(point(world)) == SENT
    assert ended(point(world, type="other")) == ONCE


def test_a_key_is_each_rules_own() -> None:
    world = World(policy(once(name="a", go_on=True), once(name="b")))
    for wanted in (SENT, ONCE):
        result = world.event(lifecycle=POINT, data={"order": "A"})
        assert [ended(d) for d in result.decisions] == [wanted] * 2


@pytest.mark.parametrize("absent", [None, ""])
def test_without_a_key_nothing_is_kept(absent: str | None) -> None:
    world = World(policy(once()))
    assert [ended(point(world, absent)) for _ in range(2)] == [SENT, SENT]
    assert [a.once for a in world.customer.admissions] == ["", ""]


def test_a_message_that_was_not_sent_does_not_count() -> None:
    world = World(policy(once()))
    world.feedback(point(world), Feedback.EXPIRED)
    assert ended(point(world)) == SENT
    world.feedback(world.decisions[-1], Feedback.UNKNOWN)
    assert ended(point(world)) == ONCE


def test_a_message_of_which_one_channel_was_not_sent_counts() -> None:
    world = World(policy(once(plan=every("sms", "email"))))
    world.feedback(point(world), Feedback.EXPIRED, channel="sms")
    assert ended(point(world)) == ONCE


def test_a_next_step_is_the_same_message() -> None:
    world = World(policy(once()))
    again = one(world.feedback(point(world), Feedback.BOUNCED, hard=True))
    assert (ended(again), channels(again), again.step) == (SENT, ("email",), 1)
    assert [a.once for a in world.customer.admissions] == ["A", "A"]
    assert ended(point(world)) == ONCE


def test_a_next_step_is_not_sent_if_the_key_was_used_by_another_message_meanwhile() -> None:
    world = World(policy(once(), defaults={"quiet_hours": quiet(channels=("email",))}), now=NOON + 11 * HOUR)
    refused = point(world)
    assert ended(one(world.feedback(refused, Feedback.REJECTED))) == ("HOLD", "QUIET_HOURS")
    assert ended(point(world)) == SENT
    world.run()
    assert ended(world.decisions[-1]) == ONCE


def test_a_message_that_waits_does_not_count_until_it_goes() -> None:
    world = World(policy(once(), defaults={"quiet_hours": quiet()}), now=NOON + 11 * HOUR)
    held = [point(world, subject=s) for s in ("A", "B")]
    assert [ended(d) for d in held] == [("HOLD", "QUIET_HOURS")] * 2
    world.run()
    assert sorted(ended(d) for d in world.decisions[2:]) == sorted([SENT, ONCE])


def test_a_closure_goes_though_the_key_was_used_and_uses_it() -> None:
    world = World(policy(once()))
    about: dict[str, Any] = {"data": {"order": "A"}}
    assert ended(one(world.event(lifecycle=Lifecycle.OPENED, **about))) == SENT
    assert ended(one(world.event(lifecycle=Lifecycle.UPDATED, **about))) == ONCE
    assert ended(one(world.event(lifecycle=Lifecycle.RESOLVED, **about))) == CLOSURE
    assert [(a.once, a.closure) for a in world.customer.admissions] == [("A", False), ("A", True)]


def test_a_closing_event_for_who_was_not_told_is_never_informed_before_the_key_is_asked() -> None:
    world = World(policy(once()))
    point(world)
    assert ended(one(world.event(lifecycle=Lifecycle.RESOLVED, data={"order": "A"}))) == (
        "SUPPRESSED",
        "NEVER_INFORMED",
    )


@pytest.mark.parametrize(
    "changes", [{"rule": {"message_class": MessageClass.CRITICAL}}, {"categories": (category(required=True),)}]
)
def test_critical_and_required_messages_are_once_too(changes: Any) -> None:
    given = dict(changes)
    world = World(policy(once(**given.pop("rule", {})), **given))
    assert [ended(point(world)) for _ in range(2)] == [SENT, ONCE]


def test_the_trace_shows_only_the_beginning_of_a_long_key() -> None:
    world = World(policy(once()))
    point(world, "x" * 200)
    assert point(world, "x" * 200).detail == f"key '{'x' * 80}'"


def test_once_is_asked_before_preferences() -> None:
    world = World(policy(once()))
    point(world)
    world.change(snoozed_until=NOON + 1)
    assert ended(point(world)) == ONCE
