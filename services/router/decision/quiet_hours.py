"""Quiet hours: local windows in the customer's zone (semantics 6; check 11).

A window is `[start, end)` on the day it starts and may cross midnight. Its ends are made instants first, and only
instants are compared (see `local_time`). Windows that touch or overlap are one. Held messages are spread behind the
end by a hash, so that the morning does not begin with a crowd; the same customer and end always give the same spread.
A closing message is held where others are dropped: who was told that it broke is told that it is over.
"""

from datetime import date, timedelta
from hashlib import blake2b

from msgspec import msgpack

from services.router.decision import local_time
from services.router.decision.case import Allowed, Blocked, Case, Then
from services.router.decision.model import DAY, MessageClass, Over, QuietPolicy, QuietTimes, Reason, Window

_CRITICAL = MessageClass.CRITICAL
_NOWHERE = QuietPolicy(QuietTimes(None), (), Over.HOLD, 0)
_DAYS_THAT_CAN_JOIN = 8
_KNOWN_LIMIT = 4096
# What `end` found last, by the identity of the times and the zone: an answer and the instants for which it holds.
_known: dict[tuple[int, str], tuple[int, int, int, QuietTimes]] = {}


def check(case: Case, allowed: Allowed) -> Blocked | None:
    """Check 11 for one channel of the plan."""
    rule, policy = case.rule, case.policy.defaults.quiet_hours or _NOWHERE
    if rule.message_class is _CRITICAL or not rule.respects_quiet_hours:
        return None
    if policy.channels and allowed.channel not in policy.channels:
        return None
    if case.quiet_until is None:
        case.quiet_until = end(case.draft.profile.quiet_hours or policy.times, case.timezone, case.now)
    until = case.quiet_until
    if not until:
        return None
    if policy.over is Over.DROP and not case.closure:
        return Blocked(Reason.QUIET_HOURS, Then.DROP, until)
    then = Then.NEXT if policy.over is Over.REROUTE else Then.HOLD
    return Blocked(Reason.QUIET_HOURS, then, until, until + spread(case.draft.origin.id, until, policy.release_spread))


def end(times: QuietTimes, timezone: str, now: int) -> int:
    """Return when the quiet hours around this instant end, 0 if there are none around it."""
    place = (id(times), timezone)
    known = _known.get(place)
    if known is not None and known[3] is times and known[0] <= now < known[1]:
        return known[2]
    until = _end_of_all(times, timezone, now)
    if len(_known) >= _KNOWN_LIMIT:
        _known.clear()
    _known[place] = (now, until or _next_start(times, timezone, now), until, times)
    return until


def spread(customer: str, until: int, within: int) -> int:
    """Return how long after the end of quiet hours a held message goes, less than `within`."""
    if within <= 0:
        return 0
    return int.from_bytes(blake2b(msgpack.encode((customer, until)), digest_size=8).digest(), "big") % within


def _end_of_all(times: QuietTimes, timezone: str, now: int) -> int:
    until = now
    for _ in range(_DAYS_THAT_CAN_JOIN):
        later = _end_of_window(times, timezone, until)
        if not later:
            break
        until = later
    return until if until > now else 0


def _end_of_window(times: QuietTimes, timezone: str, now: int) -> int:
    today = local_time.day_of(now, timezone)
    for day in (today - timedelta(days=1), today):
        window = times.of_day(day.weekday())
        if window is not None:
            start, until = _instants(window, day, timezone)
            if start <= now < until:
                return until
    return 0


def _next_start(times: QuietTimes, timezone: str, now: int) -> int:
    """Return an instant after now before which no quiet hours begin: the next start, at most a day from now."""
    today, soonest = local_time.day_of(now, timezone), now + DAY
    for day in (today, today + timedelta(days=1)):
        window = times.of_day(day.weekday())
        if window is not None:
            start, _ = _instants(window, day, timezone)
            if now < start < soonest:
                soonest = start
    return soonest


def _instants(window: Window, day: date, timezone: str) -> tuple[int, int]:
    last_day = day + timedelta(days=1) if window.start > window.end else day
    return local_time.instant(day, window.start, timezone), local_time.instant(last_day, window.end, timezone)
