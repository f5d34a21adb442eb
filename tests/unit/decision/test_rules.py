from msgspec.structs import replace

from services.router.decision.model import Lifecycle, RuleTried, Truth
from tests.builders import World, cap, condition, customer, ended, ignore_rest, one, policy, profile, rule


def area(name: str) -> object:
    return condition(lambda s: s.event.data["area"] == name, f'data.area == "{name}"', "data.area is Mitte")


def test_the_first_rule_that_matches_is_applied_and_the_walk_ends() -> None:
    decision = one(World(policy(rule(name="a"), rule(name="b"))).event())
    assert decision.rule_name == "a"


def test_a_rule_that_does_not_hold_leaves_its_reason_in_the_trace() -> None:
    decision = one(World(policy(rule(name="a", place="a:1", when=area("Ost")), rule(name="b", place="b:1"))).event())
    assert decision.rule_name == "b"
    assert decision.rules_tried == (
        RuleTried("a", "a:1", Truth.FALSE, 'data.area == "Ost" (data.area is Mitte)'),
        RuleTried("b", "b:1", Truth.TRUE),
    )


def test_an_absent_value_is_not_a_match_and_is_told_apart() -> None:
    decision = one(World(policy(rule(when=condition(lambda _: Truth.ABSENT)))).event())
    assert ended(decision) == ("NO_RULE", "NO_RULE")
    assert [t.truth for t in decision.rules_tried] == [Truth.ABSENT, Truth.TRUE]


def test_continue_goes_on_to_the_next_rule() -> None:
    result = World(policy(rule(name="a", go_on=True), rule(name="b"), rule(name="c"))).event()
    assert [d.rule_name for d in result.decisions] == ["a", "b"]
    assert len({d.decision_id for d in result.decisions}) == 2
    assert [len(d.rules_tried) for d in result.decisions] == [1, 2]


def test_ignore_ends_the_walk_without_a_message() -> None:
    ignored = one(World(policy(rule(name="hush", ignore=True), rule())).event())
    assert ended(ignored) == ("NO_RULE", "NO_RULE")
    assert (ignored.customer, ignored.rule, ignored.rule_name) == ("", None, "")
    assert [t.rule for t in ignored.rules_tried] == ["hush"]


def test_a_star_matches_every_type() -> None:
    assert ended(one(World(policy(rule(on=("*",)))).event())) == ("SEND", "ALLOWED")


def test_a_type_that_only_the_last_rule_names_makes_no_message() -> None:
    assert ended(one(World(policy(ignore_rest())).event())) == ("NO_RULE", "NO_RULE")


def test_an_ignore_after_continue_leaves_what_was_applied() -> None:
    assert [d.rule_name for d in World(policy(rule(go_on=True))).event().decisions] == ["outage"]


def test_a_customer_outside_who_is_not_in_the_audience() -> None:
    who = condition(lambda s: s.customer is not None and s.customer.locale == "en", 'customer.locale == "en"', "de")
    decision = one(World(policy(rule(who=who))).event())
    assert ended(decision) == ("SUPPRESSED", "NOT_IN_AUDIENCE")
    assert decision.customer == "ana"
    assert decision.rules_tried[-1].why == 'who: customer.locale == "en" (de)'


def test_a_customer_without_profile_has_no_address() -> None:
    assert ended(one(World(policy(), customer(profile=None)).event())) == ("SUPPRESSED", "NO_ADDRESS")


def test_caps_see_what_an_earlier_rule_of_the_same_event_admitted() -> None:
    plain = policy(rule(name="a", go_on=True), rule(name="b"), caps=(cap(limit=1),))
    assert [ended(d) for d in World(plain).event().decisions] == [("SEND", "ALLOWED"), ("SUPPRESSED", "CAP_REACHED")]


def test_rules_of_one_event_all_see_the_subject_as_it_was() -> None:
    never = condition(lambda _: False)
    two = (rule(name="a", go_on=True, material=never), rule(name="b", material=never))
    world = World(policy(*two))
    assert [ended(d) for d in world.event(lifecycle=Lifecycle.UPDATED).decisions] == [("SEND", "ALLOWED")] * 2
    assert [d.reason.name for d in world.event(lifecycle=Lifecycle.UPDATED).decisions] == ["NOT_MATERIAL"] * 2
    assert [ended(d) for d in world.event(lifecycle=Lifecycle.RESOLVED).decisions] == [("SEND", "CLOSURE")] * 2


def test_a_message_carries_locale_and_zone() -> None:
    decision = one(World(policy(), customer(profile=profile(timezone="Europe/Berlin"))).event())
    assert (decision.locale, decision.timezone) == ("de", "Europe/Berlin")
    assert decision.local_time == "2026-03-04T13:00:00+01:00"


def test_the_trace_keeps_how_the_rule_was_found_when_who_fails() -> None:
    never = condition(lambda _: False, "x", "")
    decision = one(World(policy(rule(name="a", when=never), rule(name="b", who=never))).event())
    assert [(t.rule, t.why) for t in decision.rules_tried] == [("a", "x"), ("b", ""), ("b", "who: x")]


def test_a_message_to_who_gave_no_locale_carries_the_tenants() -> None:
    given = policy(defaults={"locale": "fr"})
    assert one(World(given, customer(profile=profile(locale=""))).event()).locale == "fr"


def test_of_many_rules_that_did_not_hold_the_last_sixteen_are_told_one_by_one() -> None:
    never = condition(lambda _: False)
    given = policy(*(rule(name=f"r{n}", when=never) for n in range(20)), rule(name="this", go_on=True))
    tried = World(given).event().decisions[0].rules_tried
    assert [(t.rule, t.truth, t.others) for t in tried[:2]] == [("", Truth.FALSE, 4), ("r4", Truth.FALSE, 0)]
    assert [t.rule for t in tried[1:]] == [*(f"r{n}" for n in range(4, 20)), "this"]


def test_rules_that_ask_for_another_value_are_told_as_one_line() -> None:
    given = policy(*(rule(name=f"r{n}") for n in range(3)))
    walk = replace(given.walks["outage"], candidates=lambda _: (2,), field="data.area")
    tried = World(replace(given, walks={"outage": walk})).event().decisions[0].rules_tried
    assert [(t.rule, t.truth, t.others) for t in tried] == [("", Truth.FALSE, 2), ("r2", Truth.TRUE, 0)]
