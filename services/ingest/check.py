"""What the doors let in: pure checks of an event, all violations at once.

A refusal has one reason, the first of `Reason` that any of its violations has; its sentences name fields, never the
values of `data`. What needs a clock (expiry, a time in the future) or the customer is the router's to decide.
A trace context that does not parse is ignored, as its specification asks: it must not cost anyone a message.
An audience is a list of names, a selector that compiles against the policy's attributes, or everyone.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct

from clarion.v1 import event_pb2
from services.common.identifiers import (
    MAX_EVENT_BYTES,
    MAX_ID_BYTES,
    MAX_NAMED_CUSTOMERS,
    MAX_URI_BYTES,
    customer_mistake,
    shown,
    tenant_mistake,
    text_mistake,
)
from services.common.strict_json import JsonMistake, parse
from services.policy import selectors
from services.router.decision.model import EventType, Policy

_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write
_LAST_NANO = 999_999_999
_NO_AUDIENCE = "must be audience.customers.ids (1 to 1000 of them), audience.select (CEL) or audience.everyone (true)"


class Reason(StrEnum):
    """Why something was refused: label, status and answer; the first one present is the refusal's."""

    TOO_LARGE = "TOO_LARGE"
    INVALID_EVENT = "INVALID_EVENT"
    INVALID_CUSTOMER = "INVALID_CUSTOMER"
    INVALID_AUDIENCE = "INVALID_AUDIENCE"
    NO_POLICY = "NO_POLICY"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    INVALID_DATA = "INVALID_DATA"
    UNAVAILABLE = "UNAVAILABLE"


_PRECEDENCE = {reason: place for place, reason in enumerate(Reason)}


class Violation(Struct, frozen=True, gc=False):
    """One wrong field: its path, what is wrong with it, and the reason that this is."""

    field: str
    description: str
    reason: Reason


class Refused(Struct, frozen=True, gc=False):
    """Why something does not come in: one reason, one sentence, every violation."""

    reason: Reason
    message: str
    violations: tuple[Violation, ...] = ()


class Taken(Struct, frozen=True):
    """An event that may come in, with its tenant."""

    tenant: str
    event: event_pb2.Event


PolicyOf = Callable[[str], Policy | None]


def check_event(event: event_pb2.Event, policy_of: PolicyOf, default_tenant: str) -> Taken | Refused:
    """Check an event whole; `policy_of` gives the policy in force for a tenant."""
    size = event.ByteSize()
    if size > MAX_EVENT_BYTES:
        return refused([too_large("event", size)])
    tenant = event.tenant or default_tenant
    violations = [*_attributes(event), *tenant_violations(tenant, Reason.INVALID_EVENT), *_audience(event.audience)]
    policy = policy_of(tenant) if tenant else None
    if policy is not None:
        violations += _against(event, policy)
    else:
        violations += _data(event, None)
        if tenant and not any(violation.field == "tenant" for violation in violations):
            violations.append(_no_policy(tenant))
    return refused(violations) if violations else Taken(tenant, event)


def refused(violations: list[Violation]) -> Refused:
    """Make one answer of all violations, the weightiest first; there is at least one."""
    ordered = sorted(violations, key=lambda violation: _PRECEDENCE[violation.reason])
    first = ordered[0]
    return Refused(first.reason, f"{first.field} {first.description}", tuple(ordered))


def too_large(field: str, size: int) -> Violation:
    """Say that something is larger than the limit of 64 KiB."""
    return Violation(field, f"has {size} bytes; the limit is 64 KiB ({MAX_EVENT_BYTES} bytes)", Reason.TOO_LARGE)


def tenant_violations(tenant: str, reason: Reason) -> Iterator[Violation]:
    """Check the name of a tenant; empty means that neither the caller nor the door named one."""
    if not tenant:
        yield Violation("tenant", "is missing, and the door has no default (CLARION_TENANT)", reason)
    elif mistake := tenant_mistake(tenant):
        yield Violation("tenant", mistake, reason)


def customer_violations(field: str, customer: str, reason: Reason) -> Iterator[Violation]:
    """Check a customer id."""
    if mistake := customer_mistake(customer):
        yield Violation(field, mistake, reason)


def _attributes(event: event_pb2.Event) -> Iterator[Violation]:
    bad = Reason.INVALID_EVENT
    for field, text, limit, required in (
        ("id", event.id, MAX_ID_BYTES, True),
        ("source", event.source, MAX_URI_BYTES, True),
        ("type", event.type, MAX_ID_BYTES, True),
        ("subject", event.subject, MAX_ID_BYTES, False),
        ("dataschema", event.dataschema, MAX_URI_BYTES, False),
    ):
        if mistake := text_mistake(text, limit, required=required):
            yield Violation(field, mistake, bad)
    if event.lifecycle not in event_pb2.Lifecycle.values():
        yield Violation("lifecycle", "must be POINT, OPENED, UPDATED, RESOLVED or CANCELLED", bad)
    if event.severity not in event_pb2.Severity.values():
        yield Violation("severity", "must be INFO, MINOR, MAJOR or CRITICAL", bad)
    if event.HasField("time"):
        yield from _instant("time", event.time)
    if event.HasField("expire_time"):
        yield from _instant("expire_time", event.expire_time)


def _instant(field: str, instant: Timestamp) -> Iterator[Violation]:
    if not (0 <= instant.seconds <= _LAST_SECOND and 0 <= instant.nanos <= _LAST_NANO):
        yield Violation(field, "must be an instant from 1970 to 9999", Reason.INVALID_EVENT)


def _audience(audience: event_pb2.Audience) -> Iterator[Violation]:
    match audience.WhichOneof("kind"):
        case "customers":
            yield from _names(audience.customers.ids)
        case "select" if audience.select.strip():
            pass  # the policy says what is wrong with it
        case "everyone" if audience.everyone:
            pass
        case _:
            yield Violation("audience", _NO_AUDIENCE, Reason.INVALID_AUDIENCE)


def _names(ids: Sequence[str]) -> Iterator[Violation]:
    where = "audience.customers.ids"
    if not 1 <= len(ids) <= MAX_NAMED_CUSTOMERS:
        many = f"must name 1 to {MAX_NAMED_CUSTOMERS} customers, not {len(ids)}"
        yield Violation(where, many, Reason.INVALID_AUDIENCE)
        return
    seen: set[str] = set()
    for place, customer in enumerate(ids):
        field = f"{where}[{place}]"
        yield from customer_violations(field, customer, Reason.INVALID_EVENT)
        if customer in seen:
            yield Violation(field, "is named twice", Reason.INVALID_AUDIENCE)
        seen.add(customer)


def _no_policy(tenant: str) -> Violation:
    description = f"{tenant} has no policy in force: activate one with `clarion policy activate DIR`"
    return Violation("tenant", description, Reason.NO_POLICY)


def _against(event: event_pb2.Event, policy: Policy) -> Iterator[Violation]:
    declared = policy.event_types.get(event.type)
    if declared is None:
        if event.type:
            yield Violation("type", _unknown_type(event.type, policy), Reason.UNKNOWN_TYPE)
    elif not declared.lifecycle and event.lifecycle > event_pb2.LIFECYCLE_POINT:
        yield Violation("lifecycle", "must be POINT: the type is declared without a lifecycle", Reason.INVALID_DATA)
    yield from _data(event, declared)
    if event.audience.select.strip():
        for mistake in selectors.mistakes(policy, event.audience.select):
            yield Violation("audience.select", mistake, Reason.INVALID_AUDIENCE)


def _unknown_type(name: str, policy: Policy) -> str:
    named = shown(name)
    near = difflib.get_close_matches(named, sorted(policy.event_types), 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{named} is not declared in the policy of {policy.tenant}{hint}"


def _data(event: event_pb2.Event, declared: EventType | None) -> Iterator[Violation]:
    media = event.data_content_type.partition(";")[0].strip().lower()
    if media not in {"", "application/json"} or text_mistake(event.data_content_type, MAX_ID_BYTES):
        yield Violation("data_content_type", "must be application/json", Reason.INVALID_DATA)
        return
    try:
        value = parse(event.data)
    except JsonMistake as mistake:
        yield Violation("data", str(mistake), Reason.INVALID_DATA)
        return
    if not isinstance(value, dict):
        yield Violation("data", "must be a JSON object", Reason.INVALID_DATA)
    elif declared is not None:
        yield from _against_schema(value, declared)


def _against_schema(value: dict[str, Any], declared: EventType) -> Iterator[Violation]:
    for path, description in declared.check(value):
        yield Violation(path or "data", description, Reason.INVALID_DATA)
