"""Every accepted event is decided, and each (event, rule, customer, step) ends exactly once.

An event that was put aside as a dead letter counts as answered. A hold that is not due yet is counted as waiting.
The same event may be decided anew when its identity was forgotten (the window for duplicates is over).
An event for many is answered by the reports of its partitions: one each, and as many decisions as they count.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from services.control.audit.evidence import Evidence, Promise, about, short
from services.control.records import DecisionRecord, FanOutRecord
from services.router.decision.model import DAY, MINUTE, Outcome, Reason

Identity = tuple[str, str, str]
OVERDUE = MINUTE


def decided_once(evidence: Evidence, now: int) -> Promise:
    """Compare what was accepted with what was decided."""
    by_identity: dict[Identity, list[DecisionRecord]] = defaultdict(list)
    for decision in evidence.decisions:
        by_identity[_identity(decision)].append(decision)
    accepted = _accepted(evidence)
    fanned = _fanned(evidence.fan_outs)
    broken = [
        f"{name} was accepted and never decided"
        for identity, name in accepted.items()
        if identity not in by_identity and identity not in fanned
    ]
    for identity, reports in fanned.items():
        broken += _fan_outs(reports, by_identity.get(identity, []))
    waiting = 0
    for decisions in by_identity.values():
        broken += _ended_twice(decisions, evidence)
    for revisions in _by_decision(evidence.decisions):
        broken += _revisions(revisions)
        last = revisions[-1]
        if not last.terminal:
            waiting += 1
            if last.due + OVERDUE < now:
                broken.append(f"{about(last)} is held and {(now - last.due) // 1_000_000} s overdue")
    running = sum(not report.stage.ended for report in evidence.fan_outs)
    noted = [f"{waiting} held, not due yet"] if waiting else []
    noted += [f"{running} parts of fan-outs not done yet"] if running else []
    return Promise("every accepted event is decided once", len(accepted), "events", tuple(sorted(broken)), tuple(noted))


def _accepted(evidence: Evidence) -> dict[Identity, str]:
    """Return the identities that were accepted, with a name, without those whose every record is a dead letter."""
    return {
        (event.tenant, event.source, event.event_id): f"{event.source}/{event.event_id}"
        if event.event_id
        else f"record {event.offset} of partition {event.partition}"
        for event in evidence.events
        if (event.partition, event.offset) not in evidence.dead_letters
    }


def _fanned(reports: Sequence[FanOutRecord]) -> dict[Identity, list[FanOutRecord]]:
    found: dict[Identity, list[FanOutRecord]] = defaultdict(list)
    for report in reports:
        found[report.tenant, report.source, report.event_id].append(report)
    return found


def _fan_outs(reports: Sequence[FanOutRecord], decisions: Sequence[DecisionRecord]) -> Iterator[str]:
    """Compare the reports of an event for many with one another, and with the decisions of its members."""
    name = f"{reports[0].source}/{reports[0].event_id} for {reports[0].audience}"
    places = Counter((report.fan_out_id, report.partition) for report in reports)
    for (fan_out_id, partition), count in places.items():
        if count > 1:
            yield f"{name} (fan-out {short(fan_out_id)}) ended {count} times on partition {partition}"
    for fan_out_id, partitions in {(report.fan_out_id, report.partitions) for report in reports}:
        reached = sum(each == fan_out_id for each, _ in places)
        if reached != partitions:
            yield f"{name} (fan-out {short(fan_out_id)}) reached {reached} of {partitions} partitions"
    if all(report.stage.ended for report in reports):
        counted = sum(count for report in reports for _, _, count in report.counts)
        found = sum(decision.revision == 0 and bool(decision.customer) for decision in decisions)
        if counted != found:
            yield f"{name} counted {counted} decisions, {found} are there"


def _identity(decision: DecisionRecord) -> Identity:
    return decision.tenant, decision.source, decision.event_id


def _by_decision(decisions: Sequence[DecisionRecord]) -> Iterator[list[DecisionRecord]]:
    found: dict[bytes, list[DecisionRecord]] = defaultdict(list)
    for decision in decisions:
        found[decision.decision_id].append(decision)
    return iter(found.values())


def _revisions(revisions: Sequence[DecisionRecord]) -> Iterator[str]:
    """Find revisions that repeat, leave a gap, or follow the end of their step."""
    name = f"{about(revisions[0])} (decision {short(revisions[0].decision_id)})"
    numbers = [each.revision for each in revisions]
    if numbers != list(range(len(numbers))):
        yield f"{name} has the revisions {numbers}"
    for before, after in pairwise(revisions):
        if before.terminal and after.step <= before.step:
            yield f"{name} goes on after step {before.step} ended"


def _ended_twice(decisions: Sequence[DecisionRecord], evidence: Evidence) -> Iterator[str]:
    """Find (event, rule, customer, step) with more than one end within the memory for duplicates."""
    ends: dict[tuple[str, str, int], list[DecisionRecord]] = defaultdict(list)
    for decision in decisions:
        again = decision.reason in (Reason.DUPLICATE, Reason.ID_REUSED)
        if decision.terminal and not again and decision.outcome is not Outcome.ERROR:
            ends[decision.rule, decision.key, decision.step].append(decision)
    for same in ends.values():
        for before, after in pairwise(sorted(same, key=lambda each: (each.accepted, each.offset))):
            policy = evidence.policies.get(after.policy_hash)
            window = policy.defaults.dedup_window if policy is not None else DAY
            if after.accepted - before.accepted < window:
                yield f"{about(after)} ended {before.reason.name} and again {after.reason.name}"
