"""Nothing goes out in quiet hours, but what may: class critical and rules that say so.

Worked out on the time line, not on the local clock: each night that could cover the decision becomes an interval of
instants in the customer's zone. A local time that does not exist is the first instant after the gap; one that exists
twice is the first.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.control.audit.evidence import Evidence, Histories, Promise, about
from services.control.records import DecisionRecord
from services.router.decision.model import Defaults, MessageClass, Policy, Profile, QuietTimes, Window

_MINUTES_PER_HOUR = 60


def quiet_kept(evidence: Evidence, grace: int) -> Promise:
    """Check the instant of every send that respects quiet hours."""
    histories = Histories(evidence.changes)
    broken = []
    looked_at = 0
    for decision in evidence.sent():
        policy = evidence.policies.get(decision.policy_hash)
        if policy is None or not _respects(decision, policy):
            continue
        looked_at += 1
        at = decision.decided
        profiles = histories.between(decision.tenant, decision.customer, at - grace, at)
        if all(_is_quiet_for(profile, policy.defaults, at) for profile in profiles):
            broken.append(f"{about(decision)} went out in quiet hours")
    return Promise("nothing goes out in quiet hours", looked_at, "messages", tuple(sorted(broken)))


def _is_quiet_for(profile: Profile | None, defaults: Defaults, instant: int) -> bool:
    quiet = defaults.quiet_hours
    own = profile.quiet_hours if profile is not None else None
    times = own or (quiet.times if quiet is not None else None)
    zone = (profile.timezone if profile is not None else "") or defaults.timezone
    return times is not None and is_quiet(instant, zone, times)


def is_quiet(instant: int, zone: str, times: QuietTimes) -> bool:
    """Tell whether an instant lies within a quiet window that starts on its local day or the day before."""
    info = ZoneInfo(zone)
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=instant)
    today = moment.astimezone(info).date()
    return any(_covers(moment, day, times.of_day(day.weekday()), info) for day in (today - timedelta(days=1), today))


def _respects(decision: DecisionRecord, policy: Policy) -> bool:
    quiet = policy.defaults.quiet_hours
    rule = next((rule for rule in policy.rules if rule.name == decision.rule), None)
    held = quiet is not None and (not quiet.channels or bool(set(decision.channels) & set(quiet.channels)))
    return held and decision.message_class is not MessageClass.CRITICAL and (rule is None or rule.respects_quiet_hours)


def _covers(moment: datetime, day: date, window: Window | None, info: ZoneInfo) -> bool:
    if window is None:
        return False
    end_day = day + timedelta(days=1) if window.start > window.end else day
    return _instant(day, window.start, info) <= moment < _instant(end_day, window.end, info)


def _instant(day: date, minute: int, info: ZoneInfo) -> datetime:
    """Return the first instant at or after a local time."""
    local = datetime.combine(day, time(minute // _MINUTES_PER_HOUR, minute % _MINUTES_PER_HOUR), info)
    moment = local.astimezone(UTC)
    if moment.astimezone(info).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # In a gap: with fold 1 the offset is the one after it, so the local clock falls before the gap by its length.
    return _end_of_gap(local, info)


def _end_of_gap(local: datetime, info: ZoneInfo) -> datetime:
    """Return the first instant after the gap of local times that holds `local`."""
    before = local.replace(fold=1).astimezone(UTC)
    after = local.replace(fold=0).astimezone(UTC)
    offset = before.astimezone(info).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(info).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
