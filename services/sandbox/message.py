"""What the sandbox knows of one message, and how it answered."""

from enum import StrEnum

from msgspec import Struct


class Answer(StrEnum):
    """What the pretend provider did with a message."""

    ACCEPTED = "accepted"
    ACCEPTED_LATE = "accepted_late"  # after a stall
    ACCEPTED_TWICE = "accepted_twice"  # and said so twice
    ACCEPTED_UNANSWERED = "accepted_unanswered"  # and closed the connection instead of saying so
    REFUSED = "refused"
    TRY_LATER = "try_later"
    RATE_LIMITED = "rate_limited"
    TOO_LARGE = "too_large"

    @property
    def accepted(self) -> bool:
        """Whether the customer gets the message."""
        return self.name.startswith("ACCEPTED")


class Message(Struct, frozen=True, gc=False, rename={"sender": "from"}):
    """One message as it was received; numbers grow by one, `size` is in bytes, `reply` is what was answered."""

    number: int
    receive_time: str
    channel: str
    sender: str
    to: tuple[str, ...]
    subject: str
    preview: str
    message_id: str
    idempotency_key: str
    customer: str
    size: int
    answer: Answer
    accepted: bool
    reply: str


class Record(Struct, frozen=True, gc=False):
    """A message with its bytes, as it is written to disk."""

    message: Message
    raw: bytes
