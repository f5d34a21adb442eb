"""What a file of tests/ may contain, as pydantic models.

A file is shaped entry by entry, so that a mistake in one does not hide the mistakes in the others. What an entry says
about customers, events and the policy is compared in `files`.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from services.policy import words
from services.policy.documents import type_names
from services.policy.mistakes import nearest
from services.policy.shapes import Channel, Expression, MessageClassName, Shape, Text
from services.policy.testing import moments
from services.policy.words import LIFECYCLES, SEVERITIES
from services.router.decision.model import Feedback, Outcome, Reason

ENTRIES: Final = ("event", "profile", "feedback", "control", "erase")


def _refusal(message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("word", "{message}", {"message": message, "hint": hint})


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return type_names.get(type(value), "this")


def _read(reader: Callable[[str], Any], example: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise _refusal(f"must be text such as {example}, not {_kind(value)}")
        try:
            return reader(value)
        except words.WordError as error:
            raise _refusal(str(error), error.suggestion) from None

    return BeforeValidator(check)


def _one_of(known: Iterable[str], shown: str = "") -> BeforeValidator:
    names = tuple(known)
    wanted = shown or f"one of {', '.join(names)}"

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            said = repr(value[:60]) if isinstance(value, str) else _kind(value)
            hint = nearest(value, names) if isinstance(value, str) else ""
            raise _refusal(f"{said} is not {wanted}", hint)
        return value

    return BeforeValidator(check)


def _only_true(value: Any) -> Any:
    if value is not True:
        raise _refusal("can only be true: leave it out otherwise")
    return value


Moment = Annotated[Any, _read(moments.moment, "25m")]
Instant = Annotated[Any, _read(moments.instant, "2026-03-28T22:30:00+01:00")]
True_ = Annotated[bool, BeforeValidator(_only_true)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]
OutcomeName = Annotated[str, _one_of(each.name for each in Outcome)]
ReasonName = Annotated[str, _one_of((each.name for each in Reason), "a reason")]
Number = Annotated[int, Field(ge=0, le=1_000_000)]


class TimelineFile(Shape):
    """tests/*.yaml."""

    start: Instant
    customers: dict[Id, dict[str, Any]] = Field(default_factory=dict)
    timeline: list[Any] = Field(default_factory=list)
    expect: Annotated[list[Any], Field(min_length=1)]


class Audience(Shape):
    """Whom an event is for: one of these."""

    customers: Annotated[list[Id], Field(min_length=1, max_length=1_000)] | None = None
    select: Expression | None = None
    everyone: True_ = False


class Event(Shape):
    """An event, with the keys of a line of `clarion publish`."""

    id: Id
    source: Id
    type: Id
    subject: str = ""
    time: Moment | None = None
    lifecycle: Annotated[str, _one_of(LIFECYCLES)] = "point"
    sequence: int | None = None
    severity: Annotated[str, _one_of(SEVERITIES)] = "info"
    expirytime: Moment | None = None
    audience: Audience
    data: dict[str, Any] = Field(default_factory=dict)
    tenant: str = ""
    traceparent: str = ""
    dataschema: str = ""
    specversion: Annotated[str, _one_of(["1.0"])] = "1.0"
    datacontenttype: Annotated[str, _one_of(["application/json"])] = "application/json"


class Finding(Shape):
    """What a provider said of a message."""

    customer: Id
    channel: Channel
    outcome: Annotated[str, _one_of(each.name for each in Feedback)]
    of: Id
    rule: Text | None = None
    hard: bool = False


class Match(Shape):
    """What a control concerns: all given fields must match."""

    rule: str = ""
    category: str = ""
    channel: Channel = ""
    class_: MessageClassName = Field("", alias="class")
    source: str = ""
    event: str = ""


class Control(Shape):
    """A stop, a pause, or the end of one."""

    stop: Match | None = None
    pause: Match | None = None
    lift: Id | None = None
    name: Id | None = None
    reason: str = ""
    author: str = ""
    expires_at: Moment | None = None


class Erase(Shape):
    """A customer who wants to be forgotten."""

    customer: Id


class Entry(Shape):
    """One line of the timeline: when, and one thing that happens."""

    at: Moment
    event: Event | None = None
    profile: dict[str, Any] | None = None
    feedback: Finding | None = None
    control: Control | None = None
    erase: Erase | None = None


class Expectation(Shape):
    """What a revision of a decision must be like; what is left out matches anything."""

    customer: Id | None = None
    event: Id | None = None
    rule: Text | None = None
    at: Moment | None = None
    outcome: OutcomeName | None = None
    reason: ReasonName | None = None
    channels: list[Channel] | None = None
    verdicts: dict[Channel, ReasonName] | None = None
    step: Number | None = None
    revision: Number | None = None
    due: Moment | None = None
    next_free: Moment | None = None
    channel: Channel | None = None
    text: str | None = None
    headline: str | None = None
    count: Number | None = None
    nothing_else: True_ = False
