from typing import Any

import pytest
from msgspec.structs import replace

from services.router.decision.decide import decide, take
from services.router.decision.model import (
    HOUR,
    Customer,
    EventInput,
    Identity,
    Lifecycle,
    MemberInput,
    Profile,
    Rule,
    Scope,
    Truth,
)
from tests.builders import (
    NOON,
    World,
    channels,
    condition,
    customer,
    ended,
    event,
    ignore_rest,
    one,
    policy,
    profile,
    quiet,
    rule,
)

OPENED, UPDATED, RESOLVED = Lifecycle.OPENED, Lifecycle.UPDATED, Lifecycle.RESOLVED
SENT, CLOSURE = ("SEND", "ALLOWED"), ("SEND", "CLOSURE")
OUTSIDE, TRANSIENT = ("SUPPRESSED", "NOT_IN_AUDIENCE"), ("TRANSIENT", "TRANSIENT")
EVERYONE: dict[str, Any] = {"everyone": True}
NOBODY = condition(lambda _: False, "who", "de")
GERMAN = condition(lambda s: s.customer is not None and s.customer.locale == "de")
NIGHT = NOON + 11 * HOUR


def selected(*, by: Any = GERMAN) -> dict[str, Any]:
    return {"select": 'customer.locale == "de"', "selector": by}


def only_opened(scope: Scope) -> bool:
    return scope.event.lifecycle is OPENED


# --- who belongs -------------------------------------------------------------------------------


def test_everyone_of_the_tenant_belongs() -> None:
    world = World(policy())
    decision = one(world.many(**EVERYONE))
    assert (ended(decision), decision.customer, channels(decision)) == (SENT, "ana", ("sms",))
    assert world.many(**EVERYONE, tenant="southwind").decisions == ()


def test_who_has_no_profile_is_nobody_for_everyone_and_for_a_selector() -> None:
    world = World(policy(), customer(profile=None))
    assert world.many(**EVERYONE).decisions == ()
    assert world.many(**selected(by=condition(lambda _: True))).decisions == ()


def test_a_selector_picks_whom_it_holds_for() -> None:
    world = World(policy())
    assert ended(one(world.many(**selected()))) == SENT
    world.change(locale="en")
    assert world.many(**selected()).decisions == ()


@pytest.mark.parametrize("truth", [Truth.FALSE, Truth.ABSENT])
def test_a_selector_that_cannot_tell_does_not_pick(truth: Truth) -> None:
    world = World(policy())
    before = world.customer
    result = world.many(**selected(by=condition(lambda _: truth)), sequence=5)
    assert (result.decisions, result.timers, result.customer is before) == ((), (), True)


def test_an_event_with_a_selector_that_is_not_there_is_for_nobody() -> None:
    assert World(policy()).many(select="x").decisions == ()


def test_a_selector_sees_event_customer_and_now() -> None:
    seen: list[Scope] = []

    def look(scope: Scope) -> bool:
        seen.append(scope)
        return True

    world = World(policy(), now=NOON + 5)
    world.many(**selected(by=condition(look)), data={"area": "Ost"})
    assert [(s.event.data, s.customer, s.previous, s.now) for s in seen] == [
        ({"area": "Ost"}, profile(), None, NOON + 5)
    ]


def test_named_customers_are_judged_with_or_without_a_profile() -> None:
    world = World(policy())
    assert ended(one(world.many(customers=("ana", "ben")))) == SENT
    assert world.many(customers=("ben", "cem")).decisions == ()
    world = World(policy(), customer(profile=None))
    assert ended(one(world.many(customers=("ana", "ben")))) == ("SUPPRESSED", "NO_ADDRESS")


def test_an_event_for_many_and_for_one_are_decided_alike() -> None:
    alone, among = World(policy()), World(policy())
    alone.event(lifecycle=OPENED)
    among.many(customers=("ana",))
    assert alone.decisions == among.decisions
    assert alone.customer == among.customer


# --- who and segment ---------------------------------------------------------------------------


@pytest.mark.parametrize("narrowing", ["who", "segment"])
def test_a_customer_outside_leaves_a_record_only_if_he_was_named(narrowing: str) -> None:
    world = World(policy(rule(**{narrowing: NOBODY})))
    decision = one(world.event())
    assert ended(decision) == OUTSIDE
    assert decision.rules_tried[-1].why == f"{narrowing}: who (de)"
    assert ended(one(world.many(customers=("ana", "ben")))) == OUTSIDE
    assert world.many(**EVERYONE).decisions == ()
    assert world.many(**selected()).decisions == ()


def test_segment_and_who_must_both_hold() -> None:
    yes = condition(lambda _: True)
    assert ended(one(World(policy(rule(segment=yes, who=yes))).event())) == SENT
    assert ended(one(World(policy(rule(segment=yes, who=NOBODY))).event())) == OUTSIDE
    assert ended(one(World(policy(rule(segment=NOBODY, who=yes))).event())) == OUTSIDE
    absent = condition(lambda _: Truth.ABSENT)
    assert ended(one(World(policy(rule(who=absent))).event())) == OUTSIDE


def test_each_rule_has_its_own_audience() -> None:
    world = World(policy(rule(name="a", who=NOBODY, go_on=True), rule(name="b")))
    assert [(d.rule_name, ended(d)) for d in world.many(**EVERYONE).decisions] == [("b", SENT)]
    assert [(d.rule_name, ended(d)) for d in world.event().decisions] == [("a", OUTSIDE), ("b", SENT)]


def test_who_was_not_selected_has_not_seen_the_sequence() -> None:
    world = World(policy(rule(who=condition(lambda s: s.event.sequence != 5))))
    world.many(**EVERYONE, sequence=5)
    assert world.customer.subjects == {}
    assert ended(one(world.many(**EVERYONE, sequence=4))) == SENT


def test_the_sequence_counts_if_one_rule_selected_him() -> None:
    world = World(policy(rule(name="a", who=NOBODY, go_on=True), rule(name="b")))
    world.many(**EVERYONE, sequence=5)
    assert [ended(d) for d in world.many(**EVERYONE, sequence=4).decisions] == [("STALE", "STALE")]


@pytest.mark.parametrize("narrowing", ["who", "segment"])
def test_what_is_decided_again_asks_who_he_is_then(narrowing: str) -> None:
    world = World(policy(rule(**{narrowing: GERMAN}), defaults={"quiet_hours": quiet()}), now=NIGHT)
    assert ended(one(world.many(**EVERYONE))) == ("HOLD", "QUIET_HOURS")
    world.change(locale="en")
    world.run()
    assert ended(world.decisions[-1]) == OUTSIDE
    assert world.decisions[-1].terminal


# --- closing events ----------------------------------------------------------------------------


@pytest.mark.parametrize("audience", [EVERYONE, selected(by=NOBODY)])
def test_the_end_reaches_who_was_told_whatever_anything_says_now(audience: dict[str, Any]) -> None:
    world = World(policy(rule(who=condition(only_opened), segment=condition(only_opened))))
    assert ended(one(world.event(lifecycle=OPENED))) == SENT
    assert world.many(**audience, lifecycle=UPDATED).decisions == ()
    assert ended(one(world.many(**audience, lifecycle=RESOLVED))) == CLOSURE
    assert world.many(**selected(by=NOBODY), lifecycle=RESOLVED).decisions == ()


def test_the_end_for_named_others_is_no_end_for_who_was_told() -> None:
    world = World(policy())
    world.event(lifecycle=OPENED)
    assert world.many(customers=("ben", "cem"), lifecycle=RESOLVED).decisions == ()
    assert ended(one(world.many(**EVERYONE, lifecycle=RESOLVED))) == CLOSURE


def test_the_end_of_another_tenants_subject_is_none() -> None:
    world = World(policy())
    world.event(lifecycle=OPENED)
    assert world.many(**EVERYONE, lifecycle=RESOLVED, tenant="southwind").decisions == ()


def test_the_end_reaches_who_was_told_and_has_no_profile_any_more() -> None:
    world = World(policy())
    world.event(lifecycle=OPENED)
    world.customer = replace(world.customer, profile=None)
    assert world.many(**EVERYONE, lifecycle=UPDATED).decisions == ()
    assert ended(one(world.many(**EVERYONE, lifecycle=RESOLVED))) == ("SUPPRESSED", "NO_ADDRESS")


@pytest.mark.parametrize("audience", [EVERYONE, selected(by=NOBODY)])
def test_the_end_ends_what_waits_for_who_would_not_be_selected_now(audience: dict[str, Any]) -> None:
    world = World(policy(rule(who=condition(only_opened)), defaults={"quiet_hours": quiet()}), now=NIGHT)
    world.event(lifecycle=OPENED)
    assert [ended(d) for d in world.many(**audience, lifecycle=RESOLVED).decisions] == [TRANSIENT, TRANSIENT]
    assert world.customer.holds == ()


def test_the_end_goes_by_every_rule_to_who_was_told() -> None:
    rules = (rule(name="a", who=condition(only_opened), go_on=True), rule(name="b", who=condition(only_opened)))
    world = World(policy(*rules))
    world.event(lifecycle=OPENED)
    assert [ended(d) for d in world.many(**EVERYONE, lifecycle=RESOLVED).decisions] == [CLOSURE, CLOSURE]


def test_every_rule_records_what_it_ended_though_the_first_took_the_holds() -> None:
    rules = (rule(name="a", who=condition(only_opened), go_on=True), rule(name="b", who=condition(only_opened)))
    world = World(policy(*rules, defaults={"quiet_hours": quiet()}), now=NIGHT)
    world.event(lifecycle=OPENED)
    assert [ended(d) for d in world.many(**EVERYONE, lifecycle=RESOLVED).decisions] == [TRANSIENT] * 4


def test_a_closure_that_waits_does_not_ask_who_again() -> None:
    world = World(policy(rule(who=condition(only_opened)), defaults={"quiet_hours": quiet()}), now=NOON + 9 * HOUR)
    world.event(lifecycle=OPENED)
    world.later(2 * HOUR)
    assert ended(one(world.many(**EVERYONE, lifecycle=RESOLVED))) == ("HOLD", "QUIET_HOURS")
    world.run()
    assert ended(world.decisions[-1]) == CLOSURE


def test_a_closing_event_for_who_knows_nothing_selects_as_any_other() -> None:
    world = World(policy(rule(who=NOBODY)))
    assert world.many(**EVERYONE, lifecycle=RESOLVED).decisions == ()
    world = World(policy())
    assert ended(one(world.many(**EVERYONE, lifecycle=RESOLVED))) == ("SUPPRESSED", "NEVER_INFORMED")


# --- taken once --------------------------------------------------------------------------------


def taken(*rules: Rule, seen: Identity | None = None, **changes: Any) -> Any:
    given = event(customers=(), everyone=True, **changes)
    return take(EventInput(given, seen, (0, 1)), policy(*rules), NOON)


def test_an_event_is_taken_with_its_rules_and_what_was_tried() -> None:
    never, go_on = rule(name="never", when=NOBODY), rule(name="a", go_on=True)
    found = taken(never, go_on, rule(name="b"))
    assert [r.name for r, _ in found.matched] == ["a", "b"]
    assert [[t.rule for t in tried] for _, tried in found.matched] == [["never", "a"], ["never", "a", "b"]]
    assert (found.first_seen, found.identity, found.decisions) == (NOON, Identity(b"content", NOON), ())


def test_an_event_that_is_refused_or_has_no_rule_is_judged_for_nobody() -> None:
    for found, wanted in (
        (taken(type="unheard-of"), ("ERROR", "UNKNOWN_TYPE")),
        (taken(expiry=NOON), ("EXPIRED", "EXPIRED")),
        (taken(seen=Identity(b"content", NOON)), ("DUPLICATE", "DUPLICATE")),
        (taken(ignore_rest()), ("NO_RULE", "NO_RULE")),
    ):
        assert [ended(d) for d in found.decisions] == [wanted]
        assert found.matched == ()
        assert decide(MemberInput(found), policy(), customer(), NOON).decisions == ()


def test_members_are_judged_when_they_are_taken_and_named_by_the_time_of_the_event() -> None:
    shared = taken()
    decision = one(decide(MemberInput(shared), policy(), customer(), NOON + HOUR))
    assert (decision.time, decision.first_seen) == (NOON + HOUR, NOON)
    other = Customer("northwind", "ben", Profile("ben", profile().addresses))
    assert one(decide(MemberInput(shared), policy(), other, NOON + HOUR)).decision_id != decision.decision_id


def test_a_closing_event_is_for_nobody_who_knows_nothing_and_would_not_be_selected() -> None:
    assert World(policy()).many(**selected(by=NOBODY), lifecycle=RESOLVED).decisions == ()
    assert World(policy(), customer(profile=None)).many(**EVERYONE, lifecycle=RESOLVED).decisions == ()
