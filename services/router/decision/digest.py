"""Digests: several messages in one (semantics 3, check 10 and Digest).

A customer who wants `digest` for a category and channel gets what belongs there at his next flush, by his own times or
the policy's. A flush decides all its members against the ledger as it was before; those that pass share one send on
each channel, and one admission. A message that the flush holds again (quiet hours, a cap, a pause) stays a member.
Class critical and required categories are never put into a digest by a preference.
"""

from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from services.router.decision import ids, lifecycle, local_time
from services.router.decision.case import Allowed, Blocked, Case, Draft, Ended, Then
from services.router.decision.model import (
    HOUR,
    Admission,
    Digest,
    DigestTimes,
    Hold,
    Item,
    MessageClass,
    Outcome,
    Part,
    Reason,
    Value,
)

_DIGEST = Value.DIGEST
_DAYS_THAT_CAN_LACK_A_FLUSH = 3
# What one send carries: its record has to be smaller than what Kafka takes, its text than what people read.
_MOST = 100
_LARGEST = 128 * 1024
_ABOUT_AN_ITEM = 512


class Flush(Struct):
    """One flush of a customer while it is decided; `due` is the latest of its members', `id` that of its admission."""

    due: int
    id: bytes
    first: Admission | None = None
    parts: list[Part] = []
    items: dict[str, list[Item]] = {}
    keys: set[tuple[str, str]] = set()
    message_class: MessageClass = MessageClass.MARKETING
    timezone: str = ""
    locale: str = ""
    policy_hash: str = ""


def check(case: Case, allowed: Allowed) -> Blocked | None:
    """Check 10 for one channel of the plan; not for what its flush has brought here, which waited long enough."""
    if allowed.value is not _DIGEST or case.flushing or not case.policy.digests:
        return None
    if allowed.channel in case.waited:
        return None
    if case.rule.message_class is MessageClass.CRITICAL or case.category.required:
        return None
    return wait(case)


def wait(case: Case) -> Blocked:
    """Return the wait for this customer's next flush."""
    times = case.draft.profile.digest or case.policy.defaults.digest
    due = next_flush(times, case.timezone, case.now)
    return Blocked(Reason.DIGEST, Then.HOLD, due, due)


def next_flush(times: DigestTimes, timezone: str, now: int) -> int:
    """Return the next local boundary strictly after now."""
    if times.every == HOUR:
        return local_time.next_hour(now, timezone)
    today = local_time.day_of(now, timezone)
    for days in range(_DAYS_THAT_CAN_LACK_A_FLUSH):
        found = local_time.instant(today + timedelta(days=days), times.at, timezone)
        if found > now:
            return found
    raise AssertionError("a local time of day comes again within three days")


def begin(draft: Draft, members: list[Hold], now: int) -> Flush:
    """Begin the flush of these members: its id is that of no other flush of the customer."""
    # What a lifted pause releases was due later than now; two flushes at one now must not make one and the same send.
    due = min(now, max(h.due for h in members))
    taken = frozenset(a.decision_id for a in draft.admissions)
    while (flush_id := ids.digest_id(draft.origin, "", due)) in taken:
        due += 1
    return Flush(due, flush_id)


def fitting(members: list[Hold]) -> int:
    """Return how many of a flush's members one send can carry, at least one: a record must stay small."""
    size = 0
    for count, hold in enumerate(members):
        event = hold.event
        size += len(repr(event.data)) + len(event.source) + len(event.id) + len(event.subject)
        size += _ABOUT_AN_ITEM
        if count and (size > _LARGEST or count == _MOST):
            return count
    return len(members)


def once(flush: Flush, case: Case, ended: Ended) -> Ended:
    """Let one message of a rule's `once` key through in a flush, as the ledger does between flushes."""
    if ended.outcome is not Outcome.SEND or not case.once:
        return ended
    key = (case.rule.name, case.once)
    if key in flush.keys and not case.closure:
        case.verdicts, case.findings, case.detail = [], [], lifecycle.said_of_key(case.once)
        return Ended(Outcome.SUPPRESSED, Reason.ONCE)
    flush.keys.add(key)
    return ended


def strays(case: Case, ended: Ended) -> bool:
    """Whether a member's way leads to another channel than those whose digest it waited for."""
    match ended.outcome:
        case Outcome.SEND:
            return any(channel not in case.flushing for channel in case.used)
        case Outcome.HOLD:
            return not ended.digests
        case _:
            return False


def join(flush: Flush, case: Case, afters: tuple[bytes, ...]) -> None:
    """Take a message that passed into the flush; `afters` are the sends that go first, one for each channel used."""
    rule, event = case.rule, case.turn.event
    if flush.first is None:
        flush.timezone, flush.locale = case.timezone, case.draft.profile.locale or case.policy.defaults.locale
        flush.policy_hash = case.policy.hash
        flush.first = Admission(
            case.now,
            flush.id,
            case.used,
            rule.category,
            rule.message_class,
            rule.name,
            event.subject,
            closure=case.closure,
            once=case.once,
        )
    else:
        part = Part(case.used, rule.category, rule.message_class, rule.name, event.subject, case.once, case.closure)
        flush.parts.append(part)
    flush.message_class = min(flush.message_class, rule.message_class)
    for channel, after in zip(case.used, afters, strict=True):
        item = Item(case.decision_id, rule, event, case.expires, case.category.required, after)
        flush.items.setdefault(channel, []).append(item)


def close(flush: Flush, draft: Draft) -> None:
    """Let the flush count, and make its sends: after all its members were decided."""
    if flush.first is None:
        return
    first = flush.first
    draft.admissions = (*draft.admissions, replace(first, parts=tuple(flush.parts)))
    for channel in sorted(flush.items):
        send_id = ids.digest_id(draft.origin, channel, flush.due)
        draft.digests.append(
            Digest(
                send_id,
                first.decision_id,
                channel,
                first.time,
                flush.message_class,
                tuple(flush.items[channel]),
                flush.timezone,
                flush.locale,
                flush.policy_hash,
            )
        )
