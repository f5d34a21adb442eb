"""What one decision costs, in one process, without Kafka: microseconds of processor time, each
beside a baseline of the same rounds.

The full case: a policy of 100 rules over 40 event types, compiled from its files; a condition on the event and one on
the customer; quiet hours in the customer's zone; three caps (a channel, the customer with a reserve, a subject) over
ten admissions; the first channel capped, the second used; the whole trace. The baseline is one msgpack round trip of
the same event. Then the same with one thing changed, beside the full case, and what a check and the tests of a large
policy take. Customers differ, no result is used again, the garbage collector works as in production.
Run: `make bench-decision`, or `python -m bench.decision [--rounds N] [--events N]`.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, msgpack
from msgspec.structs import replace

from bench.policies import AMOUNT, bundle
from bench.stage import machine
from services.policy import check
from services.policy.compile import compile_policy
from services.policy.profiles import to_profile
from services.policy.testing import run as rule_tests
from services.router.decision.decide import decide, take
from services.router.decision.model import (
    HOUR,
    Admission,
    Customer,
    Event,
    EventInput,
    Lifecycle,
    MemberInput,
    MessageClass,
    Policy,
    Reason,
    Result,
    Severity,
    Subject,
)

NOW = 1_772_625_600_000_000  # 2026-03-04T12:00:00Z
ZONES = ("Europe/Berlin", "Europe/London", "America/Sao_Paulo", "Asia/Dubai")
TRIP, FULL = "msgpack round trip of the event", "full: 100 rules, 10 admissions"
SECONDS_OF_CHECK, SECONDS_OF_TESTS = 3, 20


class Case(Struct):
    """What is measured: `work` handles all `count` inputs once; `beside` names the case it is compared with."""

    name: str
    work: Callable[[], Any]
    count: int
    beside: str = ""


def event(number: int, **changes: Any) -> Event:
    plain = Event(
        tenant="bench",
        source="oms",
        id=f"e{number}",
        type="bench.t0",
        subject=f"INC-{number}",
        time=NOW,
        lifecycle=Lifecycle.OPENED,
        sequence=1,
        severity=Severity.INFO,
        expiry=None,
        customers=(f"c{number}",),
        data={"area": "Mitte", "feeder": "F-17", "amount": AMOUNT, "cause": "storm"},
        content_hash=b"0123456789abcdef0123",
        accepted=NOW,
    )
    return replace(plain, **changes)


def customer(number: int, admissions: int) -> Customer:
    document = {
        "addresses": {"sms": f"+4915{number:09}", "email": f"c{number}@example.org"},
        "timezone": ZONES[number % len(ZONES)],
        "channels": ["sms", "email"],
        "preferences": [{"category": "news", "channel": "sms", "value": "instant"}],
        "attributes": {"feeder": "F-17"},
    }
    name = f"c{number}"
    ledger = tuple(
        Admission(
            NOW - 20 * HOUR + at * (20 * HOUR // admissions) - number,
            f"{number}-{at}".encode(),
            ("sms",) if at % 2 else ("email",),
            "news",
            MessageClass.INFORMATIONAL,
            "r0",
            f"OLD-{at}",
        )
        for at in range(admissions)
    )
    subjects = {("oms", f"OLD-{n}"): Subject("oms", f"OLD-{n}", 1, last_event_time=NOW - HOUR) for n in range(3)}
    return Customer("bench", name, to_profile(name, document), ledger, subjects)


Story = list[tuple[EventInput, Customer, int]]


def story(events: int, admissions: int = 10, **changes: Any) -> Story:
    """Return events, each with its customer and the time of its decision."""
    return [
        (EventInput(event(n, **changes), None, (0, n)), customer(n, admissions), NOW + n * 1_000) for n in range(events)
    ]


def decided(given: Story, policy: Policy) -> None:
    for one, who, now in given:
        decide(one, policy, who, now)


def round_trips(given: Story) -> None:
    encode, decode = msgpack.Encoder().encode, msgpack.Decoder(Event).decode
    for one, _, _ in given:
        decode(encode(one.event))


def fanned_out(given: Story, policy: Policy) -> None:
    shared = EventInput(event(0, customers=(), everyone=True), None, (0, 0))
    taken = MemberInput(take(shared, policy, NOW))
    for _, who, now in given:
        decide(taken, policy, who, now)


def assert_full(result: Result) -> None:
    """Stop if something else is measured than is said."""
    (found,) = result.decisions
    assert [(v.channel, v.reason) for v in found.verdicts] == [
        ("sms", Reason.CAP_REACHED),
        ("email", Reason.ALLOWED),
    ], found
    assert [s.channel for s in found.sends] == ["email"]
    assert [c.cap for c in found.caps] == ["sms-a-day", "all-a-day", "one-subject"]
    assert found.local_time


def cases(events: int) -> list[Case]:
    given = story(events)
    full = compile_policy(bundle(100))
    three = {count: compile_policy(bundle(count, first=3)) for count in (10, 100, 1_000)}
    of_one_type = {count: compile_policy(bundle(count, types=1)) for count in (10, 100, 1_000)}
    for policy in (full, *of_one_type.values(), *three.values()):
        assert_full(decide(given[0][0], policy, given[0][1], NOW))
    outside = replace(full, caps=(), defaults=replace(full.defaults, quiet_hours=None))
    return [
        Case(TRIP, partial(round_trips, given), events),
        Case(FULL, partial(decided, given, full), events, TRIP),
        *(
            Case(f"{count} rules, 3 of the event's type", partial(decided, given, policy), events, FULL)
            for count, policy in three.items()
        ),
        *(
            Case(f"{count} rules of one type, the last matches", partial(decided, given, policy), events, FULL)
            for count, policy in of_one_type.items()
        ),
        Case("100 admissions", partial(decided, story(events, 100), full), events, FULL),
        Case("without caps and quiet hours", partial(decided, given, outside), events, FULL),
        Case("a member of a fan-out, event side shared", partial(fanned_out, given, full), events, FULL),
    ]


def measure(case: Case) -> float:
    since = time.process_time()
    case.work()
    return (time.process_time() - since) / case.count * 1e6


def report(measured: Sequence[tuple[Case, list[float]]]) -> None:
    rounds = {case.name: figures for case, figures in measured}
    print(f"{'':46}{'us, median (min-max)':>26}{'ratio, median (min-max)':>28}")
    for case, figures in measured:
        line = f"{case.name:46}{spread(figures, 1):>26}"
        if case.beside:
            ratios = [a / b for a, b in zip(figures, rounds[case.beside], strict=True)]
            line += f"{spread(ratios, 2):>28}"
        print(line)


def spread(figures: Sequence[float], digits: int) -> str:
    median, least, most = statistics.median(figures), min(figures), max(figures)
    return f"{median:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def seconds(work: Callable[[], Any]) -> float:
    since = time.process_time()
    work()
    return time.process_time() - since


def large_policies() -> None:
    """Print what a check and the tests of a large policy take; both grow with the policy, in no other way."""
    for rules in (100, 1_000):
        took = seconds(partial(check.check, bundle(rules)))
        print(f"policy check of {rules:5} rules: {took:5.1f} s (goal for 1000: {SECONDS_OF_CHECK} s)")
    for timelines in (100, 1_000):
        took = seconds(partial(all_pass, timelines))
        print(f"policy test of {timelines:5} timelines: {took:5.1f} s (goal for 1000: {SECONDS_OF_TESTS} s)")


def all_pass(timelines: int) -> None:
    assert rule_tests.run(bundle(100, timelines=timelines)).passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    measured: list[tuple[Case, list[float]]] = [(case, []) for case in cases(options.events)]
    for number in range(options.rounds + 1):
        for case, figures in measured:
            took = measure(case)
            if number:  # the first round warms up
                figures.append(took)
    print(machine())
    print(f"{options.events} decisions a round and case, {options.rounds} rounds after one to warm up")
    report(measured)
    large_policies()


if __name__ == "__main__":
    main()
