"""All that the router knows about the customers of one partition, as values and as changelog records.

Keys are `tenant|customer|kind|id`; tenants and customers never contain a bar. Values are msgpack, one record for each
thing that changes by itself: appending an admission writes that admission, not the ledger.
A customer is read from the store when he is asked for, and kept decoded while he is among the last that were.
The state lives as long as its handler: when a commit is unclear both are thrown away and made anew from the store.
"""

import hashlib
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from services.common.processor.ports import LOCAL, Change, Store
from services.policy.profiles import to_profile
from services.router import indexes
from services.router.decision.model import HOUR, Admission, Customer, Hold, Identity, Open, Subject
from services.router.fanouts import FanOuts
from services.router.indexes import ADMISSION, AGE, HOLD, IDENTITY, LAST, OPEN, PAUSED, PROFILE, SUBJECT, CustomerKey
from services.router.overlay import Overlay
from services.router.timers import Timers

CACHED = 20_000
SWEEP_EVERY = 6 * HOUR
# So many records of a customer are read at once; he seldom has more.
_PORTION = 64
_BEFORE_ALL = LOCAL + LAST

_encode = msgspec.msgpack.Encoder().encode
_decode_identity = msgspec.msgpack.Decoder(Identity).decode
_decode_admission = msgspec.msgpack.Decoder(Admission).decode
_decode_subject = msgspec.msgpack.Decoder(Subject).decode
_decode_hold = msgspec.msgpack.Decoder(Hold).decode
_decode_open = msgspec.msgpack.Decoder(Open).decode
_decode_document = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Room:
    """How many customers a process keeps decoded: shared out among its partitions."""

    def __init__(self, customers: int = CACHED) -> None:
        self._customers = customers
        self._partitions = 0

    def enter(self) -> None:
        """Count one partition more."""
        self._partitions += 1

    def leave(self) -> None:
        """Count one partition less."""
        self._partitions -= 1

    def share(self) -> int:
        """Return how many customers one partition may keep."""
        return self._customers // max(1, self._partitions)


class State:
    """Customers, identities and timers of one partition; `changes` is what the pass has changed."""

    def __init__(self, store: Store, room: Room | None = None, partition: int = 0) -> None:
        self._store = store
        self._overlay = Overlay(store)
        self.timers = Timers(self._overlay)
        self.fanouts = FanOuts(self._overlay, partition)
        self.holds = self.timers.count()
        self._room = room or Room()
        self._room.enter()
        self._customers: OrderedDict[CustomerKey, Customer] = OrderedDict()
        self._identities: dict[bytes, Identity | None] = {}
        # Whom a lifted control keeps waiting all the same, since deciding failed: until this handler ends.
        self.kept_paused: set[tuple[str, str, str]] = set()
        self._swept = _BEFORE_ALL
        self._sweep_from = 0

    # --- what a decision needs ---------------------------------------------------------------

    def customer(self, tenant: str, customer: str) -> Customer:
        """Return a customer; one nobody has heard of has no profile."""
        key = (tenant, customer)
        found = self._customers.get(key)
        if found is None:
            found = self._customers[key] = self._read(tenant, customer)
        else:
            self._customers.move_to_end(key)
        return found

    def document(self, tenant: str, customer: str) -> dict[str, Any]:
        """Return the JSON form of a customer's profile."""
        value = self._overlay.get(_key(tenant, customer, PROFILE, b""))
        return {} if value is None else _decode_document(value)

    def identity(self, key: bytes) -> Identity | None:
        """Return what is remembered of an event's identity (see `identity_key`)."""
        if key not in self._identities:
            value = self._store.get(key)
            self._identities[key] = None if value is None else _decode_identity(value)
        return self._identities[key]

    # --- whom something is about, in the order of `customer|` --------------------------------

    def customers(self, tenant: str, after: str, limit: int) -> list[str]:
        """Return the customers of a tenant who have a profile, behind a customer ("": from the first)."""
        return self._members(indexes.everyone(tenant), after, limit)

    def with_attribute(self, tenant: str, name: str, value: Any, after: str, limit: int) -> list[str]:
        """Return the customers whose attribute has a value."""
        return self._members(indexes.having(tenant, name, value), after, limit)

    def concerned(self, tenant: str, source: str, subject: str, after: str, limit: int) -> list[str]:
        """Return the customers who were told of a subject and not of its end, or have a hold of it."""
        return self._members(indexes.of_concern(tenant, source, subject), after, limit)

    def pauses(self) -> list[tuple[str, str]]:
        """Return tenant and name of each control that pauses something here."""
        found: list[tuple[str, str]] = []
        behind = PAUSED
        while entries := self._overlay.entries(PAUSED, behind, 1):
            tenant, control = indexes.control_of(entries[0])
            found.append((tenant, control))
            behind = indexes.paused_by(tenant, control) + b"|" + LAST
        return found

    def paused_by(self, tenant: str, control: str, limit: int) -> list[str]:
        """Return the customers of whom a control pauses something."""
        return self._members(indexes.paused_by(tenant, control) + b"|", "", limit)

    def _members(self, prefix: bytes, after: str, limit: int) -> list[str]:
        found: dict[bytes, None] = {}
        behind = prefix + after.encode() + b"|" + LAST if after else prefix
        while len(found) < limit:
            wanted = limit - len(found)
            entries = self._overlay.entries(prefix, behind, wanted)
            found.update((entry[len(prefix) :].split(b"|", 1)[0], None) for entry in entries)
            if len(entries) < wanted:
                break
            # What else there is of the last one says nothing new.
            behind = prefix + next(reversed(found)) + b"|" + LAST
        return [customer.decode() for customer in found]

    # --- what changes ------------------------------------------------------------------------

    def remember(self, key: bytes, identity: Identity) -> None:
        """Remember an event's identity."""
        before = self.identity(key)
        self._identities[key] = identity
        self._overlay.put({key: _encode(identity)})
        self._overlay.index(
            () if before is None else (indexes.of_identity(key, before),), (indexes.of_identity(key, identity),)
        )

    def forget_identities(self, first_seen: int, budget: int) -> None:
        """Forget identities first seen at or before an instant, at most `budget` of them."""
        oldest = self._overlay.first(AGE, 1)
        if not oldest or indexes.time_of(oldest[0]) > first_seen:
            return
        for entry in self._overlay.first(AGE, budget):
            if indexes.time_of(entry) > first_seen:
                return
            key = indexes.rest_of(entry)
            self._identities[key] = None
            self._overlay.put({key: None})
            self._overlay.index((entry,), ())

    def put_document(self, tenant: str, customer: str, document: dict[str, Any]) -> None:
        """Replace a customer's profile."""
        before, known = self.customer(tenant, customer), self._overlay.get(_key(tenant, customer, PROFILE, b""))
        self._customers[tenant, customer] = msgspec.structs.replace(before, profile=to_profile(customer, document))
        name = _name(tenant, customer)
        self._overlay.index(
            () if known is None else indexes.of_profile(name, _decode_document(known)),
            indexes.of_profile(name, document),
        )
        self._overlay.put({_key(tenant, customer, PROFILE, b""): _encode(document)})

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
            _diff(changes, after, SUBJECT, before.subjects, after.subjects)
        if after.holds is not before.holds:
            _diff(changes, after, HOLD, _holds(before), _holds(after))
        if after.opens is not before.opens:
            _diff(changes, after, OPEN, _opens(before), _opens(after))
        return changes

    def put(self, before: Customer, after: Customer, changes: Mapping[bytes, bytes | None]) -> None:
        """Take a customer as the core left him, with the records that differ (see `changes_of`)."""
        self._customers[after.tenant, after.id] = after
        self._overlay.put(changes)
        name = _name(after.tenant, after.id)
        if after.holds is not before.holds:
            self.holds += len(after.holds) - len(before.holds)
            was, now = _holds(before), _holds(after)
            self._overlay.index(
                (entry for hold in _differing(was, now) for entry in indexes.of_hold(name, hold)),
                (entry for hold in _differing(now, was) for entry in indexes.of_hold(name, hold)),
            )
        if after.subjects is not before.subjects:
            self._overlay.index(
                (e for s in _differing(before.subjects, after.subjects) for e in indexes.of_subject(name, s)),
                (e for s in _differing(after.subjects, before.subjects) for e in indexes.of_subject(name, s)),
            )

    def sweep(self, now: int, budget: int) -> list[Customer]:
        """Return the next customers to be freed of what no longer matters; all of them come up every few hours."""
        found: list[Customer] = []
        while now >= self._sweep_from and len(found) < budget:
            ahead = self._store.scan(b"", self._swept, 1)
            if not ahead:
                self._swept, self._sweep_from = _BEFORE_ALL, now + SWEEP_EVERY
                break
            tenant, customer, _, _ = indexes.parted(ahead[0][0])
            self._swept = b"|".join((tenant, customer, LAST))
            if not customer:
                continue  # what belongs to the partition itself
            key = (tenant.decode(), customer.decode())
            found.append(self._customers.get(key) or self._read(*key))
        return found

    # --- commit ------------------------------------------------------------------------------

    def changes(self) -> list[Change]:
        """Return what has changed since the last commit."""
        return self._overlay.changes()

    def committed(self) -> None:
        """Note that the store has all changes; only now customers may be forgotten here."""
        self._overlay.committed()
        self._identities = {}
        share = self._room.share()
        while len(self._customers) > share:
            self._customers.popitem(last=False)

    def close(self) -> None:
        """Leave the room to others."""
        self._room.leave()

    # --- reading -----------------------------------------------------------------------------

    def _read(self, tenant: str, customer: str) -> Customer:
        profile = None
        admissions: list[Admission] = []
        subjects: dict[tuple[str, str], Subject] = {}
        holds: list[Hold] = []
        opens: list[Open] = []
        for kind, value in self._records(_name(tenant, customer) + b"|"):
            match kind:
                case b"profile":
                    profile = to_profile(customer, _decode_document(value))
                case b"admission":
                    admissions.append(_decode_admission(value))
                case b"subject":
                    subject = _decode_subject(value)
                    subjects[subject.source, subject.subject] = subject
                case b"hold":
                    holds.append(_decode_hold(value))
                case _:
                    opens.append(_decode_open(value))
        # Holds and opens come in the order of their ids, by their keys.
        admissions.sort(key=lambda admission: (admission.time, admission.decision_id, admission.step))
        return Customer(tenant, customer, profile, tuple(admissions), subjects, tuple(holds), tuple(opens))

    def _records(self, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Return kind and value of a customer's records; his identities, which may be many, are passed over."""
        portion = self._store.scan(prefix, b"", _PORTION)
        while portion:
            for key, value in portion:
                kind = indexes.parted(key)[2]
                if kind != IDENTITY:
                    yield kind, value
            if len(portion) < _PORTION:
                return
            last = portion[-1][0]
            identities = prefix + IDENTITY + b"|"
            portion = self._store.scan(prefix, identities + LAST if last.startswith(identities) else last, _PORTION)


def identity_key(tenant: str, customer: str, source: str, event_id: str) -> bytes:
    """Return the state key of an event's identity; identities are noticed among events of one customer."""
    return _key(tenant, customer, IDENTITY, _digest(source.encode(), event_id.encode()))


def identity_key_of_many(tenant: str, event_key: bytes, source: str, event_id: str) -> bytes:
    """Return the state key of the identity of an event for many, noticed among those of one key on Kafka."""
    return _key(tenant, "", IDENTITY, _digest(event_key, source.encode(), event_id.encode()))


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.hexdigest().encode()


def _name(tenant: str, customer: str) -> bytes:
    return f"{tenant}|{customer}".encode()


def _key(tenant: str, customer: str, kind: bytes, name: bytes) -> bytes:
    return b"|".join((tenant.encode(), customer.encode(), kind, name))


def _differing(these: Mapping[Any, Any], those: Mapping[Any, Any]) -> Iterable[Any]:
    return (value for name, value in these.items() if those.get(name) is not value)


def _diff(
    changes: dict[bytes, bytes | None],
    of: Customer,
    kind: bytes,
    before: Mapping[Any, Struct],
    after: Mapping[Any, Struct],
) -> None:
    for value in _differing(after, before):
        changes[_key(of.tenant, of.id, kind, _NAMES[kind](value))] = _encode(value)
    for name, value in before.items():
        if name not in after:
            changes[_key(of.tenant, of.id, kind, _NAMES[kind](value))] = None


def _admissions(admissions: Iterable[Admission]) -> dict[Any, Struct]:
    return {(a.decision_id, a.step): a for a in admissions}


def _holds(customer: Customer) -> dict[bytes, Hold]:
    return {hold.decision_id: hold for hold in customer.holds}


def _opens(customer: Customer) -> dict[bytes, Open]:
    return {one.send_id: one for one in customer.opens}


# How a record of each kind is named within its customer; names are made only of what is written.
_NAMES: dict[bytes, Callable[[Any], bytes]] = {
    ADMISSION: lambda a: b"%s-%d" % (a.decision_id.hex().encode(), a.step),
    SUBJECT: lambda s: b"%d:%s|%s" % (len(s.source), s.source.encode(), s.subject.encode()),
    HOLD: lambda hold: bytes(hold.decision_id.hex(), "ascii"),
    OPEN: lambda one: bytes(one.send_id.hex(), "ascii"),
}
