"""A zone in which it is noon, whatever the hour: quiet hours of the night never hide what is tested."""

from services.common.clock import WallClock

_HOUR = 3_600_000_000
_NOON = 12


def daytime_zone() -> str:
    """Return an IANA zone in which the local time is between 12:00 and 13:00 now."""
    ahead = _NOON - WallClock().now() // _HOUR % 24
    # The signs of these zones are those of POSIX: Etc/GMT-3 is three hours ahead.
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"
