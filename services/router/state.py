"""All that the router knows about the customers of one partition, as values and as changelog records.

Keys are `tenant|customer|kind|id`; tenants and customers never contain a bar. Values are msgpack, one record for each
thing that changes by itself: appending an admission writes that admission, not the ledger.
The state lives as long as its handler: when a commit is unclear both are thrown away and built anew from the store.
"""

import hashlib
import heapq
import operator
from collections.abc import Callable, Iterable, Mapping
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

    def changes_of(self, before: Customer, after: Customer) -> dict[bytes, bytes | None]:
        """Return the records that differ between two states of a customer; nothing is taken over yet."""
        changes: dict[bytes, bytes | None] = {}
        if after.admissions is not before.admissions:
            known, grown = len(before.admissions), len(after.admissions)
            if grown > known and all(map(operator.is_, before.admissions, after.admissions)):
                _diff(changes, after, ADMISSION, {}, _admissions(after.admissions[known:]))
            else:
                _diff(changes, after, ADMISSION, _admissions(before.admissions), _admissions(after.admissions))
        if after.subjects is not before.subjects:
            _diff(changes, after, SUBJECT, _subjects(before), _subjects(after))
        if after.holds is not before.holds:
            _diff(changes, after, HOLD, _holds(before), _holds(after))
        if after.opens is not before.opens:
            _diff(changes, after, OPEN, _opens(before), _opens(after))
        return changes

    def put(self, before: Customer, after: Customer, changes: Mapping[bytes, bytes | None]) -> None:
        """Take a customer as the core left him, with the records that differ (see `changes_of`)."""
        self._customers[after.tenant, after.id] = after
        self.changes.update(changes)
        if after.holds is not before.holds:
            self.holds += len(after.holds) - len(before.holds)
            for hold in after.holds:
                self.timers.set(hold.due, (after.tenant, after.id))

    def take_changes(self) -> list[Change]:
        """Take what has changed since the last call, as changelog records."""
        changes = [Change(key, value) for key, value in self.changes.items()]
        self.changes = {}
        return changes

    def _load(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        found: dict[CustomerKey, _Parts] = {}
        for key, value in items:
            if key.count(b"|") < 3:  # noqa: PLR2004  # tenant|customer|kind|id
                raise ValueError(f"the state has a record that is not ours: key {key[:80]!r}")
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
                    raise ValueError(f"the state has a record of an unknown kind: key {key[:80]!r}")
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


def _diff(
    changes: dict[bytes, bytes | None],
    of: Customer,
    kind: bytes,
    before: Mapping[Any, Struct],
    after: Mapping[Any, Struct],
) -> None:
    for name, value in after.items():
        if before.get(name) is not value:
            changes[_key(of.tenant, of.id, kind, _NAMES[kind](value))] = _encode(value)
    for name, value in before.items():
        if name not in after:
            changes[_key(of.tenant, of.id, kind, _NAMES[kind](value))] = None


def _admissions(admissions: Iterable[Admission]) -> dict[Any, Struct]:
    return {(a.decision_id, a.step): a for a in admissions}


def _subjects(customer: Customer) -> dict[Any, Struct]:
    return {**customer.subjects}


def _holds(customer: Customer) -> dict[Any, Struct]:
    return {hold.decision_id: hold for hold in customer.holds}


def _opens(customer: Customer) -> dict[Any, Struct]:
    return {one.send_id: one for one in customer.opens}


# How a record of each kind is named within its customer; names are made only of what is written.
_NAMES: dict[bytes, Callable[[Any], bytes]] = {
    ADMISSION: lambda a: b"%s-%d" % (a.decision_id.hex().encode(), a.step),
    SUBJECT: lambda s: b"%d:%s|%s" % (len(s.source), s.source.encode(), s.subject.encode()),
    HOLD: lambda hold: bytes(hold.decision_id.hex(), "ascii"),
    OPEN: lambda one: bytes(one.send_id.hex(), "ascii"),
}
