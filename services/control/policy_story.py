"""Decisions of a rule test as the records that production would have written of them.

They go through the real codecs, both ways, so that what people see of a test is exactly what `clarion explain` prints
of the same decision. They stand in no log: their partition is -1, and nothing is said of it.
"""

from collections.abc import Iterable, Sequence

from services.common.processor.ports import Record
from services.control import codec, words
from services.control.records import DecisionRecord, FeedbackRecord
from services.policy.testing.world import Found, Happened, History
from services.router import records
from services.router.decision.model import Decision, Policy


def record(decision: Decision, tenant: str) -> DecisionRecord:
    """Return a decision as `clarion explain` reads it from the log."""
    value = records.decision(decision, 0, -1, tenant)
    key = f"{tenant}|{decision.customer}".encode()
    read = codec.decision(Record("", -1, -1, decision.time, key, value))
    if read is None:
        raise AssertionError("a decision is no pass record")
    return read


def finding(found: Found, tenant: str) -> FeedbackRecord:
    """Return what a provider said as `clarion explain` reads it from the log."""
    decision, said = found.decision, found.said
    event = decision.event
    return FeedbackRecord(
        tenant=tenant,
        customer=decision.customer,
        send_id=said.send_id,
        decision_id=said.decision_id,
        source=event.source if event is not None else "",
        event_id=event.id if event is not None else "",
        rule=decision.rule_name,
        channel=said.channel,
        step=said.step,
        provider="",
        outcome=said.outcome,
        hard=said.hard,
        reason="",
        time=found.time,
    )


def story(history: History, about: Happened, policy: Policy) -> str:
    """Tell all that became of the event of a revision, for its customer."""
    own = [each.decision for each in history.happened if _same(each.decision, about.decision)]
    return tell(own, [each for each in history.found if _same(each.decision, about.decision)], about, policy)


def tell(decisions: Iterable[Decision], found: Sequence[Found], about: Happened, policy: Policy) -> str:
    """Tell decisions about one event for one customer, in the words of `clarion explain`."""
    zone = (about.profile.timezone if about.profile is not None else "") or policy.defaults.timezone
    tenant = policy.tenant
    told = [record(each, tenant) for each in decisions]
    return words.explain(told, [finding(each, tenant) for each in found], zone)


def _same(one: Decision, other: Decision) -> bool:
    if one.event is None or other.event is None:
        return one is other
    same = (one.event.source, one.event.id) == (other.event.source, other.event.id)
    return same and one.customer == other.customer
