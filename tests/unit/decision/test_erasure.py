from msgspec.structs import replace

from services.router.decision.model import (
    HOUR,
    Customer,
    Decision,
    Feedback,
    Lifecycle,
    MessageClass,
    Profile,
    Suppression,
)
from tests.builders import NOON, World, customer, ended, event_type, first, one, pause, policy, profile, quiet, rule

NIGHT = NOON + 11 * HOUR
ENDED = ("SUPPRESSED", "ADDRESS_SUPPRESSED")


def forgotten(at: int) -> Customer:
    return Customer("northwind", "ana", Profile("ana", suppressed=(Suppression("", "ERASED", at),)))


def test_erasure_ends_what_waits_and_forgets_the_rest() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=NOON)
    world.event(lifecycle=Lifecycle.OPENED, sequence=1)
    world.now = NIGHT
    held = one(world.event(lifecycle=Lifecycle.UPDATED, sequence=2))
    assert [len(x) for x in (world.customer.admissions, world.customer.opens, world.customer.holds)] == [1, 1, 1]
    result = world.later(HOUR).erase()
    assert result.decisions == (
        Decision(
            held.decision_id,
            1,
            0,
            terminal=True,
            outcome=one(result).outcome,
            reason=one(result).reason,
            time=NIGHT + HOUR,
            customer="ana",
            event=held.event,
            first_seen=held.first_seen,
            rule=held.rule,
            rule_name="outage",
            expires=held.expires,
            policy_hash="policy-1",
        ),
    )
    assert ended(one(result)) == ENDED
    assert (world.customer, result.timers, result.digests) == (forgotten(NIGHT + HOUR), (), ())


def test_holds_of_every_kind_end_by_class_then_time_whatever_their_order() -> None:
    types = (event_type(), event_type("order"))
    rules = (rule(), rule(name="order", on=("order",), message_class=MessageClass.TRANSACTIONAL))
    ends = []
    for backwards in (False, True):
        world = World(policy(*rules, types=types, defaults={"quiet_hours": quiet()}), now=NIGHT)
        world.event(subject="A")
        world.event(subject="B", time=NIGHT - 1)
        world.steer(pause()).event(subject="C", type="order")
        if backwards:
            world.customer = replace(world.customer, holds=world.customer.holds[::-1])
        ends.append([(d.event.subject, ended(d)) for d in world.erase().decisions if d.event])
    assert ends[0] == [("C", ENDED), ("B", ENDED), ("A", ENDED)]
    assert ends[1] == ends[0]


def test_nobody_writes_to_who_was_erased_even_with_an_address() -> None:
    world = World(policy())
    world.erase()
    assert ended(one(world.event())) == ("SUPPRESSED", "NO_ADDRESS")
    known = Profile("ana", addresses=profile().addresses, suppressed=(Suppression("", "ERASED", NOON),))
    world.customer = replace(world.customer, profile=known)
    assert ended(one(world.event())) == ENDED


def test_feedback_that_comes_after_erasure_changes_nothing() -> None:
    world = World(policy(rule(plan=first("sms", "email"))))
    sent = one(world.event())
    world.erase()
    after = world.customer
    assert world.feedback(sent, Feedback.REJECTED).decisions == ()
    assert world.customer is after


def test_a_step_after_the_first_keeps_its_number_in_its_last_record() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=NOON)
    sent = one(world.event())
    world.now = NIGHT
    assert ended(one(world.feedback(sent, Feedback.REJECTED))) == ("HOLD", "QUIET_HOURS")
    last = one(world.erase())
    assert (last.decision_id, last.step, last.revision) == (sent.decision_id, 1, 2)


def test_a_hold_whose_rule_is_gone_has_its_last_record_without_it() -> None:
    world = World(policy(defaults={"quiet_hours": quiet()}), now=NIGHT)
    world.event()
    world.policy = policy(rule(name="renamed"))
    last = one(world.erase())
    assert (last.rule, last.rule_name, ended(last)) == (None, "outage", ENDED)


def test_a_customer_who_was_never_heard_of_can_be_erased() -> None:
    world = World(policy(), customer(profile=None))
    assert world.erase().decisions == ()
    assert world.customer == forgotten(NOON)
