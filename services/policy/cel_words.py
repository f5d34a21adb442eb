"""Durations and instants written in a condition, in microseconds; what is unsure or finer stays in the library."""

import re
from typing import Final

from services.policy.cel_values import SPAN_MAX, TIME_MAX, TIME_MIN, moment
from services.router.decision.model import HOUR, MINUTE, SECOND

_UNITS: Final = {"h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1000, "us": 1}
_PART: Final = re.compile(r"([0-9]{1,12})(h|ms|m|s|us)", re.ASCII)
_DURATION: Final = re.compile(r"-?(?:[0-9]{1,12}(?:h|ms|m|s|us))+\Z", re.ASCII)
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})\Z", re.ASCII
)


def duration_of(word: str) -> int | None:
    """Return the microseconds of `1h30m`."""
    if _DURATION.match(word) is None:
        return None
    total = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(word))
    return (-total if word.startswith("-") else total) if total <= SPAN_MAX else None


def instant_of(word: str) -> int | None:
    """Return the microseconds of `2026-03-28T22:30:00+01:00`."""
    found = moment(word) if _INSTANT.match(word) else None
    return found if found is not None and TIME_MIN <= found <= TIME_MAX else None
