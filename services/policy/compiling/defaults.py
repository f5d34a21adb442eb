"""What holds for customers who said nothing."""

from services.policy import words
from services.policy.shapes import Digest, QuietHours, TenantFile
from services.router.decision.model import (
    DAY,
    HOUR,
    Defaults,
    DigestTimes,
    Preference,
    QuietPolicy,
    QuietTimes,
    Window,
)


def defaults(tenant: TenantFile) -> Defaults:
    """Return the defaults of a tenant."""
    stated = tenant.defaults
    preferences = [
        *(Preference("", channel, words.VALUES[value]) for channel, value in stated.preferences.channel.items()),
        *(Preference(category, "", words.VALUES[value]) for category, value in stated.preferences.category.items()),
    ]
    return Defaults(
        locale=stated.locale,
        timezone=stated.timezone,
        channels=tuple(stated.channels),
        quiet_hours=_quiet_policy(stated.quiet_hours),
        preferences=tuple(preferences),
        dedup_window=stated.dedup_window,
        digest=_digest_times(stated.digest),
    )


def _digest_times(digest: Digest | None) -> DigestTimes:
    if digest is None:
        return DigestTimes()
    every = HOUR if digest.every == "1h" else DAY
    return DigestTimes(every) if digest.at is None else DigestTimes(every, digest.at)


def _quiet_policy(quiet: QuietHours | None) -> QuietPolicy | None:
    if quiet is None:
        return None
    every = Window(quiet.start, quiet.end) if quiet.start is not None and quiet.end is not None else None
    days = tuple(
        Window(window.start, window.end) if (window := quiet.days.get(day)) else None for day in words.WEEKDAYS
    )
    times = QuietTimes(every, days)
    return QuietPolicy(times, tuple(quiet.channels), words.QUIET_OVERS[quiet.over], quiet.release_spread)
