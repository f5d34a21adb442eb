"""The demo's day: its figures, what the doors and the policy make of it, and that a difference is seen."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.common.processor.ports import Record
from services.control.customers import (
    AT_NIGHT,
    COUNT,
    MANY_ORDERS,
    NO_ADDRESS,
    ON_FEEDER,
    ORDER_OFF,
    USAGE_MEASURED,
    DemoCustomer,
    customers,
)
from services.control.demo import expectations
from services.control.demo.scenario import Happening, Kind, day, malformed
from services.control.event_lines import read_events
from services.control.policies import example_folder
from services.ingest.check import Refused, Taken, check_event
from services.ingest.codec import event_record
from services.policy.bundle import read_folder
from services.policy.compile import compile_policy
from services.policy.profiles import merge, to_profile, violations
from services.router import codec
from services.router.decision.decide import decide
from services.router.decision.model import (
    DAY,
    HOUR,
    SECOND,
    Customer,
    Decision,
    Event,
    EventInput,
    Identity,
    Outcome,
    Per,
    Policy,
    Reason,
)
from tests.unit.control.records import NOON, decision

HOURS = [NOON + hour * HOUR for hour in range(0, 24, 5)]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return compile_policy(read_folder(example_folder()))


def test_the_200_are_different_people_with_roles_of_their_own() -> None:
    people = customers(NOON)
    assert len({each.id for each in people}) == COUNT
    assert sorted(each.role for each in people) == list(range(COUNT))
    assert sum(each.on_feeder for each in people) == len(ON_FEEDER)
    assert sum(not each.email for each in people) == len(NO_ADDRESS)
    assert people == customers(NOON)


def test_the_door_takes_every_customer() -> None:
    for each in customers(NOON):
        line = each.line()
        assert line.pop("customer") == each.id
        assert violations(msgspec.json.encode(line)) == ()


@pytest.mark.parametrize("now", HOURS)
def test_it_is_night_for_the_sleepers_alone_whatever_the_hour(now: int) -> None:
    asleep = {each.role for each in customers(now) if _sleeps(each, now)}
    assert asleep == set(AT_NIGHT)


def _sleeps(customer: DemoCustomer, now: int) -> bool:
    quiet = to_profile(customer.id, customer.line()).quiet_hours
    assert quiet is not None
    assert quiet.every is not None
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=now)
    local = moment.astimezone(ZoneInfo(customer.timezone))
    minute = local.hour * 60 + local.minute
    start, end = quiet.every.start, quiet.every.end
    return start <= minute < end if start < end else minute >= start or minute < end


def test_the_expectations_use_the_figures_of_the_example_policy(policy: Policy) -> None:
    caps = {cap.name: cap for cap in policy.caps}
    mails = caps["email-a-day"]
    assert (mails.per, mails.where_channel, mails.limit, mails.window) == (
        Per.CHANNEL,
        "email",
        expectations.MAILS_A_DAY,
        DAY,
    )
    holdout = policy.rules_by_name["offer"].holdout
    assert holdout is not None
    assert (holdout.salt, holdout.size) == ("holdout|offer", expectations.CONTROL_GROUP)


@pytest.mark.parametrize("now", HOURS[:2])
def test_the_policy_makes_of_the_day_what_is_expected(policy: Policy, now: int) -> None:
    """The doors take every event, and the core decides it as was reasoned without it."""
    happenings = day(customers(now), now)
    came = _decided(happenings, policy, now)
    assert came == expectations.expected(happenings)


def test_the_door_refuses_the_malformed_event(policy: Policy) -> None:
    line = malformed(customers(NOON), NOON)
    assert isinstance(_checked(line, policy), Refused)


def test_a_day_has_every_case_the_demo_tells_of() -> None:
    people = customers(NOON)
    happenings = day(people, NOON)
    assert len(happenings) == 1_190
    came = Counter(verdict for _, verdict in expectations.judged(happenings))
    assert came[expectations.FULL] == len(MANY_ORDERS)
    assert came[expectations.CLOSED] == len(ON_FEEDER)
    assert 0 < came[expectations.HELD_OUT] < COUNT // 4
    assert came[expectations.WAITS] > len(AT_NIGHT)
    assert came[expectations.WAITS_FOR_MORE] == len(USAGE_MEASURED)
    assert came[expectations.ASKED_BEFORE] == len(ORDER_OFF)
    assert came[Outcome.DUPLICATE, Reason.DUPLICATE] == 3
    assert came[Outcome.EXPIRED, Reason.EXPIRED] == 1
    assert {happening.kind for happening in happenings} == set(Kind)
    assert sum(expectations.mails(happenings).values()) == came[expectations.SENT] + came[expectations.CLOSED]


def test_what_came_out_otherwise_is_a_difference() -> None:
    wanted = {("oms", "4711"): Counter({expectations.SENT: 1}), ("oms", "4712"): Counter({expectations.WAITS: 1})}
    assert expectations.differences(wanted, [decision(), decision(event_id="4713", decision_id=b"\x08" * 20)]) == [
        "oms/4712: expected HOLD QUIET_HOURS, came nothing",
        "oms/4713: expected nothing, came SEND ALLOWED",
    ]
    twice = [decision(), decision(decision_id=b"\x08" * 20), decision(event_id="4712", decision_id=b"\x09" * 20)]
    assert expectations.differences(wanted, twice) == [
        "oms/4711: expected SEND ALLOWED, came SEND ALLOWED x2",
        "oms/4712: expected HOLD QUIET_HOURS, came SEND ALLOWED",
    ]


def _checked(line: object, policy: Policy) -> Taken | Refused:
    ((_, event),) = read_events([msgspec.json.encode(line)])
    assert not isinstance(event, tuple), event
    return check_event(event, lambda _: policy, "")


def _event(happening: Happening, policy: Policy, now: int) -> Event:
    taken = _checked(happening.line, policy)
    assert isinstance(taken, Taken), taken
    record = event_record(taken, "", "grpc")
    return codec.event(Record("events", 0, 0, now, record.key, record.value, record.headers), "")


def _decided(happenings: tuple[Happening, ...], policy: Policy, now: int) -> dict[tuple[str, str], Counter[object]]:
    states: dict[str, Customer] = {}
    seen: dict[tuple[str, str], Identity] = {}
    came: dict[tuple[str, str], Counter[object]] = {}
    for offset, happening in enumerate(happenings):
        person = happening.customer
        profile = to_profile(person.id, merge({}, {k: v for k, v in person.line().items() if k != "customer"}))
        state = states.get(person.id) or Customer("northwind", person.id, profile)
        event = _event(happening, policy, now)
        result = decide(
            EventInput(event, seen.get(happening.identity), (0, offset)), policy, state, now + offset * SECOND // 100
        )
        states[person.id] = result.customer
        if result.identity is not None:
            seen[happening.identity] = result.identity
        for made in result.decisions:
            came.setdefault(happening.identity, Counter())[_verdict(made)] += 1
    return came


def _verdict(made: Decision) -> tuple[Outcome, Reason]:
    return made.outcome, made.reason
