"""What becomes of a decision when its message fails (semantics 8, fallback).

A message that certainly was not sent gives its admission back. One that is known to have failed was not heard.
A refusal or a hard bounce of the current step of a `first` plan opens the next step on another channel, until the
decision expires. Feedback comes more than once and late: each effect happens once for a (send, outcome), because the
first time removes what the second would find.
"""

from msgspec.structs import replace

from services.router.decision import caps, lifecycle
from services.router.decision.case import Case, Draft, Turn
from services.router.decision.model import Feedback, FeedbackInput, Open, Send

_NEVER_SENT = frozenset({Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED})
# Who read it was reached; what was delivered can still come back.
_HEARD = frozenset({Feedback.OPENED, Feedback.CLICKED, Feedback.REPLIED})


def apply(draft: Draft, feedback: FeedbackInput, now: int) -> Open | None:
    """Take in what is known of a send; return the step that needs a next one, marked `over` if it comes too late."""
    found = next((o for o in draft.opens if o.send_id == feedback.send_id), None)
    bounced = feedback.outcome is Feedback.BOUNCED and feedback.hard
    failed = feedback.outcome in _NEVER_SENT or bounced
    if not failed and feedback.outcome not in _HEARD:
        return None
    if found is not None:
        draft.opens = tuple(o for o in draft.opens if o is not found)
        if lifecycle.overtaken(draft, found.event, found.send_id):
            found = replace(found, over=True)
    if not failed:
        return None
    if feedback.outcome in _NEVER_SENT:
        draft.admissions = caps.release(draft.admissions, feedback.decision_id, feedback.step, feedback.channel)
    lifecycle.take_back(draft, feedback.send_id)
    again = feedback.outcome is Feedback.REJECTED or bounced
    return found if found is not None and again and found.expires > now else None


def remember(case: Case, send: Send) -> None:
    """Keep what the next step would need; what has expired is dropped on the way."""
    draft, event = case.draft, case.turn.event
    step = Open(
        send.send_id,
        case.decision_id,
        send.channel,
        case.revision,
        case.step,
        case.rule.name,
        case.turn.first_seen,
        case.first_held,
        case.expires,
        case.rule.message_class,
        case.failed,
        event,
        announced=case.announced,
    )
    draft.opens = (*(o for o in draft.opens if o.expires > case.now), step) if draft.opens else (step,)


def close(draft: Draft, turn: Turn) -> None:
    """A subject was closed: no message of an older event about it is tried on another channel any more."""
    if any(_closed_by(o, turn) for o in draft.opens):
        draft.opens = tuple(replace(o, over=True) if _closed_by(o, turn) else o for o in draft.opens)


def _closed_by(step: Open, turn: Turn) -> bool:
    event = turn.event
    own = step.event.id == event.id and step.first_seen == turn.first_seen
    return (
        not step.over
        and not own
        and lifecycle.followed(step.event)
        and step.event.source == event.source
        and step.event.subject == event.subject
    )
