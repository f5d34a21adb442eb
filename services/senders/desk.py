"""What a handler works with: the customers of its partition, and what all partitions of a process share."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from services.common.clock import Clock
from services.senders.message import Channel, Letter
from services.senders.metrics import SenderMetrics
from services.senders.outcome import Outcome
from services.senders.send import Recipient, Send
from services.senders.slots import Slots


class Customers(Protocol):
    """Profiles of the partition's customers; they belong to the handler, which stops them."""

    async def refresh(self) -> None:
        """Read to the end known now."""
        ...

    def recipient(self, tenant: str, customer: str) -> Recipient | None:
        """Return a customer, or None when there is no profile; raise codec.UnreadableError."""
        ...

    async def stop(self) -> None:
        """Stop reading."""
        ...


class Content(Protocol):
    """What makes letters of sends."""

    async def prepare(self, sends: Sequence[Send]) -> None:
        """Wait, for a bounded time, until the policies of these sends are here."""
        ...

    def letter(self, send: Send, recipient: Recipient) -> Letter | Outcome:
        """Render a send, or say why that is not possible."""
        ...


class Desk(Struct, frozen=True):
    """What all partitions of a process share. `lanes` gives the lane of each input, `slots` bounds calls.

    `patience` is how many seconds a pass waits for its calls before it goes on without their answers.
    """

    name: str
    channel_name: str
    channel: Channel
    content: Content
    lanes: Mapping[str, str]
    feedback: str
    dead_letters: str
    lease_grace: int
    after_grace: int
    clock: Clock
    metrics: SenderMetrics
    slots: Slots
    tasks: asyncio.TaskGroup
    patience: float = 5.0
