"""What becomes of one input: the order of checks, and what a decision leaves behind (semantics 0 and 3).

`decide` is pure: values in, values out, `now` is an argument, ids are derived, nothing iterates an unordered set.
The tuples of checks below are the order; a check answers how it ended the case, or None to go on.
All rules of one event see the subject as it was before the event; caps see what earlier rules admitted.
A hold and a next step are decided again from check 5, after `who`, by the rule of that name in the policy then in
force. Controls (5), rollout (6) and digests (10) take their places in the tuples when they exist.
"""

from collections.abc import Callable

from services.router.decision import fallback, ids, lifecycle, plan, preferences, rules
from services.router.decision.case import Case, Check, Draft, Ended, Turn
from services.router.decision.model import (
    Customer,
    Decision,
    DueInput,
    EventInput,
    FeedbackInput,
    Hold,
    Identity,
    Open,
    Outcome,
    Policy,
    Reason,
    Result,
    Rule,
    Scope,
)
from services.router.decision.settle import end_holds, last_record, next_step, record_of_event, settle

Refusal = tuple[Outcome, Reason, str]
EventCheck = Callable[[EventInput, Policy, int], Refusal | None]


def decide(input: EventInput | DueInput | FeedbackInput, policy: Policy, customer: Customer, now: int) -> Result:
    """Decide what becomes of one input for one customer: the decisions, the customer afterwards, the timers to set."""
    match input:
        case EventInput():
            return _on_event(input, policy, customer, now)
        case DueInput():
            return _on_due(input, policy, customer, now)
        case FeedbackInput():
            return _on_feedback(input, policy, customer, now)


# --- the checks that concern the event as a whole ----------------------------------------------


def _unseen(given: EventInput, policy: Policy, now: int) -> Refusal | None:
    seen = given.seen
    if seen is None or now - seen.first_seen >= policy.defaults.dedup_window:
        return None
    if seen.content_hash == given.event.content_hash:
        return Outcome.DUPLICATE, Reason.DUPLICATE, ""
    return Outcome.ERROR, Reason.ID_REUSED, "another event of this source had the same id"


def _well_formed(given: EventInput, policy: Policy, now: int) -> Refusal | None:  # noqa: ARG001 - one shape for all
    wrong = rules.mistakes(given.event, policy)
    return None if wrong is None else (Outcome.ERROR, *wrong)


def _not_past(given: EventInput, policy: Policy, now: int) -> Refusal | None:  # noqa: ARG001 - one shape for all
    expiry = given.event.expiry
    return (Outcome.EXPIRED, Reason.EXPIRED, "") if expiry is not None and expiry <= now else None


# --- the checks of one (event, rule, customer) that need no module of their own ----------------


def _end_older(case: Case) -> Ended | None:
    """Check 7 begins here: a closing event in sequence ends what waits about its subject, whatever comes of itself."""
    turn = case.turn
    if turn.event.lifecycle.closing and lifecycle.followed(turn.event):
        outcome = (Outcome.SUPERSEDED, Reason.SUPERSEDED) if turn.heard.told else (Outcome.TRANSIENT, Reason.TRANSIENT)
        end_holds(case.draft, turn, case.policy, Ended(*outcome), case.now)
        fallback.close(case.draft, turn)
    return None


def _in_time(case: Case) -> Ended | None:
    """Check 9: what comes too late is not sent."""
    return Ended(Outcome.EXPIRED, Reason.EXPIRED) if case.expires <= case.now else None


# --- the order of checks (semantics 3) ---------------------------------------------------------

AS_A_WHOLE: tuple[EventCheck, ...] = (
    _unseen,  # 1: DUPLICATE, ID_REUSED
    _well_formed,  # 1: UNKNOWN_TYPE, INVALID_DATA
    _not_past,  # 2: EXPIRED
)
# 3: the rules; none matches: NO_RULE
FROM_5: tuple[Check, ...] = (
    lifecycle.worth_telling,  # 7: TRANSIENT, NEVER_INFORMED, NOT_MATERIAL
    preferences.allow,  # 8: the channels the customer allows
    _in_time,  # 9: EXPIRED
    plan.choose,  # 10 to 13: digest, quiet hours, caps of each channel; SEND, HOLD or SUPPRESSED
)
FIRST: tuple[Check, ...] = (
    rules.in_audience,  # 3: NOT_IN_AUDIENCE
    lifecycle.in_sequence,  # 4: STALE
    _end_older,  # older holds: TRANSIENT or SUPERSEDED
    *FROM_5,
)
AGAIN: tuple[Check, ...] = (
    rules.in_audience,  # 3: NOT_IN_AUDIENCE
    *FROM_5,
)


# --- the three inputs --------------------------------------------------------------------------


def _on_event(given: EventInput, policy: Policy, customer: Customer, now: int) -> Result:
    draft, event = Draft.of(customer), given.event
    for check in AS_A_WHOLE:
        refusal = check(given, policy, now)
        if refusal is not None:
            return _refused(draft, given, policy, refusal, now)
    identity = Identity(event.content_hash, now)
    turn = lifecycle.turn(draft, event, now)
    matched, tried = rules.matching(Scope(event, draft.profile, None, now), policy)
    if not matched:
        id_of_event = ids.decision_id(event, now, "", "")
        nothing = Ended(Outcome.NO_RULE, Reason.NO_RULE)
        draft.decisions.append(record_of_event(id_of_event, event, now, nothing, policy, now, tried=tried))
        return draft.result(identity)
    for rule, tried_so_far in matched:
        decision_id = ids.decision_id(event, now, rule.name, customer.id)
        case = _case(draft, policy, turn, rule, now, decision_id)
        case.tried = tried_so_far
        settle(case, _run(FIRST, case))
    if not event.lifecycle.closing and any(_replaces(d) for d in draft.decisions):
        end_holds(draft, turn, policy, Ended(Outcome.SUPERSEDED, Reason.SUPERSEDED), now)
    lifecycle.note_event(draft, turn, now)
    return draft.result(identity)


def _on_due(given: DueInput, policy: Policy, customer: Customer, now: int) -> Result:
    draft = Draft.of(customer)
    due = [h for h in customer.holds if h.decision_id in given.decision_ids and h.due <= now]
    if due:
        draft.holds = tuple(h for h in customer.holds if h.decision_id not in given.decision_ids or h.due > now)
    for hold in sorted(due, key=lifecycle.order):
        _again(draft, policy, hold, now)
    return draft.result()


def _on_feedback(given: FeedbackInput, policy: Policy, customer: Customer, now: int) -> Result:
    draft = Draft.of(customer)
    failed = fallback.apply(draft, given, now)
    if failed is not None:
        _again(draft, policy, failed, now)
    return draft.result()


# --- deciding one case ----------------------------------------------------------------------


def _again(draft: Draft, policy: Policy, waiting: Hold | Open, now: int) -> None:
    """Decide a hold again, or the next step of a decision whose message failed."""
    event, rule = waiting.event, rules.named(policy, waiting.rule)
    if rule is None:
        draft.decisions.append(last_record(draft, policy, waiting, Ended(Outcome.NO_RULE, Reason.NO_RULE), now))
        return
    if isinstance(waiting, Open) and waiting.over:
        draft.decisions.append(last_record(draft, policy, waiting, Ended(Outcome.SUPERSEDED, Reason.SUPERSEDED), now))
        return
    turn = lifecycle.turn_again(draft, event, waiting.first_seen)
    case = _case(draft, policy, turn, rule, now, waiting.decision_id)
    case.revision = waiting.revision + 1
    case.step = next_step(waiting)
    case.first_held = waiting.first_held
    case.failed = waiting.failed_channels
    if isinstance(waiting, Open):
        case.failed = (*case.failed, waiting.channel)
    settle(case, _run(AGAIN, case))


def _case(draft: Draft, policy: Policy, turn: Turn, rule: Rule, now: int, id: bytes) -> Case:
    expires = turn.event.time + rule.expires_after
    if turn.event.expiry is not None:
        expires = min(expires, turn.event.expiry)
    return Case(policy=policy, draft=draft, turn=turn, rule=rule, now=now, decision_id=id, expires=expires)


def _run(checks: tuple[Check, ...], case: Case) -> Ended:
    for check in checks:
        ended = check(case)
        if ended is not None:
            return ended
    raise AssertionError("the last check always ends a case")


def _replaces(decision: Decision) -> bool:
    """Whether a decision about a newer event makes older holds of its subject out of date."""
    return decision.outcome in (Outcome.SEND, Outcome.HOLD) or decision.reason is Reason.NOT_MATERIAL


def _refused(draft: Draft, given: EventInput, policy: Policy, refusal: Refusal, now: int) -> Result:
    """Record what concerns the event as a whole; an error does not occupy the event's identity."""
    event, seen = given.event, given.seen
    outcome, reason, detail = refusal
    how = Ended(outcome, reason)
    if outcome is Outcome.EXPIRED:
        id_of_event = ids.decision_id(event, now, "", "")
        draft.decisions.append(record_of_event(id_of_event, event, now, how, policy, now))
        return draft.result(Identity(event.content_hash, now))
    # What leaves no identity behind may come again at the same now: its place in the input tells the records apart.
    again = seen is not None and reason in (Reason.DUPLICATE, Reason.ID_REUSED)
    first_seen = seen.first_seen if seen is not None and again else now
    id_of_record = ids.record_id(event, first_seen, given.position)
    draft.decisions.append(record_of_event(id_of_record, event, first_seen, how, policy, now, detail))
    return draft.result()
