"""What a channel is: it makes a message of a letter, and says what became of it.

A letter is the content with everything about the send that a channel may show; a message is what goes over the wire.
Composing is pure and happens before the provider is called, so that nothing can go wrong between intent and call.
"""

from typing import Protocol

from msgspec import Struct

from services.senders.outcome import Outcome


class Letter(Struct, frozen=True, gc=False):
    """A rendered send for one address. `name` is the send id as text, `thread` is the same for all of its subject."""

    name: str
    thread: str
    address: str
    headline: str
    text: str
    html: str
    time: int


class Message(Struct, frozen=True, gc=False):
    """What a channel hands to its provider."""

    address: str
    content: bytes


class Channel(Protocol):
    """One way to reach customers."""

    @property
    def provider(self) -> str:
        """Name of the provider that is called, for records and figures."""
        ...

    def compose(self, letter: Letter) -> Message | Outcome:
        """Make the message, or say why there can be none."""
        ...

    async def send(self, message: Message, idempotency_key: str) -> Outcome:
        """Hand a message to the provider, in bounded time; whatever happens is an outcome."""
        ...
