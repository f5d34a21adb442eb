"""What a customer has heard of a subject, found by looking through everything that was ever sent (semantics 7).

An event sees the subject without its own messages: all rules of one event see it as it was before the event.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from services.router.decision.model import Event, Lifecycle
from tests.support.reference.values import Course, Entry, Message


@dataclass
class Memory:
    """The whole past of one customer.

    `flush` is the digest that is being put together: heard of already, but not counted yet. `closings` and `sequences`
    are of the events that got past checks 3 and 4.
    """

    ledger: list[Entry] = field(default_factory=list)
    flush: list[Entry] = field(default_factory=list)
    courses: dict[bytes, Course] = field(default_factory=dict)
    sequences: list[tuple[int, str, str, int]] = field(default_factory=list)
    closings: list[Course] = field(default_factory=list)
    enders: set[int] = field(default_factory=set)

    def held(self) -> list[Course]:
        return [c for c in self.courses.values() if c.state == "held"]

    def older(self, course: Course) -> list[Course]:
        """Return the holds of the same subject by events that were taken before this one."""
        return [c for c in self.held() if c.number < course.number and c.same_subject(course.event)]

    def messages(self, course: Course) -> Iterator[Message]:
        """Yield what other events of the subject sent and is not known to have failed, as it was sent."""
        for entry in self.ledger + self.flush:
            for message in entry.messages:
                other = message.course
                if other.number != course.number and other.same_subject(course.event) and message.arrived:
                    yield message

    def told(self, course: Course) -> list[Message]:
        """Return what the customer heard after the last closing message."""
        heard: list[Message] = []
        for message in self.messages(course):
            heard = [] if message.course.event.lifecycle.closing else [*heard, message]
        return heard

    def previous(self, course: Course) -> Any:
        """Return the data of the last message about the subject, None if there was none."""
        found = list(self.messages(course))
        return found[-1].course.event.data if found else None

    def was_replaced(self, course: Course) -> bool:
        """Say whether a newer message of the subject was sent, or the subject was closed by a newer event."""
        return any(c.number > course.number and c.same_subject(course.event) for c in self.closings) or any(
            message.course.number > course.number for message in self.messages(course)
        )

    def highest_sequence(self, event: Event) -> int | None:
        found = [s for _, source, subject, s in self.sequences if (source, subject) == (event.source, event.subject)]
        return max(found, default=None)

    def had_once(self, course: Course, key: str, since: int, now: int) -> bool:
        """Say whether another decision of the rule sent a message of this key after `since`."""
        return any(
            message.once == key and message.rule == course.rule and message.course is not course and message.counted
            for entry in self.ledger
            if since < entry.time <= now
            for message in entry.messages
        )


def has_lifecycle(event: Event) -> bool:
    return event.lifecycle is not Lifecycle.POINT
