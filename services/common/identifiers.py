"""What a tenant, a customer id and the texts of an event may be: one rule for every door.

Each function gives what is wrong as the rest of a sentence that begins with the field's name, or an empty text.
"""

import re
from collections.abc import Sequence

MAX_EVENT_BYTES = 65_536
MAX_ID_BYTES = 256
MAX_URI_BYTES = 1_024
MAX_NAMED_CUSTOMERS = 1_000

_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# Control characters, and those that change the direction or the lines of the text around them.
_HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def tenant_mistake(text: str) -> str:
    """Say what is wrong with the name of a tenant."""
    return "" if _TENANT.fullmatch(text) else "must be 1 to 63 of a-z, 0-9, _ and -, not beginning with _ or -"


def customer_mistake(text: str) -> str:
    """Say what is wrong with a customer id; the bar separates the parts of keys."""
    return text_mistake(text, MAX_ID_BYTES, required=True) or ('must not have "|" in it' if "|" in text else "")


def text_mistake(text: str, limit: int, *, required: bool = False) -> str:
    """Say what is wrong with an identifying text of at most `limit` bytes."""
    if required and not text:
        return "is missing"
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        return f"has {size} bytes; the limit is {limit}"
    if _HOSTILE.search(text):
        return "must not have control or text direction characters"
    return ""


def event_key(tenant: str, customers: Sequence[str], subject: str, source: str, event_id: str) -> bytes:
    """Return the key of an event: that of its customer if it names exactly one, else its subject's, else its own.

    Events of one key are taken in order, and recognised when they come again.
    """
    if len(customers) == 1:
        return f"{tenant}|{customers[0]}".encode()
    return f"{tenant}|{subject}".encode() if subject else f"{tenant}|{source}|{event_id}".encode()


def shown(text: str) -> str:
    """Return a text of a stranger as it may stand in a sentence of ours."""
    return _HOSTILE.sub("?", text[:MAX_ID_BYTES])


def trace_context(*candidates: str) -> str:
    """Return the first valid W3C traceparent, or nothing: a bad one is ignored, as its specification asks."""
    return next((candidate for candidate in candidates if _TRACEPARENT.fullmatch(candidate)), "")
