"""No cap is exceeded: in any window of its length at most its limit was admitted.

Counted anew from the admissions in the decisions: before each admission that a cap limits, fewer than its limit (less
what is reserved for more urgent classes) lie within the half-open window before it. Exempt classes and closures count
and are not limited; what was released counts no more. A digest counts once for all its decisions, each of which was
held against what lay before it.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from services.control.audit.evidence import Evidence, Promise, about
from services.control.records import DecisionRecord
from services.router.decision.model import Cap, MessageClass, Per, Reason


class _Counted(Struct, frozen=True):
    """One admission on one channel, as a cap sees it."""

    decision: DecisionRecord
    channel: str


def caps_kept(evidence: Evidence) -> Promise:
    """Check every cap of every policy on the admissions made under it, in order of the log."""
    released = evidence.released()
    broken: list[str] = []
    looked_at = 0
    for policy_hash, policy in evidence.policies.items():
        for cap in policy.caps:
            for scope in _scopes(cap, evidence, released):
                looked_at += 1
                broken += _exceeded(cap, scope, policy_hash)
    return Promise("no cap is exceeded", looked_at, "counts of a cap", tuple(sorted(broken)))


def _scopes(cap: Cap, evidence: Evidence, released: frozenset[bytes]) -> Iterator[list[_Counted]]:
    """Return the admissions that a cap counts together."""
    scopes: dict[tuple[str, ...], list[_Counted]] = defaultdict(list)
    by_channel = cap.per is Per.CHANNEL or bool(cap.where_channel)
    for decision in evidence.sent():
        used = _channels_used(decision, released)
        for channel in used if by_channel else ("",) if used else ():
            counted = _Counted(decision, channel)
            if _matches(cap, counted) and (scope := _scope(cap, counted)) is not None:
                scopes[decision.tenant, decision.customer, *scope].append(counted)
    return iter(scopes.values())


def _channels_used(decision: DecisionRecord, released: frozenset[bytes]) -> tuple[str, ...]:
    """Return the channels on which it may have been sent."""
    sends = zip(decision.channels, decision.send_ids, strict=True)
    return tuple(channel for channel, send_id in sends if send_id not in released)


def _matches(cap: Cap, counted: _Counted) -> bool:
    decision = counted.decision
    return (
        cap.where_channel in ("", counted.channel)
        and cap.where_category in ("", decision.category)
        and cap.where_class in (None, decision.message_class)
        and cap.where_rule in ("", decision.rule)
    )


def _scope(cap: Cap, counted: _Counted) -> tuple[str, ...] | None:
    """Return what else than the customer must be the same; None: the cap does not concern it."""
    decision = counted.decision
    match cap.per:
        case Per.CUSTOMER:
            return ()
        case Per.CHANNEL:
            return (counted.channel,)
        case Per.CATEGORY:
            return (decision.category,)
        case Per.CLASS:
            return (str(decision.message_class),)
        case Per.RULE:
            return (decision.rule,)
        case Per.SUBJECT:
            return (decision.source, decision.subject) if decision.subject else None


def _exceeded(cap: Cap, scope: list[_Counted], policy_hash: str) -> Iterator[str]:
    """Find admissions that the cap should have refused; a scope lies in one partition, so offsets are its order."""
    times: list[int] = []
    digest = b""
    for counted in sorted(scope, key=lambda each: each.decision.offset):
        decision, time = counted.decision, _time(counted)
        before = len(times) - 1 if decision.digest and decision.digest == digest else len(times)
        digest = decision.digest
        if before == len(times):
            times.append(time)
        if decision.policy_hash != policy_hash or _unlimited(cap, decision):
            continue
        used = before - bisect_right(times, time - cap.window, hi=before)
        limit = cap.limit - _reserved(cap, decision.message_class)
        if used >= limit:
            yield f"cap {cap.name}: {about(decision)} was admitted with {used} of {limit} used"


def _time(counted: _Counted) -> int:
    return counted.decision.admitted or counted.decision.decided


def _unlimited(cap: Cap, decision: DecisionRecord) -> bool:
    return decision.reason is Reason.CLOSURE or decision.message_class in cap.exempt


def _reserved(cap: Cap, message_class: MessageClass | None) -> int:
    """Return what the cap keeps for classes more urgent than this one."""
    return sum(count for urgent, count in cap.reserve if message_class is not None and urgent < message_class)
