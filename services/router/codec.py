"""Wire <-> values: what the router reads and writes.

Events are CloudEvents in binary mode; whoever wrote them, everything is checked again. What can't be read raises
`PoisonError`; the caller makes it a dead letter.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Struct

from clarion.v1 import control_pb2, decision_pb2, event_pb2, feedback_pb2, profile_pb2, send_pb2
from services.common import identifiers, strict_json
from services.common.processor.ports import Record
from services.router.decision.model import (
    Decision,
    Event,
    Feedback,
    FeedbackInput,
    Lifecycle,
    MessageClass,
    Profile,
    QuietTimes,
    Send,
    Severity,
    Window,
)

ENGINE_VERSION = "1"
DEAD_LETTER_BYTES = 131_072
DEAD_LETTER_KEY_BYTES = 1_024
FUTURE_MICROSECONDS = 300_000_000
LANES = {
    MessageClass.CRITICAL: "urgent",
    MessageClass.TRANSACTIONAL: "normal",
    MessageClass.INFORMATIONAL: "normal",
    MessageClass.MARKETING: "bulk",
}
_LIFECYCLES = {value.name.lower(): value for value in Lifecycle}
_SEVERITIES = {value.name.lower(): value for value in Severity}
_LIMITS = {
    "id": identifiers.MAX_ID_BYTES,
    "source": identifiers.MAX_URI_BYTES,
    "type": identifiers.MAX_ID_BYTES,
    "subject": identifiers.MAX_ID_BYTES,
}
_JSON_TYPES = ("", "application/json")
_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode_canonical = msgspec.json.Encoder(order="deterministic").encode


class PoisonError(Exception):
    """A record that nobody can use; the message says why, without personal data."""


class ChangeInput(Struct, frozen=True, gc=False):
    """A change of a customer's profile: a JSON merge patch, or None to forget the customer."""

    tenant: str
    customer: str
    patch: dict[str, Any] | None


class FeedbackRecord(Struct, frozen=True, gc=False):
    """Feedback and whom it concerns."""

    tenant: str
    customer: str
    input: FeedbackInput


# --- in --------------------------------------------------------------------------------------


def event(record: Record, default_tenant: str) -> Event:
    """Read an event; raise PoisonError when it is none, or one for an audience that is not one named customer."""
    if record.value is None:
        raise PoisonError("the event has no data")
    size = len(record.value) + sum(len(value) for _, value in record.headers)
    if size > identifiers.MAX_EVENT_BYTES:
        raise PoisonError(f"the event has {size} bytes; the limit is 64 KiB ({identifiers.MAX_EVENT_BYTES} bytes)")
    headers = _headers(record)
    if headers.get("ce_specversion") != "1.0":
        raise PoisonError("no CloudEvents 1.0 in binary mode: the header ce_specversion is not 1.0")
    tenant = headers.get("ce_tenant") or default_tenant
    _check_tenant(tenant)
    texts = {name: _text(headers, name) for name in _LIMITS}
    customer = _customer(headers, record.key, tenant)
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON_TYPES:
        raise PoisonError("the data must be application/json")
    # Our own door has checked already that all readers of the data read the same.
    data = _object(record.value, "data", strict="clarion-door" not in headers)
    lifecycle = _word(headers, "lifecycle", _LIFECYCLES, Lifecycle.POINT)
    severity = _word(headers, "severity", _SEVERITIES, Severity.INFO)
    sequence = _integer(headers, "sequence")
    time = _time(headers, "time")
    if time is None or time > record.timestamp + FUTURE_MICROSECONDS:
        time = record.timestamp
    return Event(
        tenant=tenant,
        source=texts["source"],
        id=texts["id"],
        type=texts["type"],
        subject=texts["subject"],
        time=time,
        lifecycle=lifecycle,
        sequence=sequence,
        severity=severity,
        expiry=_time(headers, "expirytime"),
        customers=(customer,),
        data=data,
        content_hash=_content_hash(texts, lifecycle, sequence, severity, customer, data),
        accepted=record.timestamp,
        traceparent=identifiers.trace_context(headers.get("ce_traceparent", "")),
        door=headers.get("clarion-door", "kafka"),
    )


def change(record: Record) -> ChangeInput:
    """Read a change of a profile; raise PoisonError when it is none."""
    message = profile_pb2.Change()
    _parse(message, record)
    _check_tenant(message.tenant)
    _check_customer(message.customer)
    match message.WhichOneof("kind"):
        case "merge_patch":
            return ChangeInput(
                message.tenant, message.customer, _object(message.merge_patch, "the merge patch", strict=False)
            )
        case "erase":
            return ChangeInput(message.tenant, message.customer, None)
        case _:
            raise PoisonError("a change without a kind")


def feedback(record: Record) -> FeedbackRecord:
    """Read feedback; raise PoisonError when it is none."""
    message = feedback_pb2.Feedback()
    _parse(message, record)
    _check_tenant(message.tenant)
    _check_customer(message.customer)
    try:
        outcome = Feedback(message.outcome)
    except ValueError as error:
        raise PoisonError(f"unknown outcome {message.outcome}") from error
    return FeedbackRecord(
        message.tenant,
        message.customer,
        FeedbackInput(
            decision_id=message.decision_id,
            send_id=message.send_id,
            channel=message.channel,
            step=message.step,
            outcome=outcome,
            hard=message.hard,
            source=message.source,
        ),
    )


def _headers(record: Record) -> dict[str, str]:
    try:
        return {name.lower(): value.decode() for name, value in record.headers}
    except UnicodeDecodeError as error:
        raise PoisonError("a header is not UTF-8") from error


def _text(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(f"ce_{name}", "")
    mistake = identifiers.text_mistake(text, _LIMITS[name], required=name != "subject")
    if mistake:
        raise PoisonError(f"the header ce_{name} {mistake}")
    return text


def _check_tenant(tenant: str) -> None:
    if mistake := identifiers.tenant_mistake(tenant):
        raise PoisonError(f"the tenant {mistake}" if tenant else "the tenant is missing (header ce_tenant)")


def _check_customer(customer: str) -> None:
    if mistake := identifiers.customer_mistake(customer):
        raise PoisonError(f"the customer id {mistake}")


def _customer(headers: Mapping[str, str], key: bytes | None, tenant: str) -> str:
    """Return the one customer an event names, in its audience or by its key."""
    audience = headers.get("ce_audience")
    if audience is None:
        prefix = f"{tenant}|".encode()
        if key is None or not key.startswith(prefix):
            raise PoisonError("the event has no audience, and its key is not tenant|customer")
        try:
            customer = key.removeprefix(prefix).decode()
        except UnicodeDecodeError as error:
            raise PoisonError("the key is not UTF-8") from error
    else:
        named = _object(audience.encode(), "the audience", strict=True).get("customers")
        if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
            raise PoisonError(
                'an audience is exactly one named customer: {"customers": ["ana"]}; others are not supported'
            )
        customer = named[0]
    _check_customer(customer)
    return customer


def _object(text: bytes, what: str, *, strict: bool) -> dict[str, Any]:
    try:
        found = strict_json.parse(text) if strict else msgspec.json.decode(text)
    except (strict_json.JsonMistake, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PoisonError(
            f"{what} {error}" if isinstance(error, strict_json.JsonMistake) else f"{what} is not JSON"
        ) from error
    if not isinstance(found, dict):
        raise PoisonError(f"{what} must be a JSON object")
    return found


def _word(headers: Mapping[str, str], name: str, words: Mapping[str, _T], default: _T) -> _T:
    word = headers.get(f"ce_{name}")
    if word is None:
        return default
    if word not in words:
        raise PoisonError(f"the header ce_{name} is none of {', '.join(words)}")
    return words[word]


def _integer(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(f"ce_{name}")
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError as error:
        raise PoisonError(f"the header ce_{name} is not a whole number") from error
    if not -(2**63) <= number < 2**63:
        raise PoisonError(f"the header ce_{name} has more than 64 bits")
    return number


def _time(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(f"ce_{name}")
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise PoisonError(f"the header ce_{name} is not an RFC 3339 time") from error
    if instant.tzinfo is None:
        raise PoisonError(f"the header ce_{name} has no zone")
    passed = instant - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _content_hash(
    texts: Mapping[str, str],
    lifecycle: Lifecycle,
    sequence: int | None,
    severity: Severity,
    customer: str,
    data: Mapping[str, Any],
) -> bytes:
    # Canonical JSON: the same event through another door, or with other blanks, has the same hash.
    content = (texts["type"], texts["subject"], int(lifecycle), sequence, int(severity), [customer], data)
    return hashlib.blake2b(_encode_canonical(content), digest_size=20).digest()


def _parse(message: Any, record: Record) -> None:
    try:
        message.ParseFromString(record.value or b"")
    except DecodeError as error:
        raise PoisonError(f"not a {type(message).__name__}") from error


# --- out -------------------------------------------------------------------------------------


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
        event=_event_message(event),
        after=one.after,
        required=required,
        closing=event.lifecycle.closing,
    )
    return LANES[rule.message_class], message.SerializeToString()


def _event_message(event: Event) -> event_pb2.Event:
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
    if value.digest_every or value.digest_at:
        message.digest.every = value.digest_every
        message.digest.at = value.digest_at
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


def dead_letter(record: Record, reason: str, detail: str, now: int) -> bytes:
    """Return the dead letter of a record: whole, but for what is beyond 128 KiB."""
    value = record.value or b""
    message = control_pb2.DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        detail=detail,
        key=(record.key or b"")[:DEAD_LETTER_BYTES],
        value=value[:DEAD_LETTER_BYTES],
        truncated=len(value) > DEAD_LETTER_BYTES,
        time_us=now,
        service="router",
    )
    kept = 0
    for name, header in record.headers:
        kept += len(header or b"")
        if kept > DEAD_LETTER_BYTES:
            break
        message.headers.add(name=name, value=header or b"")
    return message.SerializeToString()


def pass_record(
    number: int,
    now: int,
    inputs: Mapping[str, Sequence[Record]],
    timers: Sequence[bytes],
    policies: Sequence[tuple[str, str]],
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
    return message.SerializeToString()


def error_id(event: Event) -> bytes:
    """Return the decision id of an event that could not be decided at all."""
    content = (event.tenant, event.source, event.id, event.content_hash, event.accepted)
    return hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=20).digest()


def encode_document(document: dict[str, Any]) -> bytes:
    """Return the JSON form of a profile as bytes."""
    return _encode_canonical(document)


def poison_id(record: Record) -> bytes:
    """Return the decision id of an input that could not be read: its place is all it has."""
    place = f"{record.topic}|{record.partition}|{record.offset}"
    return hashlib.blake2b(place.encode(), digest_size=20).digest()
