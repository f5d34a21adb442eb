import pytest
from msgspec.structs import replace

from services.router.decision.decide import decide
from services.router.decision.lifecycle import prune
from services.router.decision.model import (
    HOUR,
    MINUTE,
    Control,
    ControlKind,
    Decision,
    Feedback,
    FeedbackInput,
    Lifecycle,
    Over,
    Value,
)
from tests.builders import (
    NOON,
    World,
    cap,
    channels,
    condition,
    ended,
    every,
    first,
    one,
    policy,
    profile,
    quiet,
    rule,
    verdicts,
    wish,
)

SENT = ("SEND", "ALLOWED")
FAILED = ("SUPPRESSED", "CHANNEL_FAILED")


def reject(world: World, decision: Decision) -> Decision:
    return one(world.feedback(decision, Feedback.REJECTED))


def test_a_refused_message_goes_by_the_next_channel() -> None:
    world = World(policy())
    sent = one(world.event())
    again = reject(world, sent)
    assert (ended(again), channels(again), again.step, again.revision) == (SENT, ("email",), 1, 1)
    assert again.decision_id == sent.decision_id
    assert verdicts(again) == {"sms": "CHANNEL_FAILED", "email": "ALLOWED"}
    assert again.sends[0].send_id != sent.sends[0].send_id


def test_a_hard_bounce_goes_by_the_next_channel_and_counts_twice() -> None:
    world = World(policy())
    again = one(world.feedback(one(world.event()), Feedback.BOUNCED, hard=True))
    assert channels(again) == ("email",)
    assert [a.channels for a in world.customer.admissions] == [("sms",), ("email",)]


def test_a_soft_bounce_or_what_is_not_known_opens_no_step() -> None:
    for outcome in (Feedback.BOUNCED, Feedback.UNKNOWN, Feedback.EXPIRED, Feedback.SUPPRESSED, Feedback.RETRY):
        world = World(policy())
        assert world.feedback(one(world.event()), outcome).decisions == ()


def test_when_no_channel_is_left_the_last_step_says_so() -> None:
    world = World(policy())
    last = reject(world, reject(world, one(world.event())))
    assert (ended(last), last.step, last.revision, last.terminal) == (FAILED, 2, 2, True)
    assert verdicts(last) == {"sms": "CHANNEL_FAILED", "email": "CHANNEL_FAILED"}
    assert world.customer.opens == ()


def test_feedback_works_once() -> None:
    world = World(policy())
    sent = one(world.event())
    reject(world, sent)
    after = world.customer
    for outcome in (Feedback.REJECTED, Feedback.EXPIRED):
        assert world.feedback(sent, outcome).decisions == ()
    assert world.customer is after


def test_feedback_about_nothing_known_changes_nothing() -> None:
    world = World(policy())
    before = world.customer
    stranger = FeedbackInput(b"d", b"s", "sms", 0, Feedback.REJECTED, hard=False)
    assert world.keep(decide(stranger, world.policy, before, NOON)).customer is before


def test_all_plans_have_no_next_step() -> None:
    world = World(policy(rule(plan=every("sms", "email", "push"))))
    assert world.feedback(one(world.event()), Feedback.REJECTED, channel="sms").decisions == ()


def test_no_step_is_opened_after_the_decision_expired() -> None:
    world = World(policy(rule(expires_after=HOUR)))
    sent = one(world.event())
    world.later(HOUR)
    assert world.feedback(sent, Feedback.REJECTED).decisions == ()
    assert world.customer.admissions == ()


def test_a_newer_message_of_the_subject_makes_the_next_step_superfluous() -> None:
    world = World(policy())
    sent = one(world.event())
    world.event(lifecycle=Lifecycle.UPDATED)
    last = reject(world, sent)
    assert (ended(last), last.step, last.terminal) == (("SUPERSEDED", "SUPERSEDED"), 1, True)


def test_a_newer_message_that_failed_itself_does_not() -> None:
    world = World(policy(rule(plan=first("sms", "email"))))
    sent = one(world.event())
    world.feedback(one(world.event(lifecycle=Lifecycle.UPDATED)), Feedback.EXPIRED)
    assert ended(reject(world, sent)) == SENT


def test_points_do_not_make_each_other_superfluous() -> None:
    world = World(policy())
    sent = one(world.event(lifecycle=Lifecycle.POINT))
    world.event(lifecycle=Lifecycle.POINT)
    assert ended(reject(world, sent)) == SENT


def test_no_other_channel_is_tried_when_the_subject_was_closed_meanwhile() -> None:
    world = World(policy(defaults={"quiet_hours": quiet(channels=("sms",))}), now=NOON + 9 * HOUR)
    sent = one(world.event())
    world.later(2 * HOUR)
    assert ended(one(world.event(lifecycle=Lifecycle.RESOLVED))) == ("HOLD", "QUIET_HOURS")
    assert ended(reject(world, sent)) == ("SUPERSEDED", "SUPERSEDED")
    world.run()
    assert ended(world.decisions[-1]) == ("SUPPRESSED", "NEVER_INFORMED")


def test_a_closure_that_was_refused_goes_by_the_next_channel_as_a_closure() -> None:
    world = World(policy())
    world.event()
    closing = one(world.event(lifecycle=Lifecycle.RESOLVED))
    again = reject(world, closing)
    assert (ended(again), channels(again)) == (("SEND", "CLOSURE"), ("email",))
    assert world.customer.subjects["oms", "INC-7"].told == ()


def test_two_closing_rules_keep_their_own_next_steps() -> None:
    world = World(policy(rule(name="a", go_on=True), rule(name="b")))
    world.event()
    for closing in world.event(lifecycle=Lifecycle.RESOLVED).decisions:
        assert ended(reject(world, closing)) == ("SEND", "CLOSURE")


def test_the_next_step_is_decided_as_a_held_decision_is() -> None:
    world = World(policy())
    sent = one(world.event())
    world.customer = replace(world.customer, profile=profile(snoozed_until=NOON + 1))
    assert ended(reject(world, sent)) == FAILED
    world = World(policy())
    sent = one(world.event())
    world.policy = policy(rule(name="renamed"))
    assert ended(reject(world, sent)) == ("NO_RULE", "NO_RULE")
    world = World(policy())
    sent = one(world.event())
    world.policy = policy(rule(who=condition(lambda _: False)))
    assert ended(reject(world, sent)) == ("SUPPRESSED", "NOT_IN_AUDIENCE")


def test_the_next_step_may_be_held_and_keeps_its_failed_channels() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=NOON + 9 * HOUR)
    sent = one(world.event())
    world.later(2 * HOUR)
    held = reject(world, sent)
    assert (ended(held), held.step, held.revision) == (("HOLD", "QUIET_HOURS"), 1, 1)
    world.run()
    last = world.decisions[-1]
    assert (ended(last), channels(last), last.step, last.revision) == (SENT, ("email",), 1, 2)
    assert ended(reject(world, last)) == FAILED


def test_the_place_of_the_refused_message_is_free_for_the_next_step() -> None:
    world = World(policy(caps=(cap(limit=1, over=Over.DROP),)))
    assert ended(reject(world, one(world.event()))) == SENT


@pytest.mark.parametrize("outcome", [Feedback.OPENED, Feedback.CLICKED, Feedback.REPLIED])
def test_what_the_customer_read_needs_no_next_step(outcome: Feedback) -> None:
    world = World(policy())
    sent = one(world.event())
    world.feedback(sent, outcome)
    assert world.customer.opens == ()


def test_what_was_delivered_and_came_back_all_the_same_goes_by_the_next_channel() -> None:
    world = World(policy())
    sent = one(world.event())
    assert world.feedback(sent, Feedback.DELIVERED).decisions == ()
    assert channels(one(world.feedback(sent, Feedback.BOUNCED, hard=True))) == ("email",)


def test_steps_are_kept_until_their_decision_expires() -> None:
    given = policy(rule(expires_after=HOUR), caps=(cap(limit=9),))
    world = World(given)
    world.event()
    assert prune(world.customer, given, NOON + HOUR - 1) is world.customer
    assert prune(world.customer, given, NOON + HOUR).opens == ()
    world.later(HOUR).event()
    assert len(world.customer.opens) == 1


@pytest.mark.parametrize("heard", [Feedback.OPENED, Feedback.CLICKED, Feedback.REPLIED])
def test_a_message_that_was_heard_opens_no_step_any_more(heard: Feedback) -> None:
    world = World(policy())
    sent = one(world.event())
    world.feedback(sent, heard)
    assert world.feedback(sent, Feedback.REJECTED).decisions == ()


def test_hard_means_something_for_bounces_only() -> None:
    world = World(policy())
    before = world.event().customer
    assert world.feedback(world.decisions[0], Feedback.UNKNOWN, hard=True).customer is before


def test_a_closing_event_at_the_same_instant_closes_the_steps_of_others_not_its_own() -> None:
    world = World(policy())
    world.event()
    world.event(lifecycle=Lifecycle.RESOLVED)
    assert [o.over for o in world.customer.opens] == [True, False]


def test_a_point_is_not_overtaken_by_the_life_of_its_subject() -> None:
    world = World(policy())
    sent = one(world.event(lifecycle=Lifecycle.POINT))
    world.event(lifecycle=Lifecycle.OPENED)
    assert ended(reject(world, sent)) == SENT


def test_a_message_from_longer_ago_than_is_remembered_was_overtaken() -> None:
    world = World(policy())
    sent = one(world.event())
    for _ in range(20):
        world.event(lifecycle=Lifecycle.UPDATED)
    assert ended(reject(world, sent)) == ("SUPERSEDED", "SUPERSEDED")


def test_a_next_step_that_waits_is_superseded_by_a_newer_message_that_was_held_before_it() -> None:
    night = quiet(channels=("sms",), start="12:30", end="13:00")
    world = World(policy(rule(plan=first("email", "sms", fixed=True)), defaults={"quiet_hours": night}))
    old = one(world.event(lifecycle=Lifecycle.OPENED))
    world.steer(Control("c", ControlKind.PAUSE, event="e2")).later(31 * MINUTE)
    assert ended(one(world.event(lifecycle=Lifecycle.UPDATED))) == ("HOLD", "PAUSED")
    assert ended(one(world.feedback(old, Feedback.REJECTED))) == ("HOLD", "QUIET_HOURS")
    assert ended(one(world.later(MINUTE).lift("c"))) == SENT
    assert ended(one(world.later(HOUR).due())) == ("SUPERSEDED", "SUPERSEDED")


def test_a_next_step_that_waits_goes_if_nothing_newer_was_sent() -> None:
    night = quiet(channels=("sms",), start="12:30", end="13:00")
    world = World(policy(rule(plan=first("email", "sms", fixed=True)), defaults={"quiet_hours": night}))
    world.event(lifecycle=Lifecycle.OPENED)
    old = one(world.later(MINUTE).event(lifecycle=Lifecycle.UPDATED))
    assert ended(one(world.later(31 * MINUTE).feedback(old, Feedback.REJECTED))) == ("HOLD", "QUIET_HOURS")
    assert channels(one(world.later(HOUR).due())) == ("sms",)


def test_an_end_closes_the_steps_of_its_subject_among_others() -> None:
    world = World(policy(rule(plan=first("sms", "email"))))
    told = one(world.event(lifecycle=Lifecycle.OPENED))
    other = one(world.event(lifecycle=Lifecycle.OPENED, subject="INC-8"))
    world.change(preferences=(wish(Value.OFF),))
    assert ended(one(world.event(lifecycle=Lifecycle.RESOLVED))) == ("SUPPRESSED", "PREFERENCE_OFF")
    world.change()
    assert [d.sends for d in world.feedback(told, Feedback.REJECTED).decisions if d.sends] == []
    assert channels(reject(world, other)) == ("email",)
