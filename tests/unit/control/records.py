"""Records for tests, one field changed at a time."""

from typing import Any

from msgspec.structs import replace

from services.control.records import (
    AcceptedEvent,
    DecisionRecord,
    FanOutRecord,
    FanOutStage,
    FeedbackRecord,
    Mail,
    ProfileChange,
    SendRecord,
)
from services.router.decision import ids
from services.router.decision.model import HOUR, SECOND, Feedback, Lifecycle, MessageClass, Outcome, Reason

NOON = 1_795_266_000_000_000  # 2026-11-21 13:00:00 UTC, a Saturday; 14:00 in Berlin
POLICY = "9f3c1a77"
ID = b"\x01" * 20
SEND_ID = b"\x02" * 20


def decision(**changes: Any) -> DecisionRecord:
    base = DecisionRecord(
        tenant="northwind",
        decision_id=ID,
        revision=0,
        step=0,
        terminal=True,
        source="oms",
        event_id="4711",
        event_type="com.northwind.order.error",
        subject="order-4711",
        lifecycle=Lifecycle.POINT,
        rule="order-problem",
        rule_place="rules/20-orders.yaml:4",
        customer="ana",
        category="order",
        message_class=MessageClass.TRANSACTIONAL,
        outcome=Outcome.SEND,
        reason=Reason.ALLOWED,
        channels=("email",),
        decided=NOON + 12_000,
        event_time=NOON - SECOND,
        accepted=NOON,
        expires=NOON + 2 * HOUR,
        plan="first [email]",
        policy_hash=POLICY,
        door="grpc",
        send_ids=(SEND_ID,),
        admitted=NOON + 12_000,
        admitted_channels=("email",),
        key="northwind|ana",
        partition=3,
        offset=8812,
    )
    return replace(base, **changes)


def not_sent(reason: Reason, outcome: Outcome = Outcome.SUPPRESSED, **changes: Any) -> DecisionRecord:
    nothing: dict[str, Any] = {"channels": (), "send_ids": (), "admitted": 0, "admitted_channels": ()}
    return decision(reason=reason, outcome=outcome, **(nothing | changes))


def feedback(outcome: Feedback = Feedback.ACCEPTED, **changes: Any) -> FeedbackRecord:
    base = FeedbackRecord(
        tenant="northwind",
        customer="ana",
        send_id=SEND_ID,
        decision_id=ID,
        source="oms",
        event_id="4711",
        rule="order-problem",
        channel="email",
        step=0,
        provider="smtp",
        outcome=outcome,
        hard=False,
        reason="",
        time=NOON + 50_000,
        attempt=1,
    )
    return replace(base, **changes)


def send(**changes: Any) -> SendRecord:
    base = SendRecord(
        tenant="northwind",
        customer="ana",
        send_id=SEND_ID,
        decision_id=ID,
        channel="email",
        lane="normal",
        message_class=MessageClass.TRANSACTIONAL,
    )
    return replace(base, **changes)


def fan_out(**changes: Any) -> FanOutRecord:
    base = FanOutRecord(
        fan_out_id=b"\x03" * 20,
        tenant="northwind",
        source="oms",
        event_id="4711",
        event_type="com.northwind.order.error",
        subject="order-4711",
        audience="everyone",
        partition=3,
        partitions=1,
        stage=FanOutStage.FINISHED,
        first_seen=NOON,
        started=NOON + SECOND,
        updated=NOON + 2 * SECOND,
        finished=NOON + 2 * SECOND,
        judged=1,
        counts=((Outcome.SEND, Reason.ALLOWED, 1),),
        cursor="ana",
    )
    return replace(base, **changes)


def mail(send_id: bytes = SEND_ID) -> Mail:
    return Mail(key=ids.text(send_id))


def accepted(event_id: str = "4711", offset: int = 0) -> AcceptedEvent:
    return AcceptedEvent("northwind", "oms", event_id, partition=3, offset=offset, accepted=NOON)


def change(patch: dict[str, Any] | None, *, accepted: int = NOON - HOUR, customer: str = "ana") -> ProfileChange:
    return ProfileChange("northwind", customer, patch, accepted)
