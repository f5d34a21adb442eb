"""When something happens in a rule test: an offset from its start (`25m`, `1h30m`) or an instant of RFC 3339."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from services.policy import words
from services.policy.words import WordError
from services.router.decision.model import DAY, HOUR, MINUTE, SECOND

_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"))
_OFFSET = re.compile(
    r"(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})(?:\.([0-9]{1,6}))?s)?\Z", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(Struct, frozen=True):
    """A time as it was written: microseconds after the start, or since 1970."""

    time: int
    relative: bool

    def after(self, start: int) -> int:
        """Return the instant in microseconds since 1970."""
        return start + self.time if self.relative else self.time


def moment(text: str) -> Moment:
    """Read an offset or an instant."""
    match = _OFFSET.match(text)
    if match is not None and text:
        days, hours, minutes, seconds, fraction = match.groups(default="0")
        whole = int(days) * DAY + int(hours) * HOUR + int(minutes) * MINUTE + int(seconds) * SECOND
        return Moment(whole + int(fraction.ljust(6, "0")), relative=True)
    if text.startswith("-"):
        raise WordError(f"{text[:40]!r} lies before the start: an offset is not negative")
    try:
        return Moment(instant(text), relative=False)
    except WordError:
        if words.lacks_offset(text):
            raise
        message = f"{text[:40]!r} is neither an offset such as 0m, 90s or 1h30m nor an instant with its offset from UTC"
        raise WordError(message) from None


def instant(text: str) -> int:
    """Return microseconds since 1970 of an instant of RFC 3339."""
    return (words.instant(text) - _EPOCH) // timedelta(microseconds=1)


def iso(time: int) -> str:
    """Return an instant as RFC 3339 in UTC, with no more digits than it needs in threes."""
    moment = _EPOCH + timedelta(microseconds=time)
    digits = "seconds" if time % SECOND == 0 else "milliseconds" if time % 1_000 == 0 else "microseconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def offset(time: int, start: int) -> str:
    """Return an instant as a test writes it: `12m`, `1h30m`, `7h3m12.25s`."""
    rest = time - start
    if rest < 0:
        return iso(time)
    text = ""
    for unit, name in _UNITS:
        if rest >= unit:
            text += f"{rest // unit}{name}"
            rest %= unit
    if rest:
        text += f"{rest // SECOND}" + (f".{rest % SECOND:06}".rstrip("0") if rest % SECOND else "") + "s"
    return text or "0m"
