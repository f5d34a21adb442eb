"""The walk over the channels of the plan (semantics 3, channel plan; checks 10 to 13).

`first` takes the first channel that passes: a rerouted one gives way to the next, a held one ends the walk in HOLD,
a dropped one ends it in SUPPRESSED. `all` takes every channel that passes, and waits only if none does.
A channel passed over by quiet hours is waited for when no other could be used.
A hold that would not be released before the decision expires is not held: it is EXPIRED at once.
A channel that a pause names is held before anything else is asked of it.
"""

from services.router.decision import caps, controls, digest, local_time, quiet_hours
from services.router.decision.case import Allowed, Blocked, Case, ChannelCheck, Ended, Then
from services.router.decision.model import Outcome, Reason, Verdict
from services.router.decision.preferences import furthest

_ALLOWED = Reason.ALLOWED
_NEXT = Then.NEXT
_SENT, _CLOSED = Ended(Outcome.SEND, Reason.ALLOWED), Ended(Outcome.SEND, Reason.CLOSURE)

CHECKS: tuple[ChannelCheck, ...] = (
    controls.pauses,  # 5, for the channels that a pause names
    digest.check,  # 10
    quiet_hours.check,  # 11
    caps.check,  # 12
)


def choose(case: Case) -> Ended | None:
    """Checks 10 to 13: find the channels to use now, or what to wait for, or why there is none."""
    case.timezone = local_time.zone_of(case.draft.profile, case.policy.defaults)
    case.local_time = local_time.written(case.now, case.timezone)
    waits: list[tuple[str, Blocked]] = []
    for allowed in case.allowed:
        blocked = _blocked(case, allowed)
        _note(case, allowed, blocked)
        if blocked is None:
            case.used = (*case.used, allowed.channel)
            if not case.every:
                break
            continue
        if blocked.due:
            waits.append((allowed.channel, blocked))
        if case.every or blocked.then is _NEXT:
            continue
        if blocked.then is Then.HOLD:
            # A quiet channel that gave way to this one may be free sooner.
            return _hold(case, waits)
        return Ended(Outcome.SUPPRESSED, blocked.reason)
    if case.used:
        return _CLOSED if case.closure else _SENT
    if waits:
        return _hold(case, waits)
    return Ended(Outcome.SUPPRESSED, furthest(case.verdicts))


def _blocked(case: Case, allowed: Allowed) -> Blocked | None:
    for check in CHECKS:
        blocked = check(case, allowed)
        if blocked is not None:
            return blocked
    return None


def _note(case: Case, allowed: Allowed, blocked: Blocked | None) -> None:
    reason, until = (_ALLOWED, 0) if blocked is None else (blocked.reason, blocked.until)
    case.verdicts.append(Verdict(allowed.channel, reason, allowed.preference, allowed.preference_set, until))


def _hold(case: Case, waits: list[tuple[str, Blocked]]) -> Ended:
    """Wait for the earliest of the channels that could be waited for; the first of the plan among those that tie."""
    wait = min((blocked for _, blocked in waits), key=lambda blocked: blocked.due)
    if wait.due >= case.expires and wait.reason is not Reason.PAUSED:
        return Ended(Outcome.EXPIRED, Reason.EXPIRED)
    together = tuple(c for c, blocked in waits if blocked.due == wait.due and blocked.reason is wait.reason)
    if wait.reason is Reason.DIGEST:
        digests = tuple(c for c in together if c in case.flushing) if case.flushing else together
    else:
        # What its flush finds quiet, capped or paused stays a member: it goes with the digest when it is released.
        mine = case.flushing or case.waited
        digests = mine if any(c in mine for c in together) else ()
    return Ended(Outcome.HOLD, wait.reason, wait.due, wait.control, digests)
