"""The walk over the channels of the plan (semantics 3, channel plan; checks 10 to 13).

`first` takes the first channel that passes: a rerouted one gives way to the next, a held one ends the walk in HOLD,
a dropped one ends it in SUPPRESSED. `all` takes every channel that passes, and waits only if none does.
A channel passed over by quiet hours is waited for when no other could be used.
A hold that would not be released before the decision expires is not held: it is EXPIRED at once.
Digests (check 10) come first in `CHECKS` once they exist: one that answers HOLD DIGEST for a value of `digest`.
"""

from services.router.decision import caps, quiet_hours
from services.router.decision.case import Allowed, Blocked, Case, ChannelCheck, Ended, Then
from services.router.decision.model import Outcome, Reason, Verdict
from services.router.decision.preferences import furthest

CHECKS: tuple[ChannelCheck, ...] = (
    quiet_hours.check,  # 11
    caps.check,  # 12
)


def choose(case: Case) -> Ended | None:
    """Checks 10 to 13: find the channels to use now, or what to wait for, or why there is none."""
    case.timezone = quiet_hours.zone_of(case.draft.profile, case.policy.defaults)
    case.local_time = quiet_hours.local(case.now, case.timezone)
    waits: list[Blocked] = []
    for allowed in case.allowed:
        blocked = _blocked(case, allowed)
        _note(case, allowed, blocked)
        if blocked is None:
            case.used = (*case.used, allowed.channel)
            if not case.every:
                break
            continue
        if blocked.due:
            waits.append(blocked)
        if case.every or blocked.then is Then.NEXT:
            continue
        if blocked.then is Then.HOLD:
            return _hold(case, blocked)
        return Ended(Outcome.SUPPRESSED, blocked.reason)
    if case.used:
        return Ended(Outcome.SEND, Reason.CLOSURE if case.closure else Reason.ALLOWED)
    if waits:
        return _hold(case, min(waits, key=lambda wait: wait.due))
    return Ended(Outcome.SUPPRESSED, furthest(case.verdicts))


def _blocked(case: Case, allowed: Allowed) -> Blocked | None:
    for check in CHECKS:
        blocked = check(case, allowed)
        if blocked is not None:
            return blocked
    return None


def _note(case: Case, allowed: Allowed, blocked: Blocked | None) -> None:
    reason, until = (Reason.ALLOWED, 0) if blocked is None else (blocked.reason, blocked.until)
    case.verdicts.append(Verdict(allowed.channel, reason, allowed.preference, allowed.preference_set, until))


def _hold(case: Case, wait: Blocked) -> Ended:
    if wait.due >= case.expires:
        return Ended(Outcome.EXPIRED, Reason.EXPIRED)
    return Ended(Outcome.HOLD, wait.reason, wait.due)
