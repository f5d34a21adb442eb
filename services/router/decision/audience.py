"""Whom an event is for (semantics 1, 2 and 7; check 3).

Named customers are always judged; others belong to the audience if the event is for everyone or its selector holds.
A rule narrows its audience by `segment` and `who`: a named customer outside gets NOT_IN_AUDIENCE, another is simply
not selected. Who was told that it broke is told that it is over, whatever all of these say now. A closing event that
finds a hold of its subject goes on too: what it makes out of date must not be sent later.
"""

from services.router.decision import rules
from services.router.decision.case import Case, Draft, Ended, Turn
from services.router.decision.model import Outcome, Reason, Scope, Taken, Truth


def named(turn: Turn, draft: Draft) -> bool:
    """Whether the event names this customer."""
    return draft.origin.id in turn.event.customers


def belongs(taken: Taken, turn: Turn, draft: Draft, now: int) -> bool:
    """Whether a customer whom the event does not name belongs to its audience."""
    event = taken.event
    if draft.origin.tenant != event.tenant:
        return False
    if event.lifecycle.closing and (event.everyone or event.select) and _concerned(turn):
        return True
    if draft.origin.profile is None:
        return False
    if event.everyone:
        return True
    selector = taken.selector
    return selector is not None and selector.evaluate(Scope(event, draft.profile, None, now)) is Truth.TRUE


def check(case: Case) -> Ended | None:
    """Check 3: whether the customer belongs to those the rule is for."""
    rule, turn = case.rule, case.turn
    if rule.who is None and rule.segment is None:
        return None
    if turn.event.lifecycle.closing and _concerned(turn):
        return None
    return narrowed(case)


def again(case: Case) -> Ended | None:
    """Check 3 for what is decided again: only a closure does not ask."""
    return None if case.closure else narrowed(case)


def narrowed(case: Case) -> Ended | None:
    """Ask the rule's `segment` and `who`."""
    rule = case.rule
    if rules.holds(case, rule.segment, "segment") and rules.holds(case, rule.who, "who"):
        return None
    return Ended(Outcome.SUPPRESSED, Reason.NOT_IN_AUDIENCE)


def _concerned(turn: Turn) -> bool:
    """Whether the customer was told of the subject, or waits to be."""
    return bool(turn.heard.told or turn.older or turn.ended_a_hold)
