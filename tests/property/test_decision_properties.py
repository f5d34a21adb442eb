"""The promises of the decision core over invented histories: each is played once, and every judge looks at it."""

import subprocess
import sys
from collections import defaultdict
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.router.decision import quiet_hours
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Admission,
    Lifecycle,
    Outcome,
    Over,
    Part,
    QuietTimes,
    Reason,
    Window,
)
from tests.builders import NOON, World, customer, first, one, policy, rule
from tests.property import judges, ledgers
from tests.support.histories import History, play
from tests.support.invented import CLASSES, a_cap

HISTORIES, LONG, CHUNK = 20_000, 500_000, 500
GENTLE = 5  # every fifth history has nothing that could come between a customer and his message
STEPS = 14
randoms = st.randoms(use_true_random=False)
EXAMPLES = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

OF_EVERY_HISTORY: tuple[judges.Judge, ...] = (
    ledgers.at_every_admission_every_cap_had_room,
    ledgers.no_window_holds_more_messages_than_its_cap_allows,
    ledgers.a_key_is_told_once_in_its_window,
    judges.every_step_of_a_decision_ends_exactly_once,
    judges.no_message_is_sent_twice,
    judges.nothing_is_sent_in_quiet_hours_that_apply_to_it,
    judges.who_opted_out_is_not_written_to,
    judges.nothing_is_sent_after_it_expired,
    judges.who_was_told_and_can_be_reached_is_told_of_the_end,
    judges.no_update_follows_the_end_it_preceded,
    judges.no_next_step_follows_newer_news,
    judges.stops_and_pauses_are_obeyed,
    judges.each_hold_is_released,
    judges.who_is_forgotten_leaves_nothing_behind,
    judges.what_is_stored_can_be_read_again,
    judges.a_customer_who_was_written_and_read_again_is_decided_the_same,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        end = LONG if metafunc.config.getoption("--long") else HISTORIES
        chunks = [range(start, start + CHUNK) for start in range(0, end, CHUNK)]
        metafunc.parametrize("seeds", chunks, ids=[f"from-{c.start}" for c in chunks])


def seeded(seed: int, *, restarts: bool = False) -> History:
    return play(Random(seed), STEPS, gentle=seed % GENTLE == 0, restarts=restarts)  # noqa: S311 - a seed is what is wanted


def test_every_promise_is_kept(seeds: range) -> None:
    for seed in seeds:
        history = seeded(seed)
        for judge in OF_EVERY_HISTORY:
            try:
                judge(history)
            except AssertionError as broken:
                broken.add_note(f"seed {seed}: {judge.__name__}")
                raise


@EXAMPLES
@given(randoms, st.booleans())
def test_every_promise_is_kept_in_histories_that_hypothesis_finds(random: Random, gentle: bool) -> None:
    history = play(random, STEPS, gentle=gentle)
    for judge in OF_EVERY_HISTORY:
        judge(history)


@EXAMPLES
@given(randoms)
def test_more_admissions_never_turn_a_refusal_into_an_admission(random: Random) -> None:
    caps = tuple(a_cap(random, f"cap-{n}") for n in range(2))
    plain = policy(rule(plan=first("sms", "email")), caps=caps)
    ledger = sorted((_admission(random) for _ in range(random.randrange(6))), key=lambda a: a.time)
    more = sorted([*ledger, _admission(random)], key=lambda a: a.time)
    before = one(World(plain, customer(admissions=tuple(ledger))).event(lifecycle=Lifecycle.POINT))
    after = one(World(plain, customer(admissions=tuple(more))).event(lifecycle=Lifecycle.POINT))
    # Several caps may block; the first one names what happens (semantics 5). So another admission can turn a drop into
    # a way around by another channel that nothing had asked about, but never lets through what a cap refused.
    refused = {finding.channel for finding in before.caps if finding.blocked}
    assume(refused)
    assert refused.isdisjoint(send.channel for send in after.sends)
    assert "" not in refused or after.outcome is not Outcome.SEND
    if before.outcome is after.outcome is Outcome.HOLD and all(c.over is Over.DEFER for c in caps):
        assert after.due >= before.due


def _admission(random: Random) -> Admission:
    whole = Admission(
        NOON - random.choice((0, 1, 10 * MINUTE, HOUR, DAY - 1, DAY)),
        random.randbytes(4),
        _channels(random),
        random.choice(("outage", "order")),
        random.choice(CLASSES),
        random.choice(("outage", "order")),
        random.choice(("INC-7", "INC-8", "")),
    )
    parts = tuple(
        Part(_channels(random), "outage", random.choice(CLASSES), random.choice(("outage", "order")), "INC-7")
        for _ in range(random.choice((0, 0, 1, 2)))
    )
    return replace(whole, parts=parts)


def _channels(random: Random) -> tuple[str, ...]:
    return random.choice((("sms",), ("email",), ("sms", "email")))


@EXAMPLES
@given(
    st.sampled_from(("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "America/Santiago")),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.integers(NOON // MINUTE, (NOON + 400 * DAY) // MINUTE),
)
def test_quiet_hours_last_until_their_end_in_any_zone(zone: str, start: int, length: int, minute: int) -> None:
    times = QuietTimes(Window(start, (start + length) % 1440))
    now = minute * MINUTE
    end = quiet_hours.end(times, zone, now)
    assume(end)
    assert now < end <= now + 26 * HOUR
    assert quiet_hours.end(times, zone, end) == 0
    assert quiet_hours.end(times, zone, end - 1) == end
    assert quiet_hours.end(times, zone, (now + end) // 2) == end


def test_the_same_history_is_decided_the_same_again_also_by_a_router_that_starts_anew() -> None:
    for seed in range(300):
        once = seeded(seed).encoded()
        assert seeded(seed).encoded() == once
        assert seeded(seed, restarts=True).encoded() == once


SCRIPT = """
import sys
from random import Random
from tests.support.histories import play
for seed in range(60):
    sys.stdout.buffer.write(play(Random(seed)).encoded())
"""


def test_processes_with_other_hash_seeds_and_zones_decide_the_same_bytes() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "TZ": zone},
            check=True,
            capture_output=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 10_000


# What no event can bring about: input that cannot be decoded, and a policy that fails.
NOT_OF_THE_CORE = {Reason.POISON, Reason.POLICY_ERROR}


def test_the_histories_reach_every_reason() -> None:
    """A property over histories in which nothing happens would prove nothing."""
    reached: dict[Reason, int] = defaultdict(int)
    sorts: dict[str, int] = defaultdict(int)
    for seed in range(2_000):
        history = seeded(seed)
        for decision in history.decisions:
            reached[decision.reason] += 1
            sorts["next steps"] += decision.step > 0
        for step in history.log:
            sorts["digests of several"] += any(len(d.items) > 1 for d in step.result.digests)
            sorts[type(step.input).__name__] += 1
    assert {reason.name for reason in Reason if reason not in NOT_OF_THE_CORE and reached[reason] < 20} == set()
    assert {sort: count for sort, count in sorts.items() if count < 20} == {}
