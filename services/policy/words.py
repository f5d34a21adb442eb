"""The closed words and small formats of the policy language: channels, durations, times, zones, locales.

Each reader takes what a person wrote and returns the core's form; what it can't read raises ValueError with the
reason as people should see it.
"""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError

from services.policy.mistakes import nearest
from services.router.decision.model import MINUTE, SECOND, MessageClass, Over, Per, Value

CHANNELS: Final = ("push", "sms", "email", "chat", "webhook", "inbox", "gateway")
CLASSES: Final = {
    "critical": MessageClass.CRITICAL,
    "transactional": MessageClass.TRANSACTIONAL,
    "informational": MessageClass.INFORMATIONAL,
    "marketing": MessageClass.MARKETING,
}
VALUES: Final = {"instant": Value.INSTANT, "digest": Value.DIGEST, "off": Value.OFF}
CAP_OVERS: Final = {"drop": Over.DROP, "defer": Over.DEFER, "reroute": Over.REROUTE, "digest": Over.DIGEST}
QUIET_OVERS: Final = {"hold": Over.HOLD, "reroute": Over.REROUTE, "drop": Over.DROP}
PERS: Final = {
    "customer": Per.CUSTOMER,
    "channel": Per.CHANNEL,
    "category": Per.CATEGORY,
    "class": Per.CLASS,
    "rule": Per.RULE,
    "subject": Per.SUBJECT,
}
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ATTRIBUTE_TYPES: Final = ("string", "int", "number", "bool", "date", "timestamp")
LIFECYCLES: Final = ("point", "opened", "updated", "resolved", "cancelled")
SEVERITIES: Final = ("info", "minor", "major", "critical")

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": 60 * MINUTE, "d": 24 * 60 * MINUTE}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])\Z", re.ASCII)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z", re.ASCII)
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?\Z", re.ASCII)
_DAY_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
# The form of RFC 3339 and nothing of what Python takes besides it (weeks, basic form, commas).
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z", re.ASCII
)


_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?\Z", re.ASCII)


class WordError(ValueError):
    """What was written can't be read; `suggestion` is what was probably meant, or ""."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.suggestion = suggestion


def duration(text: str) -> int:
    """Return microseconds of `90s`, `15m`, `4h` or `7d`."""
    match = _DURATION.match(text)
    if match is None:
        raise WordError(f"{text[:40]!r} is not a duration such as 90s, 15m, 4h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def minute_of_day(text: str) -> int:
    """Return minutes after midnight of `22:00`."""
    match = _TIME.match(text)
    if match is None:
        raise WordError(f'{text[:40]!r} is not a time of day such as "22:00"')
    return int(match[1]) * 60 + int(match[2])


@cache
def _zones() -> frozenset[str]:
    return frozenset(zone for zone in available_timezones() if zone not in {"localtime", "Factory"})


def zone(text: str) -> str:
    """Return the name of an IANA zone."""
    if text not in _zones():
        raise WordError(f"{text[:60]!r} is not a time zone", nearest(text, _zones()))
    return text


def locale(text: str) -> str:
    """Return a locale such as `de` or `de-AT`."""
    if _LOCALE.match(text) is None:
        raise WordError(f"{text[:40]!r} is not a locale such as de or de-AT")
    if not _known(text):
        raise WordError(f"{text[:40]!r} is not a known locale")
    return text


@cache
def _known(text: str) -> bool:
    try:
        Locale.parse(text, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True


def lacks_offset(text: str) -> bool:
    """Say whether this would be an instant, but for its offset from UTC."""
    return _LOCAL.match(text) is not None


def instant(text: str) -> datetime:
    """Return an instant of RFC 3339, in UTC."""
    if lacks_offset(text):
        raise WordError(f"{text!r} has no offset from UTC: write it at the end, such as +01:00")
    if _INSTANT.match(text) is None:
        raise WordError("this is not an instant such as 2026-03-28T22:30:00+01:00")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WordError("this is not an instant such as 2026-03-28T22:30:00+01:00") from error


def is_day(text: str) -> bool:
    """Say whether this is a date such as `2026-03-28`."""
    if _DAY_PATTERN.match(text) is None:
        return False
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
