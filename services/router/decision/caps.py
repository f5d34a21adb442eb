"""Frequency caps: a true sliding window over the messages that were admitted (semantics 5; check 12).

A cap counts the admissions of this customer with `now - window < time <= now`, in its scope and filter. A message is
admitted only if every cap that matches it has room, after what is reserved for more urgent classes. Exempt classes and
closures pass and still count. The first blocking cap in the policy's order says what happens; a deferred message waits
until every blocking cap would admit it, were nothing else admitted meanwhile.
Caps that do not concern channels are asked once for a decision. A digest counts once: for a cap that any of its parts
matches.
"""

from bisect import bisect_right
from operator import attrgetter

from msgspec.structs import replace

from services.router.decision import digest
from services.router.decision.case import Allowed, Blocked, Case, Then
from services.router.decision.model import Admission, Cap, CapFinding, MessageClass, Over, Part, Per, Reason

_time = attrgetter("time")
_CHANNEL, _CATEGORY, _CLASS, _RULE, _SUBJECT = Per.CHANNEL, Per.CATEGORY, Per.CLASS, Per.RULE, Per.SUBJECT

# Category, class, rule and subject that an admission must have; "" and None: any.
_Like = tuple[str, MessageClass | None, str, str]
_ANY: _Like = ("", None, "", "")
# How many of the newest counted admissions a finding tells, if the limit is lower: a record must stay small.
_SHOWN = 20


def check(case: Case, allowed: Allowed) -> Blocked | None:
    """Check 12 for one channel of the plan."""
    first: Cap | None = None
    free = 0
    admitted_again = True
    channel = allowed.channel
    for cap in case.policy.caps:
        if not _concerns(cap, case, channel):
            continue
        finding = _ask(cap, case, channel)
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
        case.once,
    )


def release(admissions: tuple[Admission, ...], decision_id: bytes, step: int, channel: str) -> tuple[Admission, ...]:
    """Take back one channel of an admission whose message certainly was not sent; the same object if there is none."""
    for at in range(len(admissions) - 1, -1, -1):
        found = admissions[at]
        if found.decision_id == decision_id and found.step == step:
            return (*admissions[:at], *_without(found, channel), *admissions[at + 1 :])
    return admissions


def limit_for(cap: Cap, message_class: MessageClass) -> int:
    """Return the limit for a class: what is reserved for the classes above it is not for it."""
    limit = cap.limit
    for above, kept in cap.reserve:
        if above < message_class:
            limit -= kept
    return limit


def _without(found: Admission, channel: str) -> tuple[Admission, ...]:
    """Return an admission without a channel, nothing if it has no other."""
    channels = tuple(c for c in found.channels if c != channel)
    parts = tuple(replace(p, channels=tuple(c for c in p.channels if c != channel)) for p in found.parts)
    if not channels and not any(p.channels for p in parts):
        return ()
    return (replace(found, channels=channels, parts=parts),)


def _concerns(cap: Cap, case: Case, channel: str) -> bool:
    rule = case.rule
    return (
        (not cap.where_channel or cap.where_channel == channel)
        and (not cap.where_category or cap.where_category == rule.category)
        and (cap.where_class is None or cap.where_class is rule.message_class)
        and (not cap.where_rule or cap.where_rule == rule.name)
        and (cap.per is not _SUBJECT or case.turn.event.subject != "")
    )


def _ask(cap: Cap, case: Case, channel: str) -> CapFinding:
    if cap.per is _CHANNEL or cap.where_channel:
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
    """Count, and say when there is room again."""
    rule = case.rule
    message_class = rule.message_class
    times = counted(cap, case, channel)
    limit = limit_for(cap, message_class) if cap.reserve else cap.limit
    exempt = case.closure or message_class in cap.exempt
    used = len(times)
    blocked = used >= limit and not exempt
    # The cap admits again when so many have left the window that fewer than the limit are in it.
    next_free = times[used - limit] + cap.window if blocked and limit > 0 else 0
    shown = times if used <= _SHOWN else times[-max(_SHOWN, limit) :]
    return CapFinding(cap.name, channel, used, limit, cap.window, blocked, next_free, tuple(shown), exempt)


def counted(cap: Cap, case: Case, channel: str) -> list[int]:
    """Return when the admissions were made that a cap counts for this message. None is later than now."""
    ledger, since = case.draft.admissions, case.now - cap.window
    if ledger and ledger[0].time <= since:
        ledger = ledger[bisect_right(ledger, since, key=_time) :]
    like = _like(cap, case)
    if like != _ANY:
        return [a.time for a in ledger if _counts(like, channel, a) or _in_part(like, channel, a)]
    if not channel:
        return [a.time for a in ledger]
    return [a.time for a in ledger if channel in a.channels or _in_part(like, channel, a)]


def _like(cap: Cap, case: Case) -> _Like:
    """Return what an admission must have to be in the filter of a cap that concerns this message, and in its scope."""
    rule, per = case.rule, cap.per
    return (
        rule.category if cap.where_category or per is _CATEGORY else "",
        rule.message_class if cap.where_class is not None or per is _CLASS else None,
        rule.name if cap.where_rule or per is _RULE else "",
        case.turn.event.subject if per is _SUBJECT else "",
    )


def _counts(like: _Like, channel: str, a: Admission | Part) -> bool:
    """Whether an admission, or a part of one, is as it must be; without any channel it was not sent."""
    category, message_class, rule, subject = like
    return (
        (channel in a.channels if channel else bool(a.channels))
        and (not category or category == a.category)
        and (message_class is None or message_class is a.message_class)
        and (not rule or rule == a.rule)
        and (not subject or subject == a.subject)
    )


def _in_part(like: _Like, channel: str, a: Admission) -> bool:
    return any(_counts(like, channel, p) for p in a.parts) if a.parts else False


def _action(cap: Cap, case: Case, free: int) -> Blocked:
    """Return what the cap that names the action wants; `free` is 0 when waiting would never help."""
    match cap.over:
        case Over.REROUTE:
            return Blocked(Reason.CAP_REACHED, Then.NEXT, free)
        case Over.DROP | Over.HOLD:
            return Blocked(Reason.CAP_REACHED, Then.DROP, free)
        case Over.DIGEST:
            return digest.wait(case)
        case Over.DEFER:
            last = (case.first_held or case.now) + (cap.max_hold or cap.window)
            if not free or free > last:
                return Blocked(Reason.CAP_REACHED, Then.DROP, free)
            return Blocked(Reason.CAP, Then.HOLD, free, free)
