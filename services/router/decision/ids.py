"""Ids of decisions and sends.

An id is a blake2b hash, 20 bytes, of everything that makes the thing the one it is; nobody hands ids out.
The parts are packed as one msgpack array: each part carries its length, so no two lists of parts look alike.
Inside they stay bytes; people see lower-case base32.
"""

from base64 import b32decode, b32encode
from hashlib import blake2b

from msgspec import msgpack

from services.router.decision.model import Customer, Event

SIZE = 20
_PAD = "=" * (-(SIZE * 8) % 40 // 5)


def decision_id(event: Event, first_seen: int, rule: str, customer: str) -> bytes:
    """Return the id of the decision about (event, rule, customer); the last two are empty for the event as a whole."""
    parts = (event.tenant, event.source, event.id, event.content_hash, first_seen, rule, customer)
    return _hash(parts)


def record_id(event: Event, first_seen: int, position: tuple[int, int]) -> bytes:
    """Return the id of a record about the event as a whole that may occur again: it also hashes the input position."""
    parts = (event.tenant, event.source, event.id, event.content_hash, first_seen, "", "", position)
    return _hash(parts)


def send_id(decision: bytes, channel: str, step: int) -> bytes:
    """Return the id of the message that this step of a decision sends on this channel."""
    return _hash((decision, channel, step))


def digest_id(customer: Customer, channel: str, due: int) -> bytes:
    """Return the id of a customer's digest on a channel; of the flush as a whole without channel (semantics 3)."""
    return _hash((customer.tenant, customer.id, "digest", channel, due))


def text(id: bytes) -> str:
    """Return an id as people and providers see it."""
    return b32encode(id).decode("ascii").rstrip("=").lower()


def parse(text: str) -> bytes:
    """Return the id behind its text; raises ValueError for anything that `text` did not make."""
    parsed = b32decode(text.upper() + _PAD)
    if len(parsed) != SIZE or text != text.lower():
        raise ValueError("not an id: 32 characters of lower-case base32 are expected")
    return parsed


def _hash(parts: tuple[object, ...]) -> bytes:
    return blake2b(msgpack.encode(parts), digest_size=SIZE).digest()
