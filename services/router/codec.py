"""Wire -> values: what the router reads.

Events are CloudEvents in binary mode; whoever wrote them, everything is checked again. What can't be read raises
`PoisonError`; the caller makes it a dead letter.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Struct

from clarion.v1 import feedback_pb2, profile_pb2
from services.common import identifiers, strict_json
from services.common.processor.ports import Record
from services.policy.profiles import violations
from services.router.decision.model import (
    Event,
    Feedback,
    FeedbackInput,
    Lifecycle,
    Severity,
)

FUTURE_MICROSECONDS = 300_000_000
# What is forwarded must fit into a record again, with one header more.
MAX_HEADER_NAMES = 16_384
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
_WHOLE = re.compile("-?[0-9]{1,20}")
_LAST_INSTANT = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode_canonical = msgspec.json.Encoder(order="deterministic").encode


class PoisonError(Exception):
    """A record that nobody can use; the message says why, without personal data."""


class ChangeInput(Struct, frozen=True, gc=False):
    """A change of a customer's profile: a JSON merge patch, or None to forget the customer; who asked for it, when."""

    tenant: str
    customer: str
    patch: dict[str, Any] | None
    author: str
    accepted: int


class Audience(Struct, frozen=True, gc=False):
    """Whom an event is for: one of the three."""

    customers: tuple[str, ...] = ()
    select: str = ""
    everyone: bool = False

    def canonical(self) -> object:
        """Return what the content hash covers: the same audience in another order is the same."""
        if self.everyone:
            return {"everyone": True}
        return {"select": self.select} if self.select else sorted(self.customers)


class FeedbackRecord(Struct, frozen=True, gc=False):
    """Feedback and whom it concerns."""

    tenant: str
    customer: str
    input: FeedbackInput


def event(record: Record, default_tenant: str) -> Event:
    """Read an event; raise PoisonError when it is none. Whether its selector can be used the policy says."""
    if record.value is None:
        raise PoisonError("the event has no data")
    size = len(record.value) + sum(len(value or b"") for _, value in record.headers)
    if size > identifiers.MAX_EVENT_BYTES:
        raise PoisonError(f"the event has {size} bytes; the limit is 64 KiB ({identifiers.MAX_EVENT_BYTES} bytes)")
    if sum(len(name) for name, _ in record.headers) > MAX_HEADER_NAMES:
        raise PoisonError(f"the names of the headers take more than {MAX_HEADER_NAMES} characters")
    headers = _headers(record)
    if headers.get("ce_specversion") != "1.0":
        raise PoisonError("no CloudEvents 1.0 in binary mode: the header ce_specversion is not 1.0")
    tenant = headers.get("ce_tenant") or default_tenant
    _check_tenant(tenant)
    texts = {name: _text(headers, name) for name in _LIMITS}
    whom = _audience(headers, record.key, tenant)
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in _JSON_TYPES:
        raise PoisonError("the data must be application/json")
    data = _object(record.value, "data")
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
        customers=whom.customers,
        data=data,
        content_hash=_content_hash(texts, lifecycle, sequence, severity, whom, data),
        accepted=record.timestamp,
        traceparent=identifiers.trace_context(headers.get("ce_traceparent", "")),
        door=headers.get("clarion-door", "kafka"),
        select=whom.select,
        everyone=whom.everyone,
    )


def change(record: Record) -> ChangeInput:
    """Read a change of a profile; raise PoisonError when it is none."""
    message = profile_pb2.Change()
    _parse(message, record)
    _check_tenant(message.tenant)
    _check_customer(message.customer)
    patch: dict[str, Any] | None
    match message.WhichOneof("kind"):
        case "merge_patch":
            patch = _patch(message.merge_patch)
        case "erase":
            patch = None
        case _:
            raise PoisonError("a change without a kind")
    accepted = record.timestamp
    if message.HasField("accept_time"):
        # The sum of its parts, which no value can make fail, as the library's own conversion does.
        said = message.accept_time.seconds * 1_000_000 + message.accept_time.nanos // 1_000
        accepted = said if 0 <= said <= record.timestamp + FUTURE_MICROSECONDS else record.timestamp
    return ChangeInput(message.tenant, message.customer, patch, message.author, accepted)


def _patch(text: bytes) -> dict[str, Any]:
    wrong = violations(text)
    if wrong:
        raise PoisonError("the merge patch: " + "; ".join(f"{field or 'it'} {why}" for field, why in wrong))
    return _object(text, "the merge patch")


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
        ),
    )


def _headers(record: Record) -> dict[str, str]:
    try:
        return {name.lower(): value.decode() for name, value in record.headers if value is not None}
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


def _audience(headers: Mapping[str, str], key: bytes | None, tenant: str) -> Audience:
    """Return whom an event is for, by its audience; without one its key names the customer."""
    audience = headers.get("ce_audience")
    if audience is None:
        return Audience((_customer_of(key, tenant),))
    match _object(audience.encode(), "the audience"):
        case {"customers": [*names], **rest} if not rest and all(isinstance(name, str) for name in names):
            if not 1 <= len(names) <= identifiers.MAX_NAMED_CUSTOMERS:
                raise PoisonError(f"an audience names 1 to {identifiers.MAX_NAMED_CUSTOMERS} customers")
            for name in names:
                _check_customer(name)
            if len(set(names)) < len(names):
                raise PoisonError("the audience names a customer twice")
            return Audience(tuple(names))
        case {"select": str(source), **rest} if not rest and source.strip():
            return Audience(select=source)
        case {"everyone": True, **rest} if not rest:
            return Audience(everyone=True)
        case _:
            raise PoisonError('an audience is {"customers": ["ana"]}, {"select": CEL} or {"everyone": true}')


def _customer_of(key: bytes | None, tenant: str) -> str:
    prefix = f"{tenant}|".encode()
    if key is None or not key.startswith(prefix):
        raise PoisonError("the event has no audience, and its key is not tenant|customer")
    try:
        customer = key.removeprefix(prefix).decode()
    except UnicodeDecodeError as error:
        raise PoisonError("the key is not UTF-8") from error
    _check_customer(customer)
    return customer


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = strict_json.parse(text)
    except strict_json.JsonMistake as error:
        raise PoisonError(f"{what} {error}") from error
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
    if not _WHOLE.fullmatch(text):
        raise PoisonError(f"the header ce_{name} is not a whole number")
    number = int(text)
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
    micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    if not 0 <= micros <= _LAST_INSTANT:
        raise PoisonError(f"the header ce_{name} must be an instant from 1970 to 9999")
    return micros


def _content_hash(
    texts: Mapping[str, str],
    lifecycle: Lifecycle,
    sequence: int | None,
    severity: Severity,
    whom: Audience,
    data: Mapping[str, Any],
) -> bytes:
    # Canonical JSON: the same event through another door, or with other blanks, has the same hash.
    content = (texts["type"], texts["subject"], int(lifecycle), sequence, int(severity), whom.canonical(), data)
    return hashlib.blake2b(_encode_canonical(content), digest_size=20).digest()


def _parse(message: Any, record: Record) -> None:
    try:
        message.ParseFromString(record.value or b"")
    except DecodeError as error:
        raise PoisonError(f"not a {type(message).__name__}") from error
