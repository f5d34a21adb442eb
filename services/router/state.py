"""All that the router knows about the customers of one partition, as values and as changelog records.

Keys are `tenant|customer|kind|id`; tenants and customers never contain a bar. Values are msgpack, one record for each
thing that changes by itself: appending an admission writes that admission, not the ledger.
The state lives as long as its handler: when a commit is unclear both are thrown away and built anew from the store.
"""

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from services.common.processor.ports import Change
from services.policy.profiles import to_profile
from services.router.decision.model import Admission, Customer, Hold, Identity, Open, Subject
from services.router.timers import CustomerKey, Timers

PROFILE, IDENTITY, ADMISSION = b"profile", b"identity", b"admission"
SUBJECT, HOLD, OPEN = b"subject", b"hold", b"open"

_encode = msgspec.msgpack.Encoder().encode
_decode_identity = msgspec.msgpack.Decoder(Identity).decode
_decode_admission = msgspec.msgpack.Decoder(Admission).decode
_decode_subject = msgspec.msgpack.Decoder(Subject).decode
_decode_hold = msgspec.msgpack.Decoder(Hold).decode
_decode_open = msgspec.msgpack.Decoder(Open).decode

EventKey = tuple[str, str, str, str]


class _Parts(Struct):
    """A customer while it is put together from its records."""

    document: dict[str, Any] | None = None
    admissions: list[Admission] = []
    subjects: dict[tuple[str, str], Subject] = {}
    holds: list[Hold] = []
    opens: list[Open] = []


class State:
    """Customers, identities and timers of one partition; `changes` gathers what the pass has changed."""

    def __init__(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        self.timers = Timers()
        self.changes: dict[bytes, bytes | None] = {}
        self.holds = 0
        self._customers: dict[CustomerKey, Customer] = {}
        self._documents: dict[CustomerKey, dict[str, Any]] = {}
        self._identities: dict[bytes, Identity] = {}
        self._identity_ages: list[tuple[int, bytes]] = []
        self._load(items)

    def customer(self, tenant: str, customer: str) -> Customer:
        """Return a customer; one nobody has heard of has no profile."""
        return self._customers.get((tenant, customer)) or Customer(tenant, customer)

    def document(self, tenant: str, customer: str) -> dict[str, Any]:
        """Return the JSON form of a customer's profile."""
        return self._documents.get((tenant, customer), {})

    def identity(self, key: bytes) -> Identity | None:
        """Return what is remembered of an event's identity (see `identity_key`)."""
        return self._identities.get(key)

    def remember(self, key: bytes, identity: Identity) -> None:
        """Remember an event's identity."""
        self._identities[key] = identity
        heapq.heappush(self._identity_ages, (identity.first_seen, key))
        self.changes[key] = _encode(identity)

    def forget_identities(self, first_seen: int, budget: int) -> None:
        """Forget identities first seen at or before an instant, at most `budget` of them."""
        while self._identity_ages and self._identity_ages[0][0] <= first_seen and budget > 0:
            seen, key = heapq.heappop(self._identity_ages)
            known = self._identities.get(key)
            if known is not None and known.first_seen == seen:
                del self._identities[key]
                self.changes[key] = None
                budget -= 1

    def put_document(self, tenant: str, customer: str, document: dict[str, Any]) -> None:
        """Replace a customer's profile."""
        self._documents[tenant, customer] = document
        before = self.customer(tenant, customer)
        self._customers[tenant, customer] = msgspec.structs.replace(before, profile=to_profile(customer, document))
        self.changes[_key(tenant, customer, PROFILE, b"")] = _encode(document)

    def put(self, before: Customer, after: Customer) -> None:
        """Take a customer as the core left him; only what differs becomes a record."""
        self._customers[after.tenant, after.id] = after
        if after.admissions is not before.admissions:
            self._diff(after, ADMISSION, _admissions(before), _admissions(after))
        if after.subjects is not before.subjects:
            self._diff(after, SUBJECT, _subjects(before), _subjects(after))
        if after.holds is not before.holds:
            self._diff(after, HOLD, _holds(before), _holds(after))
            self.holds += len(after.holds) - len(before.holds)
            for hold in after.holds:
                self.timers.set(hold.due, (after.tenant, after.id))
        if after.opens is not before.opens:
            self._diff(after, OPEN, _opens(before), _opens(after))

    def take_changes(self) -> list[Change]:
        """Take what has changed since the last call, as changelog records."""
        changes = [Change(key, value) for key, value in self.changes.items()]
        self.changes = {}
        return changes

    def _diff(self, of: Customer, kind: bytes, before: Mapping[bytes, Struct], after: Mapping[bytes, Struct]) -> None:
        for name, value in after.items():
            if before.get(name) is not value:
                self.changes[_key(of.tenant, of.id, kind, name)] = _encode(value)
        for name in before:
            if name not in after:
                self.changes[_key(of.tenant, of.id, kind, name)] = None

    def _load(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        found: dict[CustomerKey, _Parts] = {}
        for key, value in items:
            tenant, customer, kind, _ = key.split(b"|", 3)
            if kind == IDENTITY:
                identity = _decode_identity(value)
                self._identities[key] = identity
                self._identity_ages.append((identity.first_seen, key))
                continue
            parts = found.setdefault((tenant.decode(), customer.decode()), _Parts())
            match kind:
                case b"profile":
                    parts.document = msgspec.msgpack.decode(value)
                case b"admission":
                    parts.admissions.append(_decode_admission(value))
                case b"subject":
                    subject = _decode_subject(value)
                    parts.subjects[subject.source, subject.subject] = subject
                case b"hold":
                    parts.holds.append(_decode_hold(value))
                case b"open":
                    parts.opens.append(_decode_open(value))
                case _:
                    raise ValueError(f"the state has a record of an unknown kind: {kind!r}")
        heapq.heapify(self._identity_ages)
        for (tenant_name, customer_name), parts in found.items():
            self._assemble(tenant_name, customer_name, parts)

    def _assemble(self, tenant: str, customer: str, parts: _Parts) -> None:
        if parts.document is not None:
            self._documents[tenant, customer] = parts.document
        self._customers[tenant, customer] = Customer(
            tenant,
            customer,
            None if parts.document is None else to_profile(customer, parts.document),
            tuple(
                sorted(parts.admissions, key=lambda admission: (admission.time, admission.decision_id, admission.step))
            ),
            parts.subjects,
            tuple(sorted(parts.holds, key=lambda hold: hold.decision_id)),
            tuple(sorted(parts.opens, key=lambda one: one.send_id)),
        )
        self.holds += len(parts.holds)
        for hold in parts.holds:
            self.timers.set(hold.due, (tenant, customer))


def identity_key(tenant: str, customer: str, source: str, event_id: str) -> bytes:
    """Return the state key of an event's identity; identities are noticed among events of one customer."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (source.encode(), event_id.encode()):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return _key(tenant, customer, IDENTITY, digest.hexdigest().encode())


def _key(tenant: str, customer: str, kind: bytes, name: bytes) -> bytes:
    return b"|".join((tenant.encode(), customer.encode(), kind, name))


def _admissions(customer: Customer) -> dict[bytes, Struct]:
    return {b"%s-%d" % (a.decision_id.hex().encode(), a.step): a for a in customer.admissions}


def _subjects(customer: Customer) -> dict[bytes, Struct]:
    return {_subject_id(source, subject): value for (source, subject), value in customer.subjects.items()}


def _subject_id(source: str, subject: str) -> bytes:
    return b"%d:%s|%s" % (len(source), source.encode(), subject.encode())


def _holds(customer: Customer) -> dict[bytes, Struct]:
    return {hold.decision_id.hex().encode(): hold for hold in customer.holds}


def _opens(customer: Customer) -> dict[bytes, Struct]:
    return {one.send_id.hex().encode(): one for one in customer.opens}
