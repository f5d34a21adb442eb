"""Whoever was told that something began was told that it is over.

Walked in order of the log for each (customer, source, subject): a closing event for a told customer must end in a
message unless something stronger stands against it (opt-out, no address, a stop, expiry). The other way round, nobody
gets a closure who was told nothing.
"""

from services.control.audit.evidence import NOT_SENT, Evidence, Promise, about
from services.control.records import DecisionRecord
from services.router.decision.model import Feedback, Lifecycle, Outcome, Reason

# Reasons for which a told customer may stay without an end; every other one breaks the promise.
_STRONGER = frozenset(
    {
        Reason.PREFERENCE_OFF,
        Reason.NO_CONSENT,
        Reason.SNOOZED,
        Reason.LOCKED,
        Reason.ADDRESS_SUPPRESSED,
        Reason.NO_ADDRESS,
        Reason.STOPPED,
        Reason.QUIET_HOURS,
        Reason.CHANNEL_FAILED,
        Reason.STALE,
        Reason.EXPIRED,
        Reason.DUPLICATE,
        Reason.ID_REUSED,
        Reason.INVALID_DATA,
        Reason.POLICY_ERROR,
    },
)


def closures_told(evidence: Evidence) -> Promise:
    """Follow each subject of each customer through the decisions."""
    failed = {
        finding.send_id
        for finding in evidence.feedback
        if finding.outcome in NOT_SENT or (finding.outcome is Feedback.BOUNCED and finding.hard)
    }
    told: dict[tuple[str, str, str, str], int] = {}
    broken = []
    looked_at = 0
    for decision in evidence.decisions:
        if not decision.terminal or not decision.customer or decision.lifecycle is Lifecycle.POINT:
            continue
        key = (decision.tenant, decision.customer, decision.source, decision.subject)
        count = told.get(key, 0)
        if decision.lifecycle.closing:
            looked_at += count > 0
            broken += _judge(decision, count)
        told[key] = _told_after(decision, count, failed)
    return Promise("whoever was told that it broke was told that it is over", looked_at, "ends", tuple(sorted(broken)))


def _judge(decision: DecisionRecord, count: int) -> list[str]:
    if count and decision.outcome is not Outcome.SEND and decision.reason not in _STRONGER:
        return [f"{about(decision)}: told {count} times about {decision.subject}, its end was {decision.reason.name}"]
    if not count and decision.reason is Reason.CLOSURE:
        return [f"{about(decision)}: told the end of {decision.subject} and nothing before"]
    return []


def _told_after(decision: DecisionRecord, count: int, failed: set[bytes]) -> int:
    if decision.outcome is not Outcome.SEND or all(send_id in failed for send_id in decision.send_ids):
        return count
    return 0 if decision.lifecycle.closing else count + 1
