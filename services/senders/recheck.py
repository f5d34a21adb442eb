"""What has happened since the decision that forbids the call: asked just before each one.

A message that is too late, a customer without an address, an address that must not be used, and an opt-out end the
send here. A preference of the customer himself is looked up as the router does: category and channel, category,
channel; the first hit wins. A required category is sent whatever he prefers, but never to a suppressed address.
"""

from services.senders.outcome import Kind, Outcome, Reason
from services.senders.send import Choice, Recipient, Send


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
    return None if send.required else _opted_out(send, recipient)


def _opted_out(send: Send, recipient: Recipient) -> Reason | None:
    if _choice(send, recipient) is Choice.OFF:
        return Reason.PREFERENCE_OFF
    if send.marketing and not recipient.consents:
        return Reason.NO_CONSENT
    return None


def _choice(send: Send, recipient: Recipient) -> Choice | None:
    wishes = {(wish.category, wish.channel): wish.choice for wish in recipient.wishes}
    for place in ((send.category, send.channel), (send.category, ""), ("", send.channel)):
        if (choice := wishes.get(place)) is not None:
            return choice
    return None
