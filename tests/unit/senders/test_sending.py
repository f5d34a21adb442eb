import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from google.protobuf.json_format import SerializeToJsonError
from structlog.testing import capture_logs

from clarion.v1 import control_pb2, feedback_pb2
from services.common.clock import iso
from services.common.processor.ports import Batch, Record
from services.senders import codec, sending
from services.senders.ledger import Intent, Parked, Result, Waiting
from services.senders.message import Letter, Message
from services.senders.outcome import Kind, Outcome
from services.senders.send import Choice, Recipient, Send, Wish
from services.senders.sending import Sending
from tests.support.sending import (
    HOUR,
    SECOND,
    START,
    TOPICS,
    Answer,
    CrashError,
    Outside,
    Provider,
    Writer,
    send,
    send_id,
    wire,
)
from tests.support.waiting import wait_until_async

URGENT = TOPICS.sends("email", "urgent")


def name(number: int) -> str:
    return codec.name(send_id(number))


def findings(outside: Outside, number: int = 1) -> list[tuple[str, str, bool]]:
    outcome = feedback_pb2.DeliveryOutcome
    return [
        (outcome.Name(found.outcome).removeprefix("DELIVERY_OUTCOME_"), found.reason, found.parked)
        for found in outside.ledger.feedback()
        if found.send_id == send_id(number)
    ]


def calls(outside: Outside) -> list[str]:
    return [key for key, _ in outside.provider.calls]


async def test_a_send_is_called_once_and_reported() -> None:
    outside = Outside()
    outside.put(send(step=2))
    await outside.run()
    assert outside.provider.accepted == [name(1)]
    assert outside.ledger.feedback() == [
        feedback_pb2.Feedback(
            tenant="northwind",
            customer="ana",
            send_id=send_id(1),
            decision_id=send_id(1_000_001),
            source="oms",
            event_id="e1",
            rule="order-problem",
            channel="email",
            step=2,
            provider="pretend",
            outcome=feedback_pb2.DELIVERY_OUTCOME_ACCEPTED,
            reason="TAKEN",
            time_us=START,
            attempt=1,
        )
    ]
    assert [write.key for write in outside.ledger.outputs] == [b"northwind|ana"]
    assert outside.ledger.positions == {TOPICS.sends("email", "normal"): 1}


async def test_the_intent_is_committed_before_the_call_and_the_position_is_not() -> None:
    outside = Outside()
    seen = []

    def look(key: str) -> None:
        entry = codec.decode_entry(outside.ledger.values[f"normal|{key}".encode()])
        seen.append((type(entry), dict(outside.ledger.positions)))

    outside.provider.before_call = look
    outside.put(send())
    await outside.run()
    assert seen == [(Intent, {})]


async def test_what_the_ledger_knows_is_not_sent_again() -> None:
    outside = Outside()
    outside.put(send(), send())
    await outside.run()
    outside.put(send())
    await outside.run()
    assert outside.provider.accepted == [name(1)]
    assert outside.registry.get_sample_value("clarion_sender_duplicates_prevented_total", {"channel": "email"}) == 2


async def test_an_expired_send_is_reported_and_not_called() -> None:
    outside = Outside()
    outside.put(send(expires=START))
    await outside.run()
    assert calls(outside) == []
    assert findings(outside) == [("EXPIRED", "EXPIRED", False)]


@pytest.mark.parametrize(
    ("recipient", "reason"),
    [
        (None, "NO_ADDRESS"),
        (Recipient("ana"), "NO_ADDRESS"),
        (Recipient("ana", "ana@example.org", suppressed=True), "ADDRESS_SUPPRESSED"),
        (Recipient("ana", "ana@example.org", wishes=(Wish("", "email", Choice.OFF),)), "PREFERENCE_OFF"),
        (Recipient("ana", "ana@example.org", consents=False), "NO_CONSENT"),
    ],
)
async def test_what_the_customer_said_since_wins(recipient: Recipient | None, reason: str) -> None:
    outside = Outside()
    outside.people.known["ana"] = recipient
    outside.put(send(marketing=True, lane="bulk"))
    await outside.run()
    assert calls(outside) == []
    assert findings(outside) == [("SUPPRESSED", reason, False)]


async def test_a_message_that_cannot_be_made_is_rejected_and_stops_nobody() -> None:
    outside = Outside()
    outside.put(send(1, template="unfit"), send(2))
    await outside.run()
    assert findings(outside, 1) == [("REJECTED", "RENDER_ERROR", False)]
    assert outside.provider.accepted == [name(2)]


async def test_a_hard_refusal_is_reported_as_hard() -> None:
    outside = Outside()
    outside.provider.script = [Answer.REJECT]
    outside.put(send())
    await outside.run()
    (finding,) = outside.ledger.feedback()
    assert (finding.hard, finding.reason) == (True, "ADDRESS_REFUSED 550")


async def test_a_send_is_tried_again_until_it_is_taken() -> None:
    outside = Outside()
    outside.provider.script = [Answer.TRY_LATER] * 3
    outside.put(send())
    await outside.run()
    assert [found[0] for found in findings(outside)] == ["RETRY", "RETRY", "RETRY", "ACCEPTED"]
    assert [found.attempt for found in outside.ledger.feedback()] == [1, 2, 3, 4]


async def test_a_send_is_tried_again_until_it_expires() -> None:
    outside = Outside()
    outside.provider.script = [Answer.TRY_LATER] * 99
    outside.put(send(expires=START + HOUR))
    await outside.run()
    assert [found[0] for found in findings(outside)][-1] == "EXPIRED"
    assert all(at < START + HOUR for _, at in outside.provider.calls)
    assert outside.ledger.feedback()[-1].time_us == START + HOUR


async def test_a_send_in_retry_does_not_hold_the_position_and_survives_a_restart() -> None:
    outside = Outside()
    outside.provider.script = [Answer.TRY_LATER]
    outside.put(send())
    await outside.run(until=START + 1)
    assert outside.ledger.positions == {TOPICS.sends("email", "normal"): 1}
    assert isinstance(codec.decode_entry(outside.ledger.values[codec.ledger_key("normal", send_id(1))]), Waiting)
    await outside.run()
    assert outside.provider.accepted == [name(1)]


async def test_a_policy_that_is_not_here_is_waited_for() -> None:
    outside = Outside()
    outside.writer.missing_policies = {"cafe"}
    outside.put(send(1), send(2, policy_hash="beef", customer="ben"))
    await outside.run(until=START + 1)
    assert outside.provider.accepted == [name(2)]
    outside.writer.missing_policies = set()
    await outside.run()
    assert outside.provider.accepted == [name(2), name(1)]
    assert findings(outside) == [("RETRY", "NO_POLICY", False), ("ACCEPTED", "TAKEN", False)]


async def test_a_profile_that_cannot_be_read_is_tried_again() -> None:
    outside = Outside()
    outside.people.unreadable = {"ana"}
    outside.put(send(expires=START + HOUR))
    await outside.run()
    assert calls(outside) == []
    assert {found[:2] for found in findings(outside)} == {("RETRY", "UNREADABLE_PROFILE"), ("EXPIRED", "EXPIRED")}


@pytest.mark.parametrize("answer", [Answer.DROP_AFTER, Answer.DROP_BEFORE])
async def test_after_an_unknown_outcome_a_message_is_parked(answer: Answer) -> None:
    outside = Outside()
    outside.provider.script = [answer]
    outside.put(send())
    await outside.run()
    assert calls(outside) == [name(1)]
    assert findings(outside) == [("UNKNOWN", "CONNECTION_LOST", True)]
    assert outside.registry.get_sample_value("clarion_sender_parked_total", {"channel": "email"}) == 1
    assert outside.registry.get_sample_value("clarion_sender_unknown_total", {"channel": "email"}) == 1


async def test_after_an_unknown_outcome_a_critical_message_is_sent_again() -> None:
    outside = Outside()
    outside.provider.script = [Answer.DROP_AFTER]
    outside.put(send(critical=True, lane="urgent"))
    await outside.run()
    assert outside.provider.accepted == [name(1), name(1)]
    assert findings(outside) == [("UNKNOWN", "CONNECTION_LOST", False), ("ACCEPTED", "TAKEN", False)]


async def test_a_critical_message_that_may_have_arrived_does_not_end_as_expired() -> None:
    outside = Outside()
    outside.provider.script = [Answer.DROP_AFTER, *([Answer.TRY_LATER] * 99)]
    outside.put(send(critical=True, lane="urgent", expires=START + HOUR))
    await outside.run()
    assert findings(outside)[-1] == ("UNKNOWN", "EXPIRED", True)
    assert isinstance(codec.decode_entry(outside.ledger.values[codec.ledger_key("urgent", send_id(1))]), Parked)


@pytest.mark.parametrize("crash", [Answer.CRASH_AFTER, Answer.CRASH_BEFORE])
async def test_a_call_that_a_crash_cut_off_is_parked_after_the_grace(crash: Answer) -> None:
    outside = Outside()
    outside.provider.script = [crash]
    outside.put(send())
    await outside.run()
    assert calls(outside) == [name(1)]
    assert findings(outside) == [("UNKNOWN", "INTERRUPTED", True)]
    assert outside.ledger.feedback()[0].time_us >= START + 45 * SECOND


@pytest.mark.parametrize("crash", [Answer.CRASH_AFTER, Answer.CRASH_BEFORE])
async def test_a_critical_call_that_a_crash_cut_off_is_made_again_after_the_grace(crash: Answer) -> None:
    outside = Outside()
    outside.provider.script = [crash]
    outside.put(send(critical=True, lane="urgent"))
    await outside.run()
    assert calls(outside) == [name(1), name(1)]
    assert outside.provider.calls[1][1] >= START + 45 * SECOND
    assert findings(outside) == [("UNKNOWN", "INTERRUPTED", False), ("ACCEPTED", "TAKEN", False)]


async def test_a_lost_intent_means_no_call() -> None:
    outside = Outside()
    outside.ledger.lost = frozenset({1})
    outside.put(send())
    await outside.run()
    assert (outside.crashes, calls(outside)) == (1, [name(1)])
    assert findings(outside) == [("ACCEPTED", "TAKEN", False)]


async def test_a_handler_that_is_thrown_away_gives_its_slots_back() -> None:
    for crash in ("lost", "unclear", "called"):
        outside = Outside()
        outside.provider.script = [Answer.STALL] if crash == "called" else []
        outside.ledger.lost = frozenset({1} if crash == "lost" else ())
        outside.ledger.unclear = frozenset({1} if crash == "unclear" else ())
        outside.put(send(1), send(2), send(3, customer="ben"))
        outside.patience = 0.01
        async with asyncio.TaskGroup() as tasks:
            desk = outside.desk(tasks)
            handler = Sending(desk, outside.people, outside.ledger, outside.ledger)
            with suppress(CrashError):
                await handler.process(outside.batch())
            await handler.close()
            await wait_until_async(lambda: desk.slots.free == 4)  # noqa: B023  # waited for at once


async def test_a_message_waits_for_the_result_of_the_one_before_it() -> None:
    outside = Outside()
    outside.provider.script = [Answer.TRY_LATER, Answer.TRY_LATER]
    outside.put(send(1, subject="INC-7"), send(2, subject="INC-7", after=send_id(1)), send(3, customer="ben"))
    await outside.run()
    assert outside.provider.accepted == [name(3), name(1), name(2)]


async def test_one_stalled_call_stops_no_others_and_its_answer_is_taken_later() -> None:
    outside = Outside()
    outside.patience = 0.01
    outside.provider.script = [Answer.STALL]
    outside.put(send(1), send(2, customer="ben"))
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(outside.run(until=START + HOUR))
        await wait_until_async(lambda: name(2) in outside.provider.accepted)
        await wait_until_async(lambda: outside.ledger.positions)
        outside.provider.stalled.set()
        await run
    assert outside.provider.accepted == [name(2), name(1)]
    assert findings(outside) == [("ACCEPTED", "TAKEN", False)]


async def test_a_call_under_way_is_waited_for_when_the_partition_is_given_up_in_peace() -> None:
    outside = Outside()
    outside.patience = 0.01
    outside.provider.script = [Answer.STALL]
    outside.put(send(1))
    async with asyncio.TaskGroup() as tasks:
        handler = Sending(outside.desk(tasks), outside.people, outside.ledger, outside.ledger)
        await handler.process(outside.batch())
        draining = tasks.create_task(handler.drain())
        outside.provider.stalled.set()
        await draining
        await handler.close()
    assert findings(outside) == [("ACCEPTED", "TAKEN", False)]


async def test_calls_of_one_customer_are_made_one_after_the_other() -> None:
    outside = Outside()
    outside.put(*(send(number) for number in range(1, 8)))
    busy: list[str] = []

    def look(key: str) -> None:
        assert len(busy) == len(outside.provider.accepted)
        busy.append(key)

    outside.provider.before_call = look
    await outside.run()
    assert calls(outside) == [name(number) for number in range(1, 8)]


async def test_urgent_messages_go_first() -> None:
    outside = Outside()
    outside.put(*(send(number, customer=f"c{number}", lane="bulk") for number in range(1, 100)))
    outside.put(send(100, lane="urgent"))
    await outside.run()
    assert calls(outside)[0] == name(100)


async def test_nothing_is_called_on_a_profile_that_is_too_old() -> None:
    outside = Outside()

    def slow(_: str) -> None:
        outside.clock.time += 2 * SECOND

    outside.provider.before_call = slow
    refreshed: list[int] = []
    refresh = outside.people.refresh

    async def noted() -> None:
        refreshed.append(outside.clock.now())
        await refresh()

    outside.people.refresh = noted  # type: ignore[method-assign]
    outside.put(*(send(number) for number in range(1, 6)))
    await outside.run()
    assert outside.provider.accepted == [name(number) for number in range(1, 6)]
    for _, at in outside.provider.calls:
        assert any(at - 2 * SECOND - instant < sending.FRESH for instant in refreshed if instant <= at)
    assert len(refreshed) >= 3


@pytest.mark.parametrize("value", [b"\xff\xff\xff", b"", None])
async def test_a_send_that_nobody_can_read_becomes_a_dead_letter(value: bytes | None) -> None:
    outside = Outside()
    outside.put_bytes("urgent", value)
    outside.put(send(1, lane="urgent"))
    await outside.run()
    (write,) = [write for write in outside.ledger.outputs if write.topic == TOPICS.dead_letters]
    letter = control_pb2.DeadLetter.FromString(write.value or b"")
    assert (letter.topic, letter.offset, letter.reason, letter.value) == (URGENT, 0, "POISON", value or b"")
    assert letter.service == "sender-email"
    assert outside.provider.accepted == [name(1)]
    assert outside.ledger.positions == {URGENT: 2}


def content_is_broken(outside: Outside) -> None:
    class Broken(Writer):
        def letter(self, send: Send, recipient: Recipient) -> Letter | Outcome:
            if send.template == "broken":
                raise SerializeToJsonError("private")
            return super().letter(send, recipient)

    outside.writer = Broken()


def composing_is_broken(outside: Outside) -> None:
    class Broken(Provider):
        def compose(self, letter: Letter) -> Message | Outcome:
            if letter.headline == "broken":
                raise OverflowError("private")
            return super().compose(letter)

    outside.provider = Broken(outside.clock)


@pytest.mark.parametrize("break_it", [content_is_broken, composing_is_broken])
async def test_a_send_on_which_rendering_breaks_ends_and_the_others_go(break_it: Callable[[Outside], None]) -> None:
    outside = Outside()
    break_it(outside)
    outside.put(send(1, template="broken"), send(2))
    with capture_logs() as logs:
        await outside.run()
    assert findings(outside, 1) == [("REJECTED", "RENDER_ERROR", False)]
    assert findings(outside, 2) == [("ACCEPTED", "TAKEN", False)]
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert warning["error"] in {"SerializeToJsonError", "OverflowError"}
    assert "private" not in str(logs)


@pytest.mark.parametrize("value", [b"\xff" * 1_000_000, wire(send(customer="x" * 1_000_000))])
async def test_whatever_a_stranger_writes_makes_a_dead_letter_that_fits_into_a_record(value: bytes) -> None:
    outside = Outside()
    headers = (("h", None), *((f"name-{number}" * 100, b"x" * 1000) for number in range(900)))
    topic = TOPICS.sends("email", "urgent")
    outside.inputs[topic].append(Record(topic, 0, 0, START, b"k" * 900_000, value, headers))
    outside.put(send(1))
    await outside.run()
    (write,) = [write for write in outside.ledger.outputs if write.topic == TOPICS.dead_letters]
    assert len(write.key) + len(write.value or b"") < 150_000
    letter = control_pb2.DeadLetter.FromString(write.value or b"")
    assert (letter.truncated, letter.key, letter.service) == (True, write.key, "sender-email")
    assert outside.provider.accepted == [name(1)]


async def test_a_send_for_another_channel_becomes_a_dead_letter() -> None:
    outside = Outside()
    outside.put(send(channel="sms"))
    await outside.run()
    assert [write.topic for write in outside.ledger.outputs] == [TOPICS.dead_letters]
    assert calls(outside) == []


async def test_what_ended_a_week_ago_is_forgotten_a_little_at_a_time() -> None:
    outside = Outside()
    outside.put(*(send(number, customer=f"c{number}") for number in range(1, 301)))
    await outside.run()
    assert len(outside.ledger.values) == 300
    assert {type(codec.decode_entry(value)) for value in outside.ledger.values.values()} == {Result}
    await outside.run(until=START + sending.KEPT)
    assert len(outside.ledger.values) == 300
    commits = outside.ledger.commits
    await outside.run(until=START + sending.KEPT + HOUR)
    assert outside.ledger.values == {}
    assert outside.ledger.commits == commits + 2


async def test_no_transaction_is_made_when_nothing_happened() -> None:
    outside = Outside()
    async with asyncio.TaskGroup() as tasks:
        handler = Sending(outside.desk(tasks), outside.people, outside.ledger, outside.ledger)
        await handler.process(Batch(1, START, {}))
        await handler.close()
    assert outside.ledger.commits == 0
    assert handler.next_due() is None


async def test_every_series_exists_from_the_start() -> None:
    outside = Outside()
    for kind in Kind:
        labels = {"channel": "email", "outcome": kind.name}
        assert outside.registry.get_sample_value("clarion_sender_outcomes_total", labels) == 0
    assert outside.registry.get_sample_value("clarion_sender_in_flight", {"channel": "email"}) == 0


async def test_open_sends_are_counted_up_and_down() -> None:
    outside = Outside()
    outside.provider.script = [Answer.TRY_LATER]
    outside.put(send(1), send(2))
    gauges = []
    outside.provider.before_call = lambda _: gauges.append(
        outside.registry.get_sample_value("clarion_sender_open_sends", {"channel": "email"})
    )
    await outside.run()
    assert outside.registry.get_sample_value("clarion_sender_open_sends", {"channel": "email"}) == 0
    assert gauges[-1] == 1, iso(outside.clock.now())
