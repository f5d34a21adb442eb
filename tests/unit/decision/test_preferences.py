import itertools
from typing import Any

import pytest

from services.router.decision.model import (
    Address,
    Decision,
    Lock,
    MessageClass,
    Plan,
    Policy,
    Preference,
    Reason,
    Suppression,
    Value,
    Verdict,
)
from services.router.decision.preferences import furthest
from tests.builders import (
    NOON,
    World,
    category,
    channels,
    customer,
    ended,
    every,
    first,
    one,
    policy,
    profile,
    rule,
    verdicts,
    wish,
)

INSTANT, OFF = Value.INSTANT, Value.OFF
SMS_ONLY = policy(rule(plan=first("sms")))
REQUIRED = (category(required=True),)


def decide(given: Policy = SMS_ONLY, **changes: Any) -> Decision:
    return one(World(given, customer(profile=profile(**changes))).event())


def test_without_an_address_of_the_channel() -> None:
    assert ended(decide(addresses=(Address("email", "a@b"),))) == ("SUPPRESSED", "NO_ADDRESS")


@pytest.mark.parametrize("channel", ["sms", ""])
def test_a_suppressed_address_is_not_used(channel: str) -> None:
    gone = (Suppression(channel, "STOP"),)
    assert ended(decide(suppressed=gone)) == ("SUPPRESSED", "ADDRESS_SUPPRESSED")


@pytest.mark.parametrize("lock", [Lock("outage", "sms", "law"), Lock("", "sms", "law"), Lock("outage", "", "law")])
def test_a_lock_is_above_every_wish(lock: Lock) -> None:
    locked = policy(rule(plan=first("sms")), locks=(lock,))
    assert ended(decide(locked, preferences=(wish(INSTANT, "outage", "sms"),))) == ("SUPPRESSED", "LOCKED")


@pytest.mark.parametrize("lock", [Lock("offers", "sms", "law"), Lock("outage", "email", "law")])
def test_a_lock_of_something_else_does_not_matter(lock: Lock) -> None:
    assert ended(decide(policy(rule(plan=first("sms")), locks=(lock,)))) == ("SEND", "ALLOWED")


def test_a_required_category_passes_every_wish() -> None:
    given = policy(rule(plan=first("sms"), message_class=MessageClass.MARKETING), categories=REQUIRED)
    decision = decide(given, snoozed_until=NOON + 1, preferences=(wish(OFF, "outage", "sms"),))
    assert ended(decision) == ("SEND", "ALLOWED")
    assert decision.verdicts[0].preference == "required"


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"suppressed": (Suppression("sms", "STOP"),)}, {}),
        ({"addresses": ()}, {}),
        ({}, {"locks": (Lock("outage", "sms", "law"),)}),
    ],
)
def test_a_required_category_does_not_pass_what_is_above_wishes(changes: Any, given: Any) -> None:
    decision = decide(policy(rule(plan=first("sms")), categories=REQUIRED, **given), **changes)
    assert decision.outcome.name == "SUPPRESSED"


def test_a_required_category_uses_one_channel_the_preferred_first() -> None:
    given = policy(rule(plan=every("sms", "email")), categories=REQUIRED)
    assert channels(decide(given, channels=("email", "sms"))) == ("email",)


def test_a_required_category_uses_a_channel_that_is_off_only_as_the_last() -> None:
    given = policy(rule(plan=first("sms", "email")), categories=REQUIRED)
    assert channels(decide(given, preferences=(wish(OFF, "outage", "sms"),))) == ("email",)
    alone = decide(given, preferences=(wish(OFF, "outage", "sms"),), addresses=(Address("sms", "+49"),))
    assert channels(alone) == ("sms",)


def test_a_snoozed_customer_is_left_alone_until_then() -> None:
    assert ended(decide(snoozed_until=NOON + 1)) == ("SUPPRESSED", "SNOOZED")
    assert ended(decide(snoozed_until=NOON)) == ("SEND", "ALLOWED")


def test_snoozing_does_not_stop_critical() -> None:
    critical = policy(rule(message_class=MessageClass.CRITICAL))
    assert ended(decide(critical, snoozed_until=NOON + 1)) == ("SEND", "ALLOWED")


LADDER = [
    (wish(OFF, "outage", "sms", 11), "category x channel"),
    (wish(OFF, "outage", "", 12), "category"),
    (wish(OFF, "", "sms", 13), "channel"),
    (wish(OFF, "", "", 14), "everything"),
]


@pytest.mark.parametrize("step", range(4))
def test_the_more_particular_wish_wins(step: int) -> None:
    wanted, words = LADDER[step]
    weaker = tuple(wish(INSTANT, p.category, p.channel) for p, _ in LADDER[step + 1 :])
    off = decide(preferences=(*weaker, wanted))
    assert ended(off) == ("SUPPRESSED", "PREFERENCE_OFF")
    assert (off.verdicts[0].preference, off.verdicts[0].preference_set) == (words, 11 + step)
    against = tuple(wish(OFF, p.category, p.channel) for p, _ in LADDER[step + 1 :])
    assert ended(decide(preferences=(*against, wish(INSTANT, wanted.category, wanted.channel)))) == ("SEND", "ALLOWED")


def test_a_wish_for_something_else_does_not_matter() -> None:
    others = (wish(OFF, "offers", "sms"), wish(OFF, "offers"), wish(OFF, "", "email"), wish(OFF, "outage", "email"))
    decision = decide(preferences=others)
    assert ended(decision) == ("SEND", "ALLOWED")
    assert decision.verdicts[0].preference == "category default"


def test_the_tenants_default_stands_above_the_categorys_and_below_the_customers() -> None:
    sms_off: dict[str, Any] = {"preferences": (wish(OFF, "", "sms"),)}
    given = policy(rule(plan=first("sms")), defaults=sms_off)
    assert decide(given).verdicts[0].preference == "tenant default"
    assert ended(decide(given)) == ("SUPPRESSED", "PREFERENCE_OFF")
    assert ended(decide(given, preferences=(wish(INSTANT, "", "sms"),))) == ("SEND", "ALLOWED")


def test_a_category_that_is_off_must_be_wished_for() -> None:
    given = policy(rule(plan=first("sms")), categories=(category(default=OFF),))
    assert ended(decide(given)) == ("SUPPRESSED", "PREFERENCE_OFF")
    assert ended(decide(given, preferences=(Preference("outage", "", INSTANT),))) == ("SEND", "ALLOWED")


def test_marketing_needs_consent_whatever_is_wished() -> None:
    given = policy(rule(plan=first("sms"), message_class=MessageClass.MARKETING))
    wanted = (wish(INSTANT, "outage", "sms"),)
    assert ended(decide(given, preferences=wanted)) == ("SUPPRESSED", "NO_CONSENT")
    assert ended(decide(given, preferences=wanted, consents=("email",))) == ("SUPPRESSED", "NO_CONSENT")
    assert ended(decide(given, preferences=wanted, consents=("sms",))) == ("SEND", "ALLOWED")


def test_the_order_is_the_customers_then_the_plans() -> None:
    given = policy(rule(plan=every("push", "sms", "email")))
    assert channels(decide(given, channels=("email", "chat"))) == ("email", "push", "sms")
    assert channels(decide(given, channels=())) == ("sms", "email", "push")


def test_a_fixed_plan_keeps_its_own_order() -> None:
    given = policy(rule(plan=first("push", "sms", fixed=True)))
    assert channels(decide(given, channels=("sms", "push"))) == ("push",)


def test_the_reason_is_that_of_the_channel_that_came_furthest() -> None:
    given = policy(rule(plan=first("sms", "email", "push")))
    decision = decide(
        given,
        addresses=(Address("email", "a@b"), Address("push", "token")),
        preferences=(wish(OFF, "", "email"),),
        suppressed=(Suppression("push", "UNREGISTERED"),),
    )
    assert ended(decision) == ("SUPPRESSED", "PREFERENCE_OFF")
    assert verdicts(decision) == {"sms": "NO_ADDRESS", "email": "PREFERENCE_OFF", "push": "ADDRESS_SUPPRESSED"}


def test_a_plan_without_any_channel_of_the_customer_has_no_address() -> None:
    assert ended(decide(policy(rule(plan=first())))) == ("SUPPRESSED", "NO_ADDRESS")


FURTHER = ["STOPPED", "NO_ADDRESS", "ADDRESS_SUPPRESSED", "LOCKED", "SNOOZED", "PREFERENCE_OFF", "NO_CONSENT"]
FURTHER += ["QUIET_HOURS", "CAP_REACHED", "CHANNEL_FAILED"]


@pytest.mark.parametrize(("nearer", "further"), [*itertools.combinations(FURTHER, 2)])
def test_a_reason_stands_where_its_check_does(nearer: str, further: str) -> None:
    one_way = [Verdict("sms", Reason[nearer]), Verdict("email", Reason[further])]
    assert furthest(one_way) is Reason[further]
    assert furthest(one_way[::-1]) is Reason[further]


def test_without_a_channel_it_does_not_matter_that_it_is_too_late() -> None:
    given = policy(rule(plan=first("sms"), expires_after=1))
    late = World(given, customer(profile=profile(addresses=())))
    assert ended(one(late.event(time=NOON - 1))) == ("SUPPRESSED", "NO_ADDRESS")


def test_a_fixed_plan_of_all_channels_has_the_customers_order_where_one_is_required() -> None:
    given = policy(rule(plan=Plan(("sms", "email"), all=True, fixed=True)), categories=REQUIRED)
    assert channels(decide(given, channels=("email", "sms"))) == ("email",)
    given = policy(rule(plan=Plan(("sms", "email"), fixed=True)), categories=REQUIRED)
    assert channels(decide(given, channels=("email", "sms"))) == ("sms",)
