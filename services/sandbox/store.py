"""The messages that the sandbox keeps, in the order in which they came.

A message is here (and on disk, when there is a folder) before it is answered.
Numbers have no gaps, so a message is found by its number at once. There are bounds: the oldest messages go when
there are too many, and the bytes of old ones go when all together need too much memory; their summaries stay.
Counts are those of the messages that are kept.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from services.sandbox.journal import Journal
from services.sandbox.message import Message, Record

MOST_MESSAGES = 200_000
MOST_RAW_BYTES = 256 * 1_048_576
_DROPPED_AT_ONCE = 1_000


class Counts(Struct, frozen=True, gc=False):
    """How many messages were accepted and refused, and how many of the accepted have an id that came before."""

    accepted: int
    refused: int
    distinct_message_ids: int
    duplicates: int
    kept: int
    dropped: int


class Filter(Struct, frozen=True, gc=False):
    """Which messages are asked for; empty conditions hold for all. Text is compared without regard to case."""

    to: str = ""
    subject: str = ""
    search: str = ""
    channel: str = ""
    customer: str = ""
    accepted: bool | None = None
    after: int = 0

    def holds(self, message: Message) -> bool:
        """Say whether a message is asked for."""
        return (
            (not self.channel or message.channel == self.channel)
            and (self.accepted is None or message.accepted == self.accepted)
            and (not self.customer or message.customer == self.customer)
            and (not self.to or self.to.lower() in " ".join(message.to).lower())
            and (not self.subject or self.subject.lower() in message.subject.lower())
            and (not self.search or self.search.lower() in _searched(message))
        )


class Store:
    """Keeps messages; with a folder they outlive the process."""

    def __init__(self, folder: Path | None = None, most: int = MOST_MESSAGES, most_raw: int = MOST_RAW_BYTES) -> None:
        self._most = most
        self._most_raw = most_raw
        self._messages: list[Message] = []
        self._raws: list[bytes | None] = []
        self._first = 1
        self._raw_bytes = 0
        self._raw_from = 0
        self._dropped = 0
        self._accepted = 0
        self._ids: dict[str, int] = {}
        self._journal = Journal(folder) if folder else None
        if self._journal:
            for record in self._journal.read():
                self._keep(record)

    @property
    def next_number(self) -> int:
        """The number that the next message has to have."""
        return self._first + len(self._messages)

    def record(self, message: Message, raw: bytes) -> None:
        """Keep a message; raise OSError when it can't be written to disk."""
        record = Record(message, raw)
        if self._journal:
            self._journal.append(record)
        self._keep(record)

    def message(self, number: int) -> Message | None:
        """Find a message by its number."""
        index = number - self._first
        return self._messages[index] if 0 <= index < len(self._messages) else None

    def raw(self, number: int) -> bytes | None:
        """Find the bytes of a message; None when they, or it, are no longer kept."""
        index = number - self._first
        return self._raws[index] if 0 <= index < len(self._raws) else None

    def newest_first(self, wanted: Filter) -> Iterator[Message]:
        """Go through the messages asked for, newest first."""
        oldest = max(0, wanted.after + 1 - self._first)
        for index in range(len(self._messages) - 1, oldest - 1, -1):
            if wanted.holds(self._messages[index]):
                yield self._messages[index]

    def counts(self) -> Counts:
        """Count the messages that are kept."""
        return Counts(
            accepted=self._accepted,
            refused=len(self._messages) - self._accepted,
            distinct_message_ids=len(self._ids),
            duplicates=self._accepted - len(self._ids),
            kept=len(self._messages),
            dropped=self._dropped,
        )

    def clear(self) -> None:
        """Forget all messages; numbers go on."""
        if self._journal:
            self._journal.clear()
        self._first = self.next_number
        self._messages.clear()
        self._raws.clear()
        self._ids.clear()
        self._raw_bytes = self._raw_from = self._accepted = self._dropped = 0

    def close(self) -> None:
        """Close what is open on disk."""
        if self._journal:
            self._journal.close()

    def _keep(self, record: Record) -> None:
        if not self._messages:
            self._first = record.message.number
        if len(self._messages) >= self._most:
            self._drop_oldest(min(_DROPPED_AT_ONCE, self._most // 2 or 1))
        self._messages.append(record.message)
        self._raws.append(record.raw)
        self._count(record.message, 1)
        self._raw_bytes += len(record.raw)
        while self._raw_bytes > self._most_raw and self._raw_from < len(self._raws) - 1:
            self._raw_bytes -= len(self._raws[self._raw_from] or b"")
            self._raws[self._raw_from] = None
            self._raw_from += 1

    def _drop_oldest(self, many: int) -> None:
        for message in self._messages[:many]:
            self._count(message, -1)
        self._raw_bytes -= sum(len(raw) for raw in self._raws[:many] if raw is not None)
        del self._messages[:many]
        del self._raws[:many]
        self._raw_from = max(0, self._raw_from - many)
        self._first += many
        self._dropped += many
        if self._journal:
            self._journal.forget_before(self._first)

    def _count(self, message: Message, step: int) -> None:
        if not message.accepted:
            return
        self._accepted += step
        identity = message.message_id or f"#{message.number}"
        times = self._ids.get(identity, 0) + step
        if times:
            self._ids[identity] = times
        else:
            del self._ids[identity]


def _searched(message: Message) -> str:
    return "\n".join((message.subject, message.preview, message.customer, *message.to)).lower()
