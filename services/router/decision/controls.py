"""Stops and pauses (semantics 3, check 5).

A control matches a message if all its given fields do; one that gives none matches everything of the tenant. A stop
ends the decision, a pause holds it until it is lifted, at the latest until the decision expires. A control that names
a channel concerns that channel of the plan alone. A stop wins over a pause. Who expired is not held any longer.
"""

from services.router.decision.case import Allowed, Blocked, Case, Ended, Then
from services.router.decision.model import Control, ControlKind, Outcome, Reason


def check(case: Case) -> Ended | None:
    """Check 5: what is stopped ends, what is paused waits."""
    if not case.policy.controls:
        return None
    stop = _first(case, ControlKind.STOP, "")
    if stop is not None:
        case.detail = _said(stop)
        return Ended(Outcome.SUPPRESSED, Reason.STOPPED)
    pause = _first(case, ControlKind.PAUSE, "")
    if pause is not None and case.expires > case.now:
        case.detail = _said(pause)
        return Ended(Outcome.HOLD, Reason.PAUSED, _until(pause, case), pause.name, case.flushing)
    return None


def stops(case: Case, channel: str) -> bool:
    """Whether a stop takes this channel out of the plan."""
    stop = _first(case, ControlKind.STOP, channel) if case.policy.controls else None
    if stop is not None:
        case.detail = _said(stop)
    return stop is not None


def pauses(case: Case, allowed: Allowed) -> Blocked | None:
    """Check 5 for one channel of the plan: a pause that names it holds it."""
    pause = _first(case, ControlKind.PAUSE, allowed.channel) if case.policy.controls else None
    if pause is None:
        return None
    case.detail = _said(pause)
    until = _until(pause, case)
    return Blocked(Reason.PAUSED, Then.HOLD, until, until, pause.name)


def _first(case: Case, kind: ControlKind, channel: str) -> Control | None:
    for control in case.policy.controls:
        if control.kind is kind and control.channel == channel and _matches(control, case):
            return control
    return None


def _matches(control: Control, case: Case) -> bool:
    rule, event = case.rule, case.turn.event
    return (
        not 0 < control.expires <= case.now
        and control.rule in ("", rule.name)
        and control.category in ("", rule.category)
        and control.message_class in (None, rule.message_class)
        and control.source in ("", event.source)
        and control.event in ("", event.id)
    )


def _until(pause: Control, case: Case) -> int:
    return min(pause.expires, case.expires) if pause.expires else case.expires


def _said(control: Control) -> str:
    by = f" by {control.author}" if control.author else ""
    why = f": {control.reason}" if control.reason else ""
    return f"{control.kind.name.lower()} {control.name}{by}{why}"
