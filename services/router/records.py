"""Values -> wire: the records that the router writes.

Decisions, sends, profiles and pass records; no address ever gets into a send.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from clarion.v1 import decision_pb2, event_pb2, profile_pb2, send_pb2
from services.common.processor.ports import Record
from services.router.decision.model import (
    HOUR,
    Customer,
    Decision,
    Digest,
    Event,
    MessageClass,
    Profile,
    QuietTimes,
    Send,
    Window,
)

ENGINE_VERSION = "2"
# Name of the template of digests; stands for the rule in their records.
DIGEST = "digest"
LANES = {
    MessageClass.CRITICAL: "urgent",
    MessageClass.TRANSACTIONAL: "normal",
    MessageClass.INFORMATIONAL: "normal",
    MessageClass.MARKETING: "bulk",
}
_encode_canonical = msgspec.json.Encoder(order="deterministic").encode


class Chunk(Struct, frozen=True, gc=False):
    """What one pass took of a fan-out: the customers behind `after` up to `last`."""

    offset: int
    after: str
    last: str
    members: int
    ended: bool


def decision(value: Decision, pass_number: int, offset: int, tenant: str) -> bytes:
    """Return a decision as the value of a record of `clarion.decisions.v1`; `offset` -1: decided by a timer."""
    event = value.event
    message = decision_pb2.Decision(
        tenant=tenant,
        decision_id=value.decision_id,
        revision=value.revision,
        step=value.step,
        terminal=value.terminal,
        rule=value.rule_name,
        customer=value.customer,
        outcome=int(value.outcome),  # type: ignore[arg-type]
        reason=int(value.reason),  # type: ignore[arg-type]
        decide_time_us=value.time,
        expire_time_us=value.expires,
        due_time_us=value.due,
        timezone=value.timezone,
        local_time=value.local_time,
        policy_hash=value.policy_hash,
        engine_version=ENGINE_VERSION,
        pass_number=pass_number,
        input_offset=offset,
        detail=value.detail,
        digest_id=value.digest,
    )
    if event is not None:
        _describe_event(message, event)
    if value.rule is not None:
        _describe_rule(message, value)
    _describe_findings(message, value)
    return message.SerializeToString()


def _describe_event(message: decision_pb2.Decision, event: Event) -> None:
    message.source = event.source
    message.event_id = event.id
    message.event_type = event.type
    message.subject = event.subject
    message.lifecycle = int(event.lifecycle)  # type: ignore[assignment]
    message.event_time_us = event.time
    message.accept_time_us = event.accepted
    message.door = event.door
    message.traceparent = event.traceparent


def _describe_rule(message: decision_pb2.Decision, value: Decision) -> None:
    rule = value.rule
    if rule is None:
        return
    message.rule_place = rule.place
    message.category = rule.category
    message.message_class = int(rule.message_class)  # type: ignore[assignment]
    message.plan = f"{'all' if rule.plan.all else 'first'} [{', '.join(rule.plan.channels)}]"


def _describe_findings(message: decision_pb2.Decision, value: Decision) -> None:
    for send in value.sends:
        message.channels.append(send.channel)
        message.send_ids.append(send.send_id)
    for verdict in value.verdicts:
        message.verdicts.add(
            channel=verdict.channel,
            reason=int(verdict.reason),
            preference=verdict.preference,
            preference_set_us=verdict.preference_set,
            until_us=verdict.until,
        )
    for tried in value.rules_tried:
        message.rules_tried.add(
            rule=tried.rule,
            place=tried.place,
            matched=tried.truth == 1,
            why=tried.why,
            absent_field=tried.truth == 2,  # noqa: PLR2004  # Truth.ABSENT
            others=tried.others,
        )
    for cap in value.caps:
        message.caps.add(
            cap=cap.cap,
            channel=cap.channel,
            used=cap.used,
            limit=max(cap.limit, 0),
            window_us=cap.window,
            blocked=cap.blocked,
            next_free_us=cap.next_free,
            used_times_us=cap.used_times,
            exempt=cap.exempt,
        )
    if value.sends:
        message.admission.time_us = value.time
        message.admission.channels.extend(send.channel for send in value.sends)


def send(value: Decision, one: Send, required: bool, zone: str, locale: str) -> tuple[str, bytes]:
    """Return the lane of a send and the value of its record."""
    rule, event = value.rule, value.event
    if rule is None or event is None:
        raise ValueError("a send has a rule and an event")
    message = send_pb2.Send(
        send_id=one.send_id,
        decision_id=value.decision_id,
        step=value.step,
        tenant=event.tenant,
        customer=value.customer,
        channel=one.channel,
        rule=rule.name,
        category=rule.category,
        message_class=int(rule.message_class),  # type: ignore[arg-type]
        template=rule.template,
        locale=locale,
        timezone=zone,
        policy_hash=value.policy_hash,
        expire_time_us=value.expires,
        decide_time_us=value.time,
        event=event_message(event),
        after=one.after,
        required=required,
        closing=event.lifecycle.closing,
    )
    return lane(rule.message_class, event), message.SerializeToString()


def lane(message_class: MessageClass, event: Event) -> str:
    """Return the lane of a message: by its class, but what goes to very many stands in nobody's way."""
    return "bulk" if event.bulk and message_class is not MessageClass.CRITICAL else LANES[message_class]


def digest(value: Digest, customer: Customer) -> tuple[str, bytes]:
    """Return the lane of a digest and the value of its record; it lasts as long as one of its items does."""
    message = send_pb2.Send(
        send_id=value.send_id,
        decision_id=value.decision_id,
        tenant=customer.tenant,
        customer=customer.id,
        channel=value.channel,
        rule=DIGEST,
        message_class=int(value.message_class),  # type: ignore[arg-type]
        template=DIGEST,
        locale=value.locale,
        timezone=value.timezone,
        policy_hash=value.policy_hash,
        expire_time_us=max(item.expires for item in value.items),
        decide_time_us=value.time,
    )
    for item in value.items:
        message.items.add(
            decision_id=item.decision_id,
            rule=item.rule.name,
            category=item.rule.category,
            message_class=int(item.rule.message_class),
            template=item.rule.template,
            event=event_message(item.event),
            expire_time_us=item.expires,
            required=item.required,
            after=item.after,
        )
    return LANES[value.message_class], message.SerializeToString()


def event_message(event: Event) -> event_pb2.Event:
    """Return an event with its audience."""
    message = event_pb2.Event(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        tenant=event.tenant,
        lifecycle=int(event.lifecycle),  # type: ignore[arg-type]
        sequence=event.sequence,
        severity=int(event.severity),  # type: ignore[arg-type]
        traceparent=event.traceparent,
        data=_encode_canonical(event.data),
        data_content_type="application/json",
    )
    message.time.FromMicroseconds(event.time)
    if event.expiry is not None:
        message.expire_time.FromMicroseconds(event.expiry)
    if event.everyone:
        message.audience.everyone = True
    elif event.select:
        message.audience.select = event.select
    else:
        message.audience.customers.ids.extend(event.customers)
    return message


def profile(tenant: str, value: Profile) -> bytes:
    """Return a profile as the value of a record of `clarion.profiles.v1`."""
    message = profile_pb2.Profile(
        tenant=tenant,
        customer=value.customer,
        addresses={address.channel: address.address for address in value.addresses},
        locale=value.locale,
        timezone=value.timezone,
        channels=value.channels,
        consents=value.consents,
        snoozed_until_us=value.snoozed_until,
    )
    for preference in value.preferences:
        message.preferences.add(
            category=preference.category,
            channel=preference.channel,
            value=int(preference.value),
            set_time_us=preference.set_time,
            set_by=preference.set_by,
        )
    for suppression in value.suppressed:
        message.suppressed.add(
            channel=suppression.channel,
            why=profile_pb2.SuppressionWhy.Value(f"SUPPRESSION_WHY_{suppression.why}"),
            set_time_us=suppression.set_time,
        )
    if value.digest is not None:
        message.digest.every = "1h" if value.digest.every == HOUR else "1d"
        message.digest.at = _clock_time(value.digest.at)
    for name, attribute in value.attributes.items():
        _set_attribute(message.attributes[name], attribute)
    if value.quiet_hours is not None:
        _set_quiet_hours(message.quiet_hours, value.quiet_hours)
    return message.SerializeToString(deterministic=True)


def _set_attribute(message: profile_pb2.AttributeValue, value: Any) -> None:
    match value:
        case bool():
            message.bool_value = value
        case int():
            message.int_value = value
        case float():
            message.number_value = value
        case _:
            message.string_value = str(value)


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _set_quiet_hours(message: profile_pb2.QuietHours, value: QuietTimes) -> None:
    if value.every is not None:
        message.every.CopyFrom(_window(value.every))
    for day, window in zip(_DAYS, value.days, strict=True):
        if window is not None:
            message.days[day].CopyFrom(_window(window))


def _window(value: Window) -> profile_pb2.TimeWindow:
    return profile_pb2.TimeWindow(start=_clock_time(value.start), end=_clock_time(value.end))


def _clock_time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def pass_record(
    number: int,
    now: int,
    inputs: Mapping[str, Sequence[Record]],
    timers: Sequence[bytes],
    policies: Sequence[tuple[str, str]],
    chunks: Sequence[Chunk] = (),
) -> bytes:
    """Return the record with which a pass can be replayed."""
    message = decision_pb2.Pass(number=number, now_us=now, engine_version=ENGINE_VERSION, timers=timers)
    for topic, records in inputs.items():
        message.inputs.add(
            topic=topic,
            partition=records[0].partition,
            first_offset=records[0].offset,
            last_offset=records[-1].offset,
        )
    for tenant, policy_hash in policies:
        message.policies.add(tenant=tenant, policy_hash=policy_hash)
    for chunk in chunks:
        message.chunks.add(
            offset=chunk.offset, after=chunk.after, last=chunk.last, members=chunk.members, ended=chunk.ended
        )
    return message.SerializeToString()


def encode_document(document: dict[str, Any]) -> bytes:
    """Return the JSON form of a profile as bytes."""
    return _encode_canonical(document)


def position_id(record: Record) -> bytes:
    """Return the decision id of an input that could not be decided: it occupies no identity, its place is its own."""
    place = f"{record.topic}|{record.partition}|{record.offset}"
    return hashlib.blake2b(place.encode(), digest_size=20).digest()
