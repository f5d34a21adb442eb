"""Local times, reckoned the slow way: a wall clock is looked at minute by minute where it jumps.

A local time that does not exist is the first instant after the gap, one that exists twice is the first (semantics 6).
Quiet hours are every window of the days around now, each from its first instant to its last.
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from services.router.decision.model import DAY, HOUR, MINUTE, DigestTimes, QuietTimes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def local(now: int, zone: str) -> datetime:
    """Return what the clock on the wall shows."""
    return (EPOCH + timedelta(microseconds=now)).astimezone(ZoneInfo(zone))


@cache
def instant(zone: str, day: date, minutes: int) -> int:
    """Return the first instant at which the clocks of a zone show this time of the day, or a later one."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001 - a wall has no zone
    offsets = {wall.replace(tzinfo=ZoneInfo(zone), fold=f).utcoffset() for f in (0, 1)}
    exact = [wall.replace(tzinfo=UTC) - offset for offset in offsets if offset is not None]
    found = [at for at in exact if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall]
    if found:
        return (min(found) - EPOCH) // timedelta(microseconds=1)
    at = min(exact)
    while at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < wall:
        at += timedelta(minutes=1)
    return (at - EPOCH) // timedelta(microseconds=1)


def quiet_until(times: QuietTimes, zone: str, now: int) -> int:
    """Return when the quiet hours that hold at `now` are over, 0 when it is not quiet."""
    until = now
    while True:
        ends = [end for start, end in windows(times, zone, until) if start <= until < end]
        if not ends:
            return until if until > now else 0
        until = max(ends)


def windows(times: QuietTimes, zone: str, now: int) -> list[tuple[int, int]]:
    """Return the windows that start on the days around now, as instants."""
    found = []
    today = local(now, zone).date()
    for away in (-2, -1, 0, 1):
        day = today + timedelta(days=away)
        window = times.days[day.weekday()] or times.every
        if window is not None:
            last = day if window.start < window.end else day + timedelta(days=1)
            found.append((instant(zone, day, window.start), instant(zone, last, window.end)))
    return found


def next_flush(times: DigestTimes, zone: str, now: int) -> int:
    """Return the first flush strictly after now."""
    today = local(now, zone).date()
    minutes = [times.at] if times.every == DAY else range(0, DAY // MINUTE, HOUR // MINUTE)
    found = [instant(zone, today + timedelta(days=away), at) for away in (-1, 0, 1, 2) for at in minutes]
    return min(at for at in found if at > now)
