"""The one place where the wall clock is read.

Instants are whole microseconds since 1970 UTC everywhere in Clarion.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the instant; a test gives its own."""

    def now(self) -> int:
        """Return microseconds since 1970 UTC."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return microseconds since 1970 UTC."""
        return time.time_ns() // 1000  # noqa: TID251  # this is the one place


def iso(instant: int) -> str:
    """Return an instant as RFC 3339 in UTC with microseconds."""
    seconds, micros = divmod(instant, 1_000_000)  # a float would round the last microseconds of a far year up
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
