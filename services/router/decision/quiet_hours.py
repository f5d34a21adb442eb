"""Quiet hours: local windows in the customer's zone (semantics 6; check 11).

A window is `[start, end)` on the day it starts and may cross midnight. Its ends are made instants first, and only
instants are compared: a local time that does not exist is the first instant after the gap, one that exists twice is
the first. Windows that touch or overlap are one. Held messages are spread behind the end by a hash, so that the
morning does not begin with a crowd; the same customer and end always give the same spread.
A closing message is held where others are dropped: who was told that it broke is told that it is over.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

from msgspec import msgpack

from services.router.decision.case import Allowed, Blocked, Case, Then
from services.router.decision.model import (
    Defaults,
    MessageClass,
    Over,
    Profile,
    QuietPolicy,
    QuietTimes,
    Reason,
    Window,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOWHERE = QuietPolicy(QuietTimes(None), (), Over.HOLD, 0)
_DAYS_THAT_CAN_JOIN = 8


def check(case: Case, allowed: Allowed) -> Blocked | None:
    """Check 11 for one channel of the plan."""
    rule, policy = case.rule, case.policy.defaults.quiet_hours or _NOWHERE
    if rule.message_class is MessageClass.CRITICAL or not rule.respects_quiet_hours:
        return None
    if policy.channels and allowed.channel not in policy.channels:
        return None
    if case.quiet_until is None:
        times = case.draft.profile.quiet_hours or policy.times
        case.quiet_until = end(times, case.timezone, case.now)
    until = case.quiet_until
    if not until:
        return None
    if policy.over is Over.DROP and not case.closure:
        return Blocked(Reason.QUIET_HOURS, Then.DROP, until)
    then = Then.NEXT if policy.over is Over.REROUTE else Then.HOLD
    return Blocked(Reason.QUIET_HOURS, then, until, until + spread(case.draft.origin.id, until, policy.release_spread))


def zone_of(profile: Profile, defaults: Defaults) -> str:
    """Return the name of the zone that is used for a customer: his, else the tenant's."""
    for name in (profile.timezone, defaults.timezone):
        if name and _zone(name) is not None:
            return name
    return "UTC"


def local(now: int, timezone: str) -> str:
    """Return the local time of an instant, ISO 8601 with its offset."""
    return _local(now, _known(timezone)).isoformat(timespec="seconds")


def end(times: QuietTimes, timezone: str, now: int) -> int:
    """Return when the quiet hours around this instant end, 0 if there are none around it."""
    zone = _known(timezone)
    until = now
    for _ in range(_DAYS_THAT_CAN_JOIN):
        later = _end_of_window(times, zone, until)
        if not later:
            break
        until = later
    return until if until > now else 0


def spread(customer: str, until: int, within: int) -> int:
    """Return how long after the end of quiet hours a held message goes, less than `within`."""
    if within <= 0:
        return 0
    return int.from_bytes(blake2b(msgpack.encode((customer, until)), digest_size=8).digest(), "big") % within


def _end_of_window(times: QuietTimes, zone: ZoneInfo, now: int) -> int:
    today = _local(now, zone).date()
    for day in (today - timedelta(days=1), today):
        window = times.of_day(day.weekday())
        if window is not None:
            start, until = _instants(window, day, zone)
            if start <= now < until:
                return until
    return 0


def _instants(window: Window, day: date, zone: ZoneInfo) -> tuple[int, int]:
    last_day = day + timedelta(days=1) if window.start > window.end else day
    return _instant(day, window.start, zone), _instant(last_day, window.end, zone)


def _instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    """Return the instant of a local time: the first of two, the first after a gap."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != wall:
        instant = _after_gap(wall, instant, zone)
    return (instant - _EPOCH) // _MICROSECOND


def _after_gap(wall: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Find the change of a zone's offset that skips a local time: between its two readings, by halving."""
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=int((late - early).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _local(now: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=now)).astimezone(zone)


def _known(timezone: str) -> ZoneInfo:
    return _zone(timezone) or ZoneInfo("UTC")


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return None
