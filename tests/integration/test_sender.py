"""The sender as a real process on real Kafka, with the sandbox for provider."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from clarion.v1 import control_pb2, event_pb2, profile_pb2, send_pb2
from services.common import kafka as clients
from services.common.clock import WallClock
from services.common.topics import Topics
from services.control.records import FeedbackRecord
from services.policy.bundle import read_folder
from services.router.decision.model import Feedback
from services.senders import codec
from tests.support.following import Following, following
from tests.support.sending import HOUR, send_id
from tests.support.stack import POLICY, TENANT, Headers, Stack, running_stack
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

QUICK = {"CLARION_SENDER_TIMEOUT_S": "2", "CLARION_SENDER_LEASE_GRACE_S": "2.5"}
BULK = event_pb2.MESSAGE_CLASS_MARKETING
NORMAL = event_pb2.MESSAGE_CLASS_TRANSACTIONAL
CRITICAL = event_pb2.MESSAGE_CLASS_CRITICAL
LANES = {CRITICAL: "urgent", NORMAL: "normal", BULK: "bulk"}


def send(
    number: int, customer: str, urgency: event_pb2.MessageClass.ValueType = NORMAL, **changes: Any
) -> send_pb2.Send:
    """Return a send as the router writes it."""
    now = WallClock().now()
    data = {"order": f"O-{number}", "problem": "delayed", "fixed_by": "2027-01-01T00:00:00Z"}
    fields: dict[str, Any] = {
        "send_id": send_id(number),
        "decision_id": send_id(1_000_000 + number),
        "tenant": TENANT,
        "customer": customer,
        "channel": "email",
        "rule": "order-problem",
        "category": "order",
        "message_class": urgency,
        "template": "order_problem",
        "locale": "en",
        "timezone": "Europe/Berlin",
        "policy_hash": read_folder(POLICY).hash,
        "expire_time_us": now + HOUR,
        "decide_time_us": now,
        "event": event_pb2.Event(
            id=f"e{number}",
            source="oms",
            type="com.northwind.order.error",
            subject=f"O-{number}",
            tenant=TENANT,
            data=msgspec.json.encode(data),
        ),
        **changes,
    }
    return send_pb2.Send(**fields)


async def put(stack: Stack, sends: Iterable[send_pb2.Send]) -> None:
    by_lane: dict[str, list[tuple[bytes, bytes, Headers]]] = {}
    for one in sends:
        record: tuple[bytes, bytes, Headers] = (
            codec.customer_key(one.tenant, one.customer),
            one.SerializeToString(),
            [],
        )
        by_lane.setdefault(LANES[one.message_class], []).append(record)
    for lane, records in by_lane.items():
        await stack.write(stack.topics.sends("email", lane), records)


async def put_profiles(stack: Stack, customers: Iterable[str], **fields: Any) -> None:
    records: list[tuple[bytes, bytes, Headers]] = []
    for customer in customers:
        addresses = {"email": f"{customer}@example.org"}
        profile = profile_pb2.Profile(tenant=TENANT, customer=customer, **{"addresses": addresses, **fields})
        records.append((codec.customer_key(TENANT, customer), profile.SerializeToString(), []))
    await stack.write(stack.topics.profiles, records)


async def set_faults(stack: Stack, *faults: Mapping[str, Any]) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.put(f"{stack.sandbox.http}/v1/faults", json=list(faults))
        answer.raise_for_status()


async def message(stack: Stack, number: int) -> dict[str, Any]:
    """Return the one mail of a send, whole."""
    async with httpx2.AsyncClient() as client:
        listed = (await client.get(f"{stack.sandbox.http}/v1/messages", params={"limit": 1000})).json()["messages"]
        (found,) = [each for each in listed if each["idempotency_key"] == codec.name(send_id(number))]
        whole: dict[str, Any] = (await client.get(f"{stack.sandbox.http}/v1/messages/{found['number']}")).json()
        return whole


def ends(found: Following) -> dict[bytes, list[FeedbackRecord]]:
    by_send: dict[bytes, list[FeedbackRecord]] = {}
    for finding in found.feedback:
        if finding.parked or finding.outcome not in {Feedback.RETRY, Feedback.UNKNOWN}:
            by_send.setdefault(finding.send_id, []).append(finding)
    return by_send


def all_ended(sends: Sequence[send_pb2.Send], found: Following) -> bool:
    return {one.send_id for one in sends} <= ends(found).keys()


def some_ended(count: int, found: Following) -> bool:
    return len(ends(found)) >= count


async def test_a_send_becomes_a_mail_and_feedback(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await put_profiles(stack, ["ana"])
        await stack.start("sender")
        one = send(1, "ana", step=1)
        await put(stack, [one])
        await found.until(partial(all_ended, [one]))
        mail = await message(stack, 1)
        assert mail["subject"] == "Your order O-1: it comes later"
        assert "Your order O-1 is late." in mail["text"]
        assert "Your order O-1 is late." in mail["html"]
        (finding,) = found.feedback
        assert (finding.outcome, finding.attempt, finding.step, finding.provider) == (Feedback.ACCEPTED, 1, 1, "smtp")
        assert "ana" not in stack.log("sender")
        assert stack.stop("sender") == 0


async def test_each_send_meets_its_own_end(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await put_profiles(stack, ["ana", "ben", "cleo", "dora"])
        await put_profiles(stack, ["eve"], addresses={})
        await put_profiles(
            stack, ["finn"], suppressed=[profile_pb2.Suppression(channel="email", why=profile_pb2.SUPPRESSION_WHY_STOP)]
        )
        await stack.start("sender")
        await set_faults(
            stack,
            {"kind": "refuse", "to": "ben@"},
            {"kind": "accept_then_drop", "to": "cleo@", "times": 1},
            {"kind": "accept_then_drop", "to": "dora@", "times": 1},
        )
        sends = [
            send(1, "ana"),
            send(2, "ben"),
            send(3, "cleo"),
            send(4, "dora", CRITICAL),
            send(5, "eve"),
            send(6, "finn"),
            send(7, "ana", BULK),
            send(8, "ana", expire_time_us=WallClock().now() - 1),
            send(9, "ana", template="nothing_like_it"),
        ]
        await stack.write(topics.sends("email", "normal"), [(b"northwind|ana", b"\xff\xff", [])])
        await put(stack, sends)
        await found.until(partial(all_ended, sends))
        seen = {
            number: [(f.outcome.name, f.reason, f.parked) for f in found.feedback if f.send_id == send_id(number)]
            for number in range(1, 10)
        }
        assert seen == {
            1: [("ACCEPTED", "TAKEN 250 2.0.0", False)],
            2: [("REJECTED", "MESSAGE_REFUSED 550 5.1.1", False)],
            3: [("UNKNOWN", "CONNECTION_LOST", True)],
            4: [("UNKNOWN", "CONNECTION_LOST", False), ("ACCEPTED", "TAKEN 250 2.0.0", False)],
            5: [("SUPPRESSED", "NO_ADDRESS", False)],
            6: [("SUPPRESSED", "ADDRESS_SUPPRESSED", False)],
            7: [("SUPPRESSED", "NO_CONSENT", False)],
            8: [("EXPIRED", "EXPIRED", False)],
            9: [("REJECTED", "RENDER_ERROR", False)],
        }
        mails = Counter(mail.key for mail in await stack.mails())
        assert mails == {codec.name(send_id(1)): 1, codec.name(send_id(3)): 1, codec.name(send_id(4)): 2}
        assert await stack.metric("sender", 'clarion_sender_parked_total{channel="email"}') == 1
        assert await stack.metric("sender", 'clarion_sender_unknown_total{channel="email"}') == 2
        (letter,) = await dead_letters(kafka, topics)
        assert (letter.topic, letter.value, letter.reason) == (topics.sends("email", "normal"), b"\xff\xff", "POISON")


async def dead_letters(kafka: str, topics: Topics) -> list[control_pb2.DeadLetter]:
    consumer = AIOKafkaConsumer(**clients.consumer_settings(kafka, "test-dead-letters"))
    await consumer.start()
    try:
        tails = [TopicPartition(topics.dead_letters, number) for number in range(topics.partitions)]
        consumer.assign(tails)
        await consumer.seek_to_beginning(*tails)
        batches = await consumer.getmany(timeout_ms=2000)
        return [
            control_pb2.DeadLetter.FromString(each.value or b"") for records in batches.values() for each in records
        ]
    finally:
        await consumer.stop()


async def test_the_address_is_the_one_of_the_moment(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await put_profiles(stack, ["ana"])
        await stack.start("sender")
        for number, address in ((1, "ana@example.org"), (2, "new@example.org"), (3, "")):
            await put_profiles(stack, ["ana"], addresses={"email": address} if address else {})
            one = send(number, "ana")
            await put(stack, [one])
            await found.until(partial(all_ended, [one]))
        assert [(await message(stack, number))["to"] for number in (1, 2)] == [
            ["ana@example.org"],
            ["new@example.org"],
        ]
        assert [finding.outcome for finding in found.feedback][-1] is Feedback.SUPPRESSED


async def test_a_send_waits_for_the_policy_it_was_decided_by(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await put_profiles(stack, ["ana"])
        await stack.start("sender")
        one = send(1, "ana")
        await put(stack, [one])
        await found.until(lambda found: found.feedback)
        assert (found.feedback[0].outcome, found.feedback[0].reason) == (Feedback.RETRY, "NO_POLICY")
        await stack.activate()
        await found.until(partial(all_ended, [one]))
        assert found.feedback[-1].outcome is Feedback.ACCEPTED


async def test_kill_nine_in_the_middle_doubles_only_critical_messages(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    async with running_stack(kafka, topics, tmp_path, **QUICK) as stack, following(kafka, topics) as found:
        await stack.activate()
        customers = [f"c{number}" for number in range(40)]
        await put_profiles(stack, customers)
        await stack.start("sender")
        sends = [
            send(number, customers[number % 40], CRITICAL if number % 3 == 0 else NORMAL) for number in range(1, 601)
        ]
        await put(stack, sends)
        for share in (1, 2, 3):
            await found.until(partial(some_ended, share * 120))
            stack.kill("sender")
            await stack.start("sender")
        await found.until(partial(all_ended, sends))
        by_end = ends(found)
        mails = Counter(mail.key for mail in await stack.mails())
        unknown = Counter(f.send_id for f in found.feedback if f.outcome is Feedback.UNKNOWN)
        for one in sends:
            (end,) = by_end[one.send_id]
            mailed = mails[codec.name(one.send_id)]
            if one.message_class == CRITICAL:
                assert 1 <= mailed <= 1 + unknown[one.send_id]
            else:
                assert mailed <= 1
                assert mailed == 1 or end.parked
        assert stack.stop("sender") == 0
        assert len(await stack.mails()) == sum(mails.values())


async def test_a_restart_sends_nothing_again(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await put_profiles(stack, ["ana"])
        await stack.start("sender")
        first = [send(number, "ana") for number in range(1, 21)]
        await put(stack, first)
        await found.until(partial(all_ended, first))
        assert stack.stop("sender") == 0
        await stack.start("sender")
        last = send(21, "ana")
        await put(stack, [last])
        await found.until(partial(all_ended, [last]))
        assert Counter(mail.key for mail in await stack.mails()) == {
            codec.name(send_id(number)): 1 for number in range(1, 22)
        }


async def test_a_stop_waits_for_the_call_under_way(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await put_profiles(stack, ["ana", "ben"])
        await set_faults(stack, {"kind": "stall", "channel": "email", "to": "ana", "seconds": 9})
        await stack.start("sender")
        await put(stack, [send(1, "ana")])
        await wait_until_async(stack.mails)  # the provider has it, and says so much later
        # A pass waits five seconds for its calls; an answer to a later send shows that it has gone on without.
        later = send(2, "ben")
        await put(stack, [later])
        await found.until(partial(all_ended, [later]))
        assert found.settled() == {send_id(2)}
        assert stack.stop("sender") == 0
        await found.until(partial(all_ended, [send(1, "ana")]))
        assert [finding.outcome for finding in found.feedback] == [Feedback.ACCEPTED, Feedback.ACCEPTED]
