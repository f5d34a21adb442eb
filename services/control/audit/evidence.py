"""What an audit looks at, whole, and what it finds.

Decisions, changes and feedback are in the order of the log within their partition. Findings name events, customers and
sends by their ids only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from services.control.records import (
    AcceptedEvent,
    DecisionRecord,
    FanOutRecord,
    FeedbackRecord,
    Mail,
    ProfileChange,
    SendRecord,
)
from services.policy.profiles import merge, to_profile
from services.router.decision import ids
from services.router.decision.model import Feedback, Outcome, Policy, Profile

NOT_SENT = frozenset({Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED})


class Evidence(Struct, frozen=True):
    """Everything in the topics up to their ends, the mails at the providers, and the policies by hash."""

    events: tuple[AcceptedEvent, ...] = ()
    dead_letters: frozenset[tuple[int, int]] = frozenset()
    changes: tuple[ProfileChange, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()
    sends: tuple[SendRecord, ...] = ()
    feedback: tuple[FeedbackRecord, ...] = ()
    mails: tuple[Mail, ...] = ()
    policies: Mapping[str, Policy] = {}
    fan_outs: tuple[FanOutRecord, ...] = ()

    def sent(self) -> Iterator[DecisionRecord]:
        """Return the decisions that make a send, in order of the log."""
        return (each for each in self.decisions if each.terminal and each.outcome is Outcome.SEND)

    def feedback_by_send(self) -> dict[bytes, list[FeedbackRecord]]:
        """Return what is known of each send."""
        known: dict[bytes, list[FeedbackRecord]] = {}
        for finding in self.feedback:
            known.setdefault(finding.send_id, []).append(finding)
        return known

    def released(self) -> frozenset[bytes]:
        """Return the sends that certainly were not sent, so that they count no more."""
        return frozenset(finding.send_id for finding in self.feedback if finding.outcome in NOT_SENT)


class Promise(Struct, frozen=True):
    """One promise: how many cases were looked at, `of` what, and each that breaks it as one line."""

    says: str
    looked_at: int
    of: str
    broken: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing breaks it."""
        return not self.broken


class Histories:
    """Customers' profiles as they were at any instant, from the changes accepted by then."""

    def __init__(self, changes: Iterable[ProfileChange]) -> None:
        self._changes: dict[tuple[str, str], list[ProfileChange]] = {}
        for change in changes:
            self._changes.setdefault((change.tenant, change.customer), []).append(change)

    def between(self, tenant: str, customer: str, start: int, end: int) -> list[Profile | None]:
        """Return the customer as he was at `start` and after each change up to `end`; None: unknown, or erased."""
        document: dict[str, Any] | None = None
        seen: list[dict[str, Any] | None] = []
        for change in self._changes.get((tenant, customer), ()):
            if change.accepted > end:
                break
            if change.accepted > start:
                seen.append(document)
            document = None if change.patch is None else merge(document or {}, dict(change.patch))
        return [None if each is None else to_profile(customer, each) for each in (*seen, document)]


def about(decision: DecisionRecord) -> str:
    """Name a decision in a finding."""
    customer = decision.customer or "nobody in particular"
    return f"{decision.source}/{decision.event_id} for {customer}, rule {decision.rule or '-'}"


def short(send_or_decision_id: bytes) -> str:
    """Return an id as people see it."""
    return ids.text(send_or_decision_id)
