"""Records of the topics as values of this service.

A record of another kind (a pass record among decisions) gives None; a record that says nothing raises DecodeError.
An enumeration's number that this version does not know is an error, never a guess.
"""

import json

from clarion.v1 import control_pb2, decision_pb2, fanout_pb2, feedback_pb2, profile_pb2, send_pb2
from services.common.processor.ports import Record
from services.control.records import (
    AcceptedEvent,
    DecisionRecord,
    FanOutRecord,
    FanOutStage,
    FeedbackRecord,
    ProfileChange,
    SendRecord,
)
from services.router.decision.model import (
    CapFinding,
    Feedback,
    Lifecycle,
    MessageClass,
    Outcome,
    Reason,
    RuleTried,
    Truth,
    Verdict,
)


def decision(record: Record) -> DecisionRecord | None:
    """Return the decision that a record of `clarion.decisions.v1` holds, None for a pass record or a report."""
    if record.key is None or record.key.startswith(b"@"):
        return None
    wire = decision_pb2.Decision.FromString(record.value or b"")
    return DecisionRecord(
        tenant=wire.tenant,
        decision_id=wire.decision_id,
        revision=wire.revision,
        step=wire.step,
        terminal=wire.terminal,
        source=wire.source,
        event_id=wire.event_id,
        event_type=wire.event_type,
        subject=wire.subject,
        lifecycle=Lifecycle(wire.lifecycle or Lifecycle.POINT),
        rule=wire.rule,
        rule_place=wire.rule_place,
        customer=wire.customer,
        category=wire.category,
        message_class=_message_class(wire.message_class),
        outcome=Outcome(wire.outcome),
        reason=Reason(wire.reason),
        channels=tuple(wire.channels),
        decided=wire.decide_time_us,
        event_time=wire.event_time_us,
        accepted=wire.accept_time_us,
        expires=wire.expire_time_us,
        due=wire.due_time_us,
        verdicts=tuple(_verdict(verdict) for verdict in wire.verdicts),
        rules_tried=tuple(_rule_tried(tried) for tried in wire.rules_tried),
        caps=tuple(_cap_finding(finding) for finding in wire.caps),
        timezone=wire.timezone,
        local_time=wire.local_time,
        plan=wire.plan,
        policy_hash=wire.policy_hash,
        door=wire.door,
        traceparent=wire.traceparent,
        detail=wire.detail,
        send_ids=tuple(wire.send_ids),
        admitted=wire.admission.time_us,
        admitted_channels=tuple(wire.admission.channels),
        digest=wire.digest_id,
        key=record.key.decode(errors="replace"),
        partition=record.partition,
        offset=record.offset,
    )


def is_report(key: bytes | None) -> bool:
    """Whether a record is about a fan-out: one that ended, among the decisions, or one that runs, in the state."""
    return key is not None and (key == b"@fanout" or key.split(b"|", 3)[1:3] == [b"", b"progress"])


def fan_out(record: Record) -> FanOutRecord:
    """Return what a record says about a fan-out (see `is_report`)."""
    wire = fanout_pb2.FanOutReport.FromString(record.value or b"")
    return FanOutRecord(
        fan_out_id=wire.fan_out_id,
        tenant=wire.tenant,
        source=wire.source,
        event_id=wire.event_id,
        event_type=wire.event_type,
        subject=wire.subject,
        audience=wire.audience,
        partition=record.partition,
        partitions=wire.partitions,
        stage=FanOutStage(wire.state),
        first_seen=wire.first_seen_us,
        started=wire.start_time_us,
        updated=wire.update_time_us,
        finished=wire.finish_time_us,
        judged=wire.judged,
        pending=wire.pending,
        at_least=wire.pending_at_least,
        counts=tuple((Outcome(each.outcome), Reason(each.reason), each.count) for each in wire.counts),
        failed=wire.failed,
        cursor=wire.cursor,
        bulk=wire.bulk,
        detail=wire.detail,
    )


def feedback(record: Record) -> FeedbackRecord:
    """Return the finding that a record of `clarion.feedback.v1` holds."""
    wire = feedback_pb2.Feedback.FromString(record.value or b"")
    return FeedbackRecord(
        tenant=wire.tenant,
        customer=wire.customer,
        send_id=wire.send_id,
        decision_id=wire.decision_id,
        source=wire.source,
        event_id=wire.event_id,
        rule=wire.rule,
        channel=wire.channel,
        step=wire.step,
        provider=wire.provider,
        outcome=Feedback(wire.outcome),
        hard=wire.hard,
        reason=wire.reason,
        time=wire.time_us,
        parked=wire.parked,
        attempt=wire.attempt,
    )


def send(record: Record, lane: str) -> SendRecord:
    """Return the send that a record of one of the sends' topics holds."""
    wire = send_pb2.Send.FromString(record.value or b"")
    return SendRecord(
        tenant=wire.tenant,
        customer=wire.customer,
        send_id=wire.send_id,
        decision_id=wire.decision_id,
        channel=wire.channel,
        lane=lane,
        message_class=_message_class(wire.message_class),
    )


def change(record: Record) -> ProfileChange:
    """Return the change that a record of `clarion.changes.v1` holds."""
    wire = profile_pb2.Change.FromString(record.value or b"")
    accepted = wire.accept_time.ToMicroseconds() if wire.HasField("accept_time") else record.timestamp
    patch = None if wire.WhichOneof("kind") == "erase" else json.loads(wire.merge_patch)
    return ProfileChange(tenant=wire.tenant, customer=wire.customer, patch=patch, accepted=accepted)


def profile_timezone(value: bytes) -> str:
    """Return the zone that a record of `clarion.profiles.v1` names, empty for none."""
    return profile_pb2.Profile.FromString(value).timezone


def accepted_event(record: Record, default_tenant: str) -> AcceptedEvent:
    """Return the identity of an event record in CloudEvents binary mode."""
    headers = {name.lower(): (value or b"").decode(errors="replace") for name, value in record.headers}
    return AcceptedEvent(
        tenant=headers.get("ce_tenant") or default_tenant,
        source=headers.get("ce_source", ""),
        event_id=headers.get("ce_id", ""),
        partition=record.partition,
        offset=record.offset,
        accepted=record.timestamp,
    )


def dead_letter(record: Record) -> tuple[str, int, int]:
    """Return topic, partition and offset of the record that was put aside."""
    wire = control_pb2.DeadLetter.FromString(record.value or b"")
    return wire.topic, wire.partition, wire.offset


def _message_class(number: int) -> MessageClass | None:
    return MessageClass(number) if number else None


def _verdict(wire: decision_pb2.ChannelVerdict) -> Verdict:
    return Verdict(
        channel=wire.channel,
        reason=Reason(wire.reason),
        preference=wire.preference,
        preference_set=wire.preference_set_us,
        until=wire.until_us,
    )


def _rule_tried(wire: decision_pb2.RuleTried) -> RuleTried:
    truth = Truth.TRUE if wire.matched else Truth.ABSENT if wire.absent_field else Truth.FALSE
    return RuleTried(rule=wire.rule, place=wire.place, truth=truth, why=wire.why, others=wire.others)


def _cap_finding(wire: decision_pb2.CapFinding) -> CapFinding:
    return CapFinding(
        cap=wire.cap,
        channel=wire.channel,
        used=wire.used,
        limit=wire.limit,
        window=wire.window_us,
        blocked=wire.blocked,
        next_free=wire.next_free_us,
        used_times=tuple(wire.used_times_us),
        exempt=wire.exempt,
    )
