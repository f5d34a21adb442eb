"""From a send to a letter: the content is rendered by the policy under which it was decided.

A bundle that is not here yet, or that only a newer version can compile, is waited for by trying again later.
A template that can't be rendered with this data ends the send, it never leaves a hole in a message.
"""

from hashlib import blake2b
from typing import Protocol

from services.policy.templates import Content, PolicyError, RenderError, Templates
from services.senders import codec
from services.senders.message import Letter
from services.senders.outcome import Kind, Outcome, Reason
from services.senders.send import Recipient, Send


class Policies(Protocol):
    """Where the templates of a policy are found by its hash."""

    def templates(self, tenant: str, policy_hash: str) -> Templates | None:
        """Return the templates of a policy, or None while its bundle is not here."""
        ...


def letter(send: Send, recipient: Recipient, policies: Policies) -> Letter | Outcome:
    """Render a send for the customer as he is now."""
    templates = known(send, policies)
    if templates is None:
        return Outcome(Kind.RETRY, Reason.NO_POLICY)
    try:
        content = _content(send, recipient, templates)
    except (RenderError, codec.UnreadableError):
        return Outcome(Kind.REJECTED, Reason.RENDER_ERROR)
    return Letter(
        name=codec.name(send.send_id),
        thread=_thread(send),
        address=recipient.address,
        headline=content.headline,
        text=content.text,
        html=content.html,
        time=send.decided,
    )


def _content(send: Send, recipient: Recipient, templates: Templates) -> Content:
    if not send.items:
        return templates.render(send.template, send.channel, send.locale, codec.context(send, recipient, send.event))
    items = [(item.template, codec.context(send, recipient, item.event)) for item in send.items]
    return templates.render_digest(
        send.channel, send.locale, items, {"customer": codec.customer_context(send, recipient)}
    )


def known(send: Send, policies: Policies) -> Templates | None:
    """Return the templates of a send's policy; None while they are not here or this version can't compile them."""
    try:
        return policies.templates(send.tenant, send.policy_hash)
    except PolicyError:
        return None


def _thread(send: Send) -> str:
    """Name the thread of all messages about one subject to one customer; without a subject the send is alone in it."""
    if not send.subject:
        return codec.name(send.send_id)
    parts = (send.tenant, send.customer, send.source, send.subject)
    told_apart = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return codec.name(blake2b(told_apart, digest_size=20).digest())
