"""Frequency caps, counted anew from the whole ledger each time (semantics 5)."""

from collections.abc import Sequence

from services.router.decision.model import Cap, MessageClass, Per, Policy
from tests.support.reference.values import Entry, Message


def matches(cap: Cap, message: Message, channels: Sequence[str]) -> bool:
    """Say whether a message on these channels is one that the cap is about."""
    return (
        cap.where_category in ("", message.category)
        and cap.where_rule in ("", message.rule)
        and cap.where_class in (None, message.message_class)
        and (cap.where_channel in channels if cap.where_channel else bool(channels))
        and (cap.per is not Per.SUBJECT or message.subject != "")
    )


def shares_scope(cap: Cap, old: Message, new: Message, channel: str) -> bool:
    """Say whether both messages count in the same scope of the cap; `channel` is the one that `new` asks about."""
    return {
        Per.CUSTOMER: True,
        Per.CHANNEL: channel in old.counted,
        Per.CATEGORY: old.category == new.category,
        Per.CLASS: old.message_class == new.message_class,
        Per.RULE: old.rule == new.rule,
        Per.SUBJECT: old.subject == new.subject,
    }[cap.per]


def used(cap: Cap, ledger: list[Entry], new: Message, channel: str, at: int) -> int:
    """Count the admissions within the cap's window that ends at `at`; a digest is one."""
    return sum(
        any(matches(cap, old, old.counted) and shares_scope(cap, old, new, channel) for old in entry.messages)
        for entry in ledger
        if at - cap.window < entry.time <= at
    )


def room(cap: Cap, message_class: MessageClass) -> int:
    """Return the limit less what is reserved for the classes above."""
    return cap.limit - sum(n for reserved, n in cap.reserve if reserved < message_class)


def blocking(policy: Policy, ledger: list[Entry], new: Message, channel: str, now: int) -> list[Cap]:
    """Return the caps that keep this message from this channel now, in the policy's order."""
    return [
        cap
        for cap in policy.caps
        if matches(cap, new, [channel])
        and not new.closure
        and new.message_class not in cap.exempt
        and used(cap, ledger, new, channel, now) >= room(cap, new.message_class)
    ]


def next_free(caps: list[Cap], ledger: list[Entry], new: Message, channel: str, now: int) -> int | None:
    """Return the earliest time at which all of these caps admit, None for never."""
    for at in sorted({now, *(entry.time + cap.window for entry in ledger for cap in caps)}):
        if at >= now and all(used(c, ledger, new, channel, at) < room(c, new.message_class) for c in caps):
            return at
    return None
