r"""How the state of customers can be asked in other orders than that of its records.

Records are the truth, in the changelog; index entries are made from them and stand only in the local store
(see services/common/processor/ports.py, Index). Each entry names its record, so no two records make the same. What can
hold a bar or be long (sources, subjects, values of attributes) stands there as a digest: for equality that is enough.
Customers come in the order of `customer|` in every index.

    \0t due tenant|customer|hold           when a hold must be decided again
    \0a time tenant|customer|identity|id   when an identity was first seen
    \0c tenant|customer|                   who has a profile
    \0i tenant|attribute|value customer|   whose attribute has this value
    \0s tenant|subject customer|...        who was told of a subject, or has a hold of it
    \0f offset tenant                      which fan-outs have not ended
    \0p tenant|control|customer|hold       which hold a pause holds; the control's name in hex

What belongs to the partition and to no customer has a key without one: `tenant||kind|id`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from services.common.processor.ports import LOCAL, Index
from services.router.decision.model import Hold, Identity, Lifecycle, Subject

PROFILE, IDENTITY, ADMISSION = b"profile", b"identity", b"admission"
SUBJECT, HOLD, OPEN = b"subject", b"hold", b"open"
FANOUT_KIND, PROGRESS = b"fanout", b"progress"
KINDS = frozenset({PROFILE, IDENTITY, ADMISSION, SUBJECT, HOLD, OPEN, FANOUT_KIND, PROGRESS})
COVERED = frozenset({PROFILE, IDENTITY, SUBJECT, HOLD, FANOUT_KIND})

TIMER, AGE, FANOUT = LOCAL + b"t", LOCAL + b"a", LOCAL + b"f"
_CUSTOMER, _WANTED, _CONCERNED = LOCAL + b"c", LOCAL + b"i", LOCAL + b"s"
PAUSED = LOCAL + b"p"
# Behind all entries of a customer.
LAST = b"\xff"
_DIGEST = 16
_TIME = 8

CustomerKey = tuple[str, str]


class _HeldEvent(Struct, frozen=True, gc=False):
    source: str
    subject: str
    lifecycle: Lifecycle


class _HoldPart(Struct, frozen=True, gc=False):
    decision_id: bytes
    due: int
    event: _HeldEvent
    control: str = ""


class _SubjectPart(Struct, frozen=True, gc=False):
    source: str
    subject: str
    told: tuple[msgspec.Raw, ...] = ()


_decode_hold = msgspec.msgpack.Decoder(_HoldPart).decode
_decode_subject = msgspec.msgpack.Decoder(_SubjectPart).decode
_decode_identity = msgspec.msgpack.Decoder(Identity).decode
_decode_document = msgspec.msgpack.Decoder(dict[str, Any]).decode


def of_hold(customer: bytes, hold: Hold | _HoldPart) -> Iterator[bytes]:
    """Return the entries of a hold; `customer` is `tenant|customer`."""
    yield TIMER + _time(hold.due) + customer + b"|" + hold.decision_id
    if hold.control:
        tenant, name = customer.split(b"|", 1)
        yield b"|".join((paused_by(tenant.decode(), hold.control), name, hold.decision_id))
    event = hold.event
    if event.subject and event.lifecycle is not Lifecycle.POINT:
        yield _concerned(customer, event.source, event.subject) + b"h" + hold.decision_id


def of_subject(customer: bytes, subject: Subject | _SubjectPart) -> Iterator[bytes]:
    """Return the entries of a subject."""
    if subject.told:
        yield _concerned(customer, subject.source, subject.subject) + b"t"


def of_identity(key: bytes, identity: Identity) -> bytes:
    """Return the entry of an identity; `key` is that of its record."""
    return AGE + _time(identity.first_seen) + key


def of_fan_out(tenant: bytes, offset: int) -> bytes:
    """Return the entry of a fan-out."""
    return FANOUT + _time(offset) + tenant


def of_profile(customer: bytes, document: Mapping[str, Any]) -> Iterator[bytes]:
    """Return the entries of a profile in its JSON form."""
    yield _CUSTOMER + customer + b"|"
    attributes = document.get("attributes")
    if attributes:
        tenant, name = customer.split(b"|", 1)
        for attribute, value in attributes.items():
            yield _having(tenant, attribute, value) + name + b"|"


def everyone(tenant: str) -> bytes:
    """Return the prefix of the entries of all customers with a profile."""
    return _CUSTOMER + tenant.encode() + b"|"


def having(tenant: str, attribute: str, value: Any) -> bytes:
    """Return the prefix of the entries of customers whose attribute has a value; numbers are equal as in CEL."""
    return _having(tenant.encode(), attribute, value)


def _having(tenant: bytes, attribute: str, value: Any) -> bytes:
    match value:
        case bool():
            text = b"b%d" % value
        case int():
            text = b"n%d" % value
        case float():
            text = b"n%d" % int(value) if value.is_integer() else b"n" + repr(value).encode()
        case _:
            text = b"s" + str(value).encode()
    return b"%s%s|%s|%s" % (_WANTED, tenant, attribute.encode(), _digest(text))


def of_concern(tenant: str, source: str, subject: str) -> bytes:
    """Return the prefix of the entries of customers who were told of a subject, or have a hold of it."""
    return _CONCERNED + tenant.encode() + b"|" + _digest(source.encode(), subject.encode())


def paused_by(tenant: str, control: str) -> bytes:
    """Return the prefix of the entries of holds that a control pauses, without the bar behind it."""
    return PAUSED + f"{tenant}|{control.encode().hex()}".encode()


def control_of(entry: bytes) -> tuple[str, str]:
    """Return tenant and control of an entry of a paused hold."""
    tenant, control, _ = entry[len(PAUSED) :].split(b"|", 2)
    return tenant.decode(), bytes.fromhex(control.decode()).decode()


def time_of(entry: bytes) -> int:
    """Return the time in a timer or an age, the offset in a fan-out's entry."""
    return int.from_bytes(entry[2 : 2 + _TIME], "big")


def rest_of(entry: bytes) -> bytes:
    """Return what follows the time or the offset."""
    return entry[2 + _TIME :]


def _covers(key: bytes) -> bool:
    kind = parted(key)[2]
    return kind in COVERED


def _entries(key: bytes, value: bytes) -> Iterator[bytes]:
    tenant, name, kind, rest = parted(key)
    customer = tenant + b"|" + name
    match kind:
        case b"hold":
            yield from of_hold(customer, _decode_hold(value))
        case b"subject":
            yield from of_subject(customer, _decode_subject(value))
        case b"identity":
            yield of_identity(key, _decode_identity(value))
        case b"profile":
            yield from of_profile(customer, _decode_document(value))
        case b"fanout":
            yield of_fan_out(tenant, int(rest, 16))
        case _:
            return


def parted(key: bytes) -> list[bytes]:
    """Split a record's key into tenant, customer, kind and name; raise ValueError when it is not ours."""
    parts = key.split(b"|", 3)
    if len(parts) < 4:  # noqa: PLR2004  # tenant|customer|kind|name
        raise ValueError(f"the state has a record that is not ours: key {key[:80]!r}")
    if parts[2] not in KINDS:
        raise ValueError(f"the state has a record of an unknown kind: key {key[:80]!r}")
    return parts


def _concerned(customer: bytes, source: str, subject: str) -> bytes:
    tenant, name = customer.split(b"|", 1)
    return of_concern(tenant.decode(), source, subject) + name + b"|"


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def _time(instant: int) -> bytes:
    return max(0, instant).to_bytes(_TIME, "big")


INDEX = Index(2, _covers, _entries)
