"""What the reference remembers of one customer: everything, in lists that only grow.

A *course* is one decision from its first revision to its end. A *message* is what one step of a course sent. An
*entry* of the ledger is one admission: one message, or all messages of a digest's flush.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from services.router.decision.model import Event, Lifecycle, MessageClass, Outcome, Reason


class Row(NamedTuple):
    """One revision, in the words that the core's record has too."""

    event: str
    rule: str
    outcome: str
    reason: str
    step: int
    revision: int
    channels: tuple[str, ...]
    due: int
    verdicts: tuple[tuple[str, str], ...]


@dataclass
class Finding:
    """How one decision of a course came out."""

    outcome: Outcome
    reason: Reason
    channels: list[str] = field(default_factory=list)
    due: int = 0
    verdicts: dict[str, Reason] = field(default_factory=dict)
    control: str = ""
    digests: list[str] = field(default_factory=list)
    holding: list[str] = field(default_factory=list)
    message: "Message | None" = None


@dataclass
class Course:
    """One decision about (event, rule); `number` counts the events as they were taken."""

    id: bytes
    number: int
    event: Event
    rule: str
    message_class: MessageClass
    revision: int = -1
    step: int = 0
    first_held: int | None = None
    failed: list[str] = field(default_factory=list)
    state: str = "new"
    due: int = 0
    reason: Reason = Reason.POISON
    control: str = ""
    digests: list[str] = field(default_factory=list)
    announced: bool = False
    may_fall_back: bool = False
    expires: int = 0
    flushed_at: int = -1

    @property
    def order(self) -> tuple[MessageClass, int, bytes]:
        return self.message_class, self.event.time, self.id

    def same_subject(self, event: Event) -> bool:
        return Lifecycle.POINT not in (self.event.lifecycle, event.lifecycle) and (
            self.event.source,
            self.event.subject,
        ) == (event.source, event.subject)


@dataclass
class Message:
    """What one step sent. `released` and `failed` are the channels that feedback said so of."""

    course: Course
    step: int
    channels: list[str]
    sends: dict[str, bytes]
    category: str
    message_class: MessageClass
    rule: str
    subject: str
    once: str
    closure: bool
    in_digest: bool = False
    released: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    @property
    def counted(self) -> list[str]:
        return [c for c in self.channels if c not in self.released]

    @property
    def arrived(self) -> list[str]:
        return [c for c in self.channels if c not in self.failed]


@dataclass
class Entry:
    """One admission of the ledger."""

    time: int
    messages: list[Message]
