"""The promises of a sender at any point of failure: each send ends once, and doubles only where nobody could know.

The world is the one of tests/support/sending.py; hypothesis chooses sends, answers of the provider, commits that fail
before or after they were applied, and calls in which the process dies.
"""

import asyncio
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from clarion.v1 import feedback_pb2
from services.senders import codec, ledger
from services.senders.outcome import Kind
from services.senders.send import Recipient, Send
from tests.support.sending import HOUR, SECOND, START, Answer, Outside, send, send_id

CUSTOMERS = ("ana", "ben", "eve", "nobody")


class World(Struct, frozen=True):
    sends: tuple[Send, ...]
    answers: tuple[Answer, ...]
    lost: frozenset[int]
    unclear: frozenset[int]
    portion: int


@st.composite
def some_sends(draw: st.DrawFn) -> tuple[Send, ...]:
    last: dict[tuple[str, str], bytes] = {}
    made = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        customer, subject = draw(st.sampled_from(CUSTOMERS)), draw(st.sampled_from(("", "INC-1", "INC-2")))
        critical, marketing = draw(st.sampled_from(((True, False), (False, False), (False, True))))
        made.append(
            send(
                number,
                customer=customer,
                subject=subject,
                after=last.get((customer, subject), b"") if subject else b"",
                critical=critical,
                marketing=marketing,
                lane="urgent" if critical else "bulk" if marketing else "normal",
                template=draw(st.sampled_from(("order_problem",) * 9 + ("unfit",))),
                expires=START + draw(st.sampled_from((0, 20 * SECOND, HOUR, 30 * HOUR))),
            )
        )
        last[customer, subject] = send_id(number)
    return tuple(made)


WORLDS = st.builds(
    World,
    sends=some_sends(),
    answers=st.lists(st.sampled_from([answer for answer in Answer if answer is not Answer.STALL]), max_size=12).map(
        tuple
    ),
    lost=st.frozensets(st.integers(1, 12), max_size=4),
    unclear=st.frozensets(st.integers(1, 12), max_size=4),
    portion=st.integers(1, 5),
)
CALM = WORLDS.map(
    lambda world: World(
        world.sends,
        tuple(a for a in world.answers if a not in {Answer.CRASH_BEFORE, Answer.CRASH_AFTER}),
        frozenset(),
        frozenset(),
        world.portion,
    )
)
RUNS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def played(world: World) -> Outside:
    outside = Outside()
    outside.people.known = {
        "nobody": None,
        "ben": Recipient("ben", "ben@example.org", consents=True),
    }
    outside.provider.script = list(world.answers)
    outside.ledger.lost, outside.ledger.unclear = world.lost, world.unclear
    outside.put(*world.sends)
    asyncio.run(outside.run(portion=world.portion))
    return outside


def the_end(outside: Outside, one: Send) -> feedback_pb2.Feedback:
    ends = outside.ends().get(one.send_id, [])
    assert len(ends) == 1, f"{len(ends)} ends"
    return ends[0]


@RUNS
@given(WORLDS)
def test_every_send_ends_exactly_once(world: World) -> None:
    outside = played(world)
    for one in world.sends:
        the_end(outside, one)
        entry = codec.decode_entry(outside.ledger.values[codec.ledger_key(one.lane, one.send_id)])
        assert isinstance(entry, ledger.Result | ledger.Parked)


@RUNS
@given(WORLDS)
def test_a_message_doubles_only_after_an_unknown_outcome_of_class_critical(world: World) -> None:
    outside = played(world)
    accepted = Counter(outside.provider.accepted)
    unknown = Counter(
        codec.name(found.send_id)
        for found in outside.ledger.feedback()
        if found.outcome == feedback_pb2.DELIVERY_OUTCOME_UNKNOWN and not found.parked
    )
    for one in world.sends:
        name = codec.name(one.send_id)
        assert accepted[name] <= (1 + unknown[name] if one.critical else 1)


@RUNS
@given(WORLDS)
def test_an_end_says_what_happened(world: World) -> None:
    outside = played(world)
    accepted = Counter(outside.provider.accepted)
    for one in world.sends:
        end, name = the_end(outside, one), codec.name(one.send_id)
        match Kind(int(end.outcome)):
            case Kind.ACCEPTED:
                assert accepted[name] >= 1
            case Kind.EXPIRED | Kind.SUPPRESSED:
                assert accepted[name] == 0
            case Kind.REJECTED:
                assert one.critical or accepted[name] == 0
            case Kind.UNKNOWN:
                assert end.parked
            case Kind.RETRY:
                raise AssertionError("RETRY is no end")


@RUNS
@given(WORLDS)
def test_no_call_starts_at_or_after_expiry(world: World) -> None:
    outside = played(world)
    expires = {codec.name(one.send_id): one.expires for one in world.sends}
    assert all(at < expires[name] for name, at in outside.provider.calls)


@RUNS
@given(WORLDS)
def test_a_message_never_overtakes_the_one_before_it_on_its_subject(world: World) -> None:
    outside = Outside()
    by_name = {codec.name(one.send_id): one for one in world.sends}
    by_id = {one.send_id: one for one in world.sends}

    def look(name: str) -> None:
        before = by_id.get(by_name[name].after)
        assert before is None or before.send_id in outside.ends() or before.expires <= outside.clock.now()

    outside.provider.before_call = look
    outside.provider.script = list(world.answers)
    outside.ledger.lost, outside.ledger.unclear = world.lost, world.unclear
    outside.put(*world.sends)
    asyncio.run(outside.run(portion=world.portion))


@RUNS
@given(CALM)
def test_first_tries_of_a_customer_leave_in_order_of_decision(world: World) -> None:
    outside = played(world)
    firsts = list(dict.fromkeys(name for name, _ in outside.provider.calls))
    for lane in ("urgent", "normal", "bulk"):
        for customer in CUSTOMERS:
            decided = [codec.name(o.send_id) for o in world.sends if (o.lane, o.customer) == (lane, customer)]
            assert [name for name in firsts if name in decided] == [name for name in decided if name in firsts]
