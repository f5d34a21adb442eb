"""Frequency caps: a true sliding window over the messages that were admitted (semantics 5; check 12).

A cap counts the unreleased admissions of this customer with `now - window < time <= now`, in its scope and filter.
A message is admitted only if every cap that matches it has room, after what is reserved for more urgent classes.
Exempt classes and closures pass and still count. The first blocking cap in the policy's order says what happens;
a deferred message waits until every blocking cap would admit it, were nothing else admitted meanwhile.
Caps that do not concern channels are asked once for a decision.
"""

from bisect import bisect_right
from operator import attrgetter

from msgspec.structs import replace

from services.router.decision.case import Allowed, Blocked, Case, Then
from services.router.decision.model import Admission, Cap, CapFinding, MessageClass, Over, Per, Policy, Reason

_time = attrgetter("time")


# How many of the newest counted admissions a finding tells, if the limit is lower: a record must stay small.
_SHOWN = 20


def check(case: Case, allowed: Allowed) -> Blocked | None:
    """Check 12 for one channel of the plan."""
    first: Cap | None = None
    free = 0
    admitted_again = True
    for cap in case.policy.caps:
        if not _concerns(cap, case, allowed.channel):
            continue
        finding = _ask(cap, case, allowed.channel)
        if finding.blocked:
            first = first or cap
            free = max(free, finding.next_free)
            admitted_again = admitted_again and finding.next_free > 0
    if first is None:
        return None
    return _action(first, case, free if admitted_again else 0)


def admission(case: Case, channels: tuple[str, ...]) -> Admission:
    """Return what the ledger remembers of this decision, now that it sends."""
    rule = case.rule
    return Admission(
        case.now,
        case.decision_id,
        channels,
        rule.category,
        rule.message_class,
        rule.name,
        case.turn.event.subject,
        case.step,
        case.closure,
    )


def release(admissions: tuple[Admission, ...], decision_id: bytes, step: int, channel: str) -> tuple[Admission, ...]:
    """Take back one channel of an admission whose message certainly was not sent; the same object if there is none."""
    for at in range(len(admissions) - 1, -1, -1):
        found = admissions[at]
        if found.decision_id == decision_id and found.step == step:
            if found.released or channel not in found.channels:
                return admissions
            left = tuple(c for c in found.channels if c != channel)
            changed = replace(found, channels=left) if left else replace(found, released=True)
            return (*admissions[:at], changed, *admissions[at + 1 :])
    return admissions


def longest_window(policy: Policy) -> int:
    """Return how long an admission can matter."""
    return max((cap.window for cap in policy.caps), default=0)


def limit_for(cap: Cap, message_class: MessageClass) -> int:
    """Return the limit for a class: what is reserved for the classes above it is not for it."""
    return cap.limit - sum(kept for above, kept in cap.reserve if above < message_class)


def by_channel(cap: Cap) -> bool:
    """Whether a cap concerns channels; the others are asked once for a decision."""
    return cap.per is Per.CHANNEL or cap.where_channel != ""


def _concerns(cap: Cap, case: Case, channel: str) -> bool:
    rule = case.rule
    return (
        cap.where_channel in ("", channel)
        and cap.where_category in ("", rule.category)
        and cap.where_class in (None, rule.message_class)
        and cap.where_rule in ("", rule.name)
        and (cap.per is not Per.SUBJECT or case.turn.event.subject != "")
    )


def _ask(cap: Cap, case: Case, channel: str) -> CapFinding:
    if by_channel(cap):
        finding = _find(cap, case, channel)
        case.findings.append(finding)
        return finding
    asked = case.asked.get(cap.name)
    if asked is None:
        asked = _find(cap, case, "")
        case.asked[cap.name] = asked
        case.findings.append(asked)
    return asked


def _find(cap: Cap, case: Case, channel: str) -> CapFinding:
    """Count, and say when there is room again. No admission is later than now: now never goes back."""
    ledger = case.draft.admissions
    start = bisect_right(ledger, case.now - cap.window, key=_time)
    times = tuple(a.time for a in ledger[start:] if _counts(cap, a, case, channel))
    limit = limit_for(cap, case.rule.message_class)
    exempt = case.closure or case.rule.message_class in cap.exempt
    used = len(times)
    blocked = used >= limit and not exempt
    # The cap admits again when so many have left the window that fewer than the limit are in it.
    next_free = times[used - limit] + cap.window if blocked and limit > 0 else 0
    shown = times[-max(limit, _SHOWN) :]
    return CapFinding(cap.name, channel, used, limit, cap.window, blocked, next_free, shown, exempt)


def _counts(cap: Cap, a: Admission, case: Case, channel: str) -> bool:
    """Whether an admission is in the cap's filter and in the scope of this message."""
    if (
        a.released
        or (channel and channel not in a.channels)
        or cap.where_category not in ("", a.category)
        or cap.where_class not in (None, a.message_class)
        or cap.where_rule not in ("", a.rule)
    ):
        return False
    rule = case.rule
    match cap.per:
        case Per.CUSTOMER | Per.CHANNEL:
            return True
        case Per.CATEGORY:
            return a.category == rule.category
        case Per.CLASS:
            return a.message_class is rule.message_class
        case Per.RULE:
            return a.rule == rule.name
        case Per.SUBJECT:
            return a.subject == case.turn.event.subject


def _action(cap: Cap, case: Case, free: int) -> Blocked:
    """Return what the cap that names the action wants; `free` is 0 when waiting would never help."""
    match cap.over:
        case Over.REROUTE:
            return Blocked(Reason.CAP_REACHED, Then.NEXT, free)
        case Over.DROP:
            return Blocked(Reason.CAP_REACHED, Then.DROP, free)
        case Over.DEFER | Over.DIGEST | Over.HOLD:
            last = (case.first_held or case.now) + (cap.max_hold or cap.window)
            if not free or free > last:
                return Blocked(Reason.CAP_REACHED, Then.DROP, free)
            return Blocked(Reason.CAP, Then.HOLD, free, free)
