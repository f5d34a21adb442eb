"""What the end of a case leaves behind: sends, admissions, holds, and the record of the decision.

Caps, what the customer has heard, and the way to a next step change here together, and only by a SEND. A message that
goes with a digest counts when the whole flush was decided, and has no next step.
A hold keeps all that deciding it again needs. Whatever happens, one record is written; it is terminal unless held.
"""

from services.router.decision import caps, digest, fallback, ids, lifecycle, rules
from services.router.decision.case import Case, Draft, Ended, Turn
from services.router.decision.digest import Flush
from services.router.decision.model import Decision, Event, Hold, Open, Outcome, Policy, Reason, RuleTried, Send, Timer

_SEND, _HOLD = Outcome.SEND, Outcome.HOLD


def settle(case: Case, ended: Ended, flush: Flush | None = None) -> None:
    """Keep what follows from the end of a case, and its record; `flush` is the one it is a member of."""
    draft = case.draft
    sends: tuple[Send, ...] = ()
    if ended.outcome is _SEND:
        sends = _send(case) if flush is None else _send_in_digest(case, flush)
    elif ended.outcome is _HOLD:
        _hold(case, ended)
    draft.decisions.append(
        Decision(
            case.decision_id,
            case.revision,
            case.step,
            ended.outcome is not _HOLD,
            ended.outcome,
            ended.reason,
            case.now,
            draft.origin.id,
            case.turn.event,
            case.turn.first_seen,
            case.rule,
            case.rule.name,
            case.expires,
            ended.due,
            tuple(case.verdicts),
            case.tried,
            tuple(case.findings),
            case.timezone,
            case.local_time,
            draft.profile.locale or case.policy.defaults.locale,
            sends,
            case.detail,
            case.policy.hash,
            flush.id if flush is not None and sends else b"",
        )
    )


def _send(case: Case) -> tuple[Send, ...]:
    draft, event = case.draft, case.turn.event
    sends = tuple(
        Send(ids.send_id(case.decision_id, c, case.step), c, lifecycle.last_send(draft, event, c)) for c in case.used
    )
    draft.admissions = (*draft.admissions, caps.admission(case, case.used))
    lifecycle.note_sends(draft, case.turn, sends, case.now)
    if not case.every:
        fallback.remember(case, sends[0])
    return sends


def _send_in_digest(case: Case, flush: Flush) -> tuple[Send, ...]:
    draft, event = case.draft, case.turn.event
    sends = []
    for channel in case.used:
        send_id, after = ids.digest_id(draft.origin, channel, flush.due), lifecycle.last_send(draft, event, channel)
        sends.append(Send(send_id, channel, b"" if after == send_id else after, digest=True))
    digest.join(flush, case, tuple(s.after for s in sends))
    lifecycle.note_sends(draft, case.turn, tuple(sends), case.now)
    return tuple(sends)


def _hold(case: Case, ended: Ended) -> None:
    hold = Hold(
        case.decision_id,
        ended.due,
        case.revision,
        case.step,
        case.rule.name,
        case.turn.first_seen,
        case.first_held or (case.now if ended.reason is Reason.CAP else 0),
        case.expires,
        ended.reason,
        case.rule.message_class,
        case.failed,
        case.turn.event,
        ended.control,
        ended.digests,
        case.announced,
        case.since or case.now,
        case.turn.ended_a_hold,
    )
    case.draft.holds = (*case.draft.holds, hold)
    case.draft.timers.append(Timer(ended.due, case.decision_id))


def end_holds(draft: Draft, turn: Turn, policy: Policy, how: Ended, now: int, *, ends: bool = True) -> None:
    """End the older holds of an event's subject, each once; without `ends` not those that tell of its end."""
    older = tuple(h for h in turn.older if ends or not h.event.lifecycle.closing)
    if not older:
        return
    turn.older = () if ends else tuple(h for h in turn.older if h.event.lifecycle.closing)
    turn.ended_a_hold = True
    ids_of_older = frozenset(h.decision_id for h in older)
    draft.holds = tuple(h for h in draft.holds if h.decision_id not in ids_of_older)
    draft.superseded.extend(last_record(draft, policy, hold, how, now) for hold in older)


def last_record(draft: Draft, policy: Policy, waiting: Hold | Open, how: Ended, now: int) -> Decision:
    """Return the last record of what waits no longer and needs no check any more."""
    return Decision(
        decision_id=waiting.decision_id,
        revision=waiting.revision + 1,
        step=next_step(waiting),
        terminal=True,
        outcome=how.outcome,
        reason=how.reason,
        time=now,
        customer=draft.origin.id,
        event=waiting.event,
        first_seen=waiting.first_seen,
        rule=rules.named(policy, waiting.rule),
        rule_name=waiting.rule,
        expires=waiting.expires,
        policy_hash=policy.hash,
    )


def next_step(waiting: Hold | Open) -> int:
    """Return the step that is decided next: a hold's own, the one after a step whose message failed."""
    return waiting.step + 1 if isinstance(waiting, Open) else waiting.step


def record_of_event(
    id: bytes,
    event: Event,
    first_seen: int,
    how: Ended,
    policy: Policy,
    now: int,
    detail: str = "",
    tried: tuple[RuleTried, ...] = (),
) -> Decision:
    """Return the one record of what concerns an event as a whole."""
    return Decision(
        decision_id=id,
        revision=0,
        step=0,
        terminal=True,
        outcome=how.outcome,
        reason=how.reason,
        time=now,
        customer="",
        event=event,
        first_seen=first_seen,
        rules_tried=tried,
        detail=detail,
        policy_hash=policy.hash,
    )
