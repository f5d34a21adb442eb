"""One rule test as values: customers, what happens when, and what is expected.

Times are instants in microseconds since 1970; `line` says where something stands in its file.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from services.router.decision.model import Condition, Control, Event, Feedback, Outcome, Reason


class Happens(Struct, frozen=True):
    """An event comes; `selector` is its audience's expression, compiled."""

    event: Event
    selector: Condition | None = None


class Changes(Struct, frozen=True):
    """A merge patch of a customer's profile."""

    customer: str
    patch: Mapping[str, Any]


class Finds(Struct, frozen=True):
    """What a provider said of the message about an event (`of`) to a customer; an empty rule means any."""

    customer: str
    channel: str
    outcome: Feedback
    of: str
    rule: str = ""
    hard: bool = False


class Steers(Struct, frozen=True):
    """A control comes into force."""

    control: Control


class Lifts(Struct, frozen=True):
    """A control ends."""

    name: str


class Erases(Struct, frozen=True):
    """A customer wants to be forgotten."""

    customer: str


Deed = Happens | Changes | Finds | Steers | Lifts | Erases


class Entry(Struct, frozen=True):
    """Something that happens at an instant."""

    at: int
    line: int
    deed: Deed


class Expectation(Struct, frozen=True):
    """What some revision must be like; None matches anything."""

    line: int
    customer: str | None = None
    event: str | None = None
    rule: str | None = None
    at: int | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    channels: tuple[str, ...] | None = None
    verdicts: tuple[tuple[str, Reason], ...] = ()
    step: int | None = None
    revision: int | None = None
    due: int | None = None
    next_free: int | None = None
    channel: str | None = None
    text: str | None = None
    headline: str | None = None
    count: int | None = None
    nothing_else: bool = False


class Timeline(Struct, frozen=True):
    """One test file. `entries` are in order of time, then of the file."""

    path: str
    start: int
    customers: Mapping[str, Mapping[str, Any]]
    entries: tuple[Entry, ...]
    expectations: tuple[Expectation, ...]


def means(reference: str, event: Event) -> bool:
    """Whether `ID` or `SOURCE/ID` names this event."""
    return reference in (event.id, f"{event.source}/{event.id}")
