"""Instants and the local time of a zone (semantics 6).

A local time that does not exist is the first instant after the gap, one that exists twice is the first of the two.
Instants are microseconds since 1970 UTC, local times of day minutes after midnight. An unknown zone is UTC.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from services.router.decision.model import HOUR, SECOND, Defaults, Profile

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def zone_of(profile: Profile, defaults: Defaults) -> str:
    """Return the name of the zone that is used for a customer: his, else the tenant's."""
    for name in (profile.timezone, defaults.timezone):
        if name and _zone(name) is not None:
            return name
    return "UTC"


def written(now: int, timezone: str) -> str:
    """Return the local time of an instant, ISO 8601 with its offset."""
    return _written(now // SECOND, timezone)


def day_of(now: int, timezone: str) -> date:
    """Return the local date of an instant."""
    return _local(now, timezone).date()


def instant(day: date, minutes: int, timezone: str) -> int:
    """Return the instant of a local time: the first of two, the first after a gap."""
    zone = _known(timezone)
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != wall:
        found = _after_gap(wall, found, zone)
    return (found - _EPOCH) // _MICROSECOND


def next_hour(now: int, timezone: str) -> int:
    """Return the next full hour by the local clock, strictly after now."""
    wall = _local(now, timezone)
    for hours in range(1, 5):
        found = instant(wall.date(), (wall.hour + hours) * 60, timezone)
        if found > now:
            return found
    return now + HOUR


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


def _local(now: int, timezone: str) -> datetime:
    return (_EPOCH + timedelta(microseconds=now)).astimezone(_known(timezone))


@lru_cache(maxsize=4096)
def _written(second: int, timezone: str) -> str:
    return _local(second * SECOND, timezone).isoformat(timespec="seconds")


def _known(timezone: str) -> ZoneInfo:
    return _zone(timezone) or ZoneInfo("UTC")


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return None
