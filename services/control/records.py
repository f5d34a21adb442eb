"""What people ask about, as values: decisions, sends, feedback, accepted events, mails.

They are the records of the topics without their wire form; `codec` makes them, `words` and `audit` read them.
Enumerations and the parts of a trace are those of the decision core, so that a reason is the same word everywhere.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct

from services.router.decision.model import (
    CapFinding,
    Feedback,
    Lifecycle,
    MessageClass,
    Outcome,
    Reason,
    RuleTried,
    Verdict,
)


class DecisionRecord(Struct, frozen=True, gc=False):
    """One revision of a decision and where it stands in the log. Times in microseconds, 0: not known.

    `digest` is the flush whose digest carries the message, empty where it is a message of its own.

    `customer` is empty where the record concerns the event as a whole; `key` names the customer all the same.
    """

    tenant: str
    decision_id: bytes
    revision: int
    step: int
    terminal: bool
    source: str
    event_id: str
    event_type: str
    subject: str
    lifecycle: Lifecycle
    rule: str
    rule_place: str
    customer: str
    category: str
    message_class: MessageClass | None
    outcome: Outcome
    reason: Reason
    channels: tuple[str, ...]
    decided: int
    event_time: int
    accepted: int
    expires: int = 0
    due: int = 0
    verdicts: tuple[Verdict, ...] = ()
    rules_tried: tuple[RuleTried, ...] = ()
    caps: tuple[CapFinding, ...] = ()
    timezone: str = ""
    local_time: str = ""
    plan: str = ""
    policy_hash: str = ""
    door: str = ""
    traceparent: str = ""
    detail: str = ""
    send_ids: tuple[bytes, ...] = ()
    admitted: int = 0
    admitted_channels: tuple[str, ...] = ()
    digest: bytes = b""
    key: str = ""
    partition: int = 0
    offset: int = 0


class FeedbackRecord(Struct, frozen=True, gc=False):
    """One finding about one send."""

    tenant: str
    customer: str
    send_id: bytes
    decision_id: bytes
    source: str
    event_id: str
    rule: str
    channel: str
    step: int
    provider: str
    outcome: Feedback
    hard: bool
    reason: str
    time: int
    parked: bool = False
    attempt: int = 0


class SendRecord(Struct, frozen=True, gc=False):
    """One send as the sender of its channel gets it."""

    tenant: str
    customer: str
    send_id: bytes
    decision_id: bytes
    channel: str
    lane: str
    message_class: MessageClass | None


class AcceptedEvent(Struct, frozen=True, gc=False):
    """One record of the events topic; a name that it lacks is empty."""

    tenant: str
    source: str
    event_id: str
    partition: int
    offset: int
    accepted: int = 0


class FanOutStage(IntEnum):
    """How far a fan-out is; numbers of `clarion.v1.FanOutState`."""

    WAITING = 1
    RUNNING = 2
    PAUSED = 3
    FINISHED = 4
    ABORTED = 5

    @property
    def ended(self) -> bool:
        """Whether no member will be judged any more."""
        return self in (FanOutStage.FINISHED, FanOutStage.ABORTED)


class FanOutRecord(Struct, frozen=True, gc=False):
    """An event for many on one partition: how far it is, or how it ended. Times in microseconds, 0: not yet."""

    fan_out_id: bytes
    tenant: str
    source: str
    event_id: str
    event_type: str
    subject: str
    audience: str
    partition: int
    partitions: int
    stage: FanOutStage
    first_seen: int
    started: int = 0
    updated: int = 0
    finished: int = 0
    judged: int = 0
    pending: int = 0
    at_least: bool = False
    counts: tuple[tuple[Outcome, Reason, int], ...] = ()
    failed: int = 0
    cursor: str = ""
    bulk: bool = False
    detail: str = ""


class ProfileChange(Struct, frozen=True, gc=False):
    """One change of a customer: a merge patch of the profile's JSON form, or None for an erasure."""

    tenant: str
    customer: str
    patch: Mapping[str, Any] | None
    accepted: int


class Mail(Struct, frozen=True, gc=False):
    """One message that a provider took; `key` is the idempotency key it came with, the send's id as text."""

    key: str
    taken: bool = True
    to: tuple[str, ...] = ()
    subject: str = ""
