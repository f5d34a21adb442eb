"""The values a sender works on: what it is asked to send, and the customer as he is now.

A send names no address: that comes from the customer's profile at the time of the call.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct


class Choice(IntEnum):
    """What a customer wants; the numbers are those of `clarion.v1.PreferenceValue`."""

    INSTANT = 1
    DIGEST = 2
    OFF = 3


class Item(Struct, frozen=True, gc=False, array_like=True):
    """One message in a digest."""

    rule: str
    category: str
    marketing: bool
    required: bool
    template: str
    expires: int
    event: bytes
    after: bytes = b""


class Send(Struct, frozen=True, gc=False, array_like=True):
    """One message to be sent on this channel. `event` is the event's record; times in microseconds since 1970.

    `critical` and `marketing` are all that a sender needs to know of the class. A digest has `items` and no event.
    """

    send_id: bytes
    decision_id: bytes
    lane: str
    step: int
    tenant: str
    customer: str
    channel: str
    rule: str
    category: str
    critical: bool
    marketing: bool
    required: bool
    template: str
    locale: str
    timezone: str
    policy_hash: str
    expires: int
    decided: int
    source: str
    event_id: str
    subject: str
    event: bytes
    after: bytes = b""
    items: tuple[Item, ...] = ()

    @property
    def afters(self) -> tuple[bytes, ...]:
        """Return the sends that go first, in order; none of them is this one."""
        named = (self.after, *(item.after for item in self.items))
        return tuple(dict.fromkeys(each for each in named if each and each != self.send_id))


class Wish(Struct, frozen=True, gc=False):
    """A customer's preference; an empty category or channel means any."""

    category: str
    channel: str
    choice: Choice


class Recipient(Struct, frozen=True, gc=False):
    """A customer as far as this channel concerns him: his address on it, and what he does not want."""

    customer: str
    address: str = ""
    suppressed: bool = False
    consents: bool = False
    wishes: tuple[Wish, ...] = ()
    locale: str = ""
    timezone: str = ""
    attributes: Mapping[str, Any] = {}
