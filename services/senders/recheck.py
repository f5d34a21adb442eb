"""What has happened since the decision that forbids the call: asked just before each one.

A message that is too late, a customer without an address, an address that must not be used, and an opt-out end the
send here. A preference of the customer himself is looked up as the router does: category and channel, category,
channel; the first hit wins. A required category is sent whatever he prefers, but never to a suppressed address.
A digest loses the items that he opted out of or that are too late; it goes while one is left.
"""

from msgspec.structs import replace

from services.senders.outcome import Kind, Outcome, Reason
from services.senders.send import Choice, Item, Recipient, Send


def objection(send: Send, recipient: Recipient | None) -> Outcome | None:
    """Return the outcome that ends the send without a call, or None when it may go."""
    reason = _forbidden(send, recipient)
    return None if reason is None else Outcome(Kind.SUPPRESSED, reason)


def lateness(send: Send, now: int) -> Outcome | None:
    """Return the outcome of a send that has expired; asked first, so that nothing is retried for ever."""
    return Outcome(Kind.EXPIRED, Reason.EXPIRED) if now >= send.expires else None


def _forbidden(send: Send, recipient: Recipient | None) -> Reason | None:
    if recipient is not None and recipient.suppressed:
        return Reason.ADDRESS_SUPPRESSED
    if recipient is None or not recipient.address:
        return Reason.NO_ADDRESS
    if not send.items:
        return _opted_out(send, send.channel, recipient)
    reasons = [_opted_out(item, send.channel, recipient) for item in send.items]
    return reasons[0] if None not in reasons else None


def remaining(send: Send, recipient: Recipient, now: int) -> Send:
    """Return a digest with the items that may still go; any other send as it is."""
    if not send.items:
        return send
    items = tuple(i for i in send.items if i.expires > now and _opted_out(i, send.channel, recipient) is None)
    return send if len(items) == len(send.items) else replace(send, items=items)


def _opted_out(message: Send | Item, channel: str, recipient: Recipient) -> Reason | None:
    if message.required:
        return None
    if _choice(message.category, channel, recipient) is Choice.OFF:
        return Reason.PREFERENCE_OFF
    if message.marketing and not recipient.consents:
        return Reason.NO_CONSENT
    return None


def _choice(category: str, channel: str, recipient: Recipient) -> Choice | None:
    wishes = {(wish.category, wish.channel): wish.choice for wish in recipient.wishes}
    for place in ((category, channel), (category, ""), ("", channel)):
        if (choice := wishes.get(place)) is not None:
            return choice
    return None
