"""What becomes of one input: the order of checks, and what a decision leaves behind (semantics 0 and 3).

`decide` is pure: values in, values out, `now` is an argument, ids are derived, nothing iterates an unordered set.
The tuples of checks below are the order; a check answers how it ended the case, or None to go on.
All rules of one event see the subject as it was before the event; caps see what earlier rules admitted.
A hold and a next step are decided again from check 5, after `who` and `segment`, by the rule of that name in the
policy then in force. An event for many is taken once (`take`), then decided for each member of its audience.
"""

from collections.abc import Callable

from services.router.decision import (
    audience,
    controls,
    digest,
    fallback,
    ids,
    lifecycle,
    plan,
    preferences,
    rules,
    shares,
)
from services.router.decision.case import Case, Check, Draft, Ended, Turn
from services.router.decision.model import (
    Customer,
    DueInput,
    EraseInput,
    EventInput,
    FeedbackInput,
    Hold,
    Identity,
    Input,
    LiftInput,
    MemberInput,
    Open,
    Outcome,
    Policy,
    Profile,
    Reason,
    Result,
    Rule,
    Scope,
    Suppression,
    Taken,
)
from services.router.decision.settle import end_holds, last_record, next_step, record_of_event, settle

SUPERSEDED = Ended(Outcome.SUPERSEDED, Reason.SUPERSEDED)
TRANSIENT = Ended(Outcome.TRANSIENT, Reason.TRANSIENT)

Refusal = tuple[Outcome, Reason, str]
EventCheck = Callable[[EventInput, Policy, int], Refusal | None]


def decide(input: Input, policy: Policy, customer: Customer, now: int) -> Result:
    """Decide what becomes of one input for one customer: the decisions, the customer afterwards, the timers to set."""
    match input:
        case EventInput():
            return _on_event(input, policy, customer, now)
        case MemberInput():
            return _on_member(input.taken, policy, customer, now)
        case DueInput():
            due = [h for h in customer.holds if h.decision_id in input.decision_ids and h.due <= now]
            return _on_holds(due, policy, customer, now)
        case LiftInput():
            return _on_holds([h for h in customer.holds if h.control in input.controls], policy, customer, now)
        case FeedbackInput():
            return _on_feedback(input, policy, customer, now)
        case EraseInput():
            return _on_erasure(policy, customer, now)


def take(given: EventInput, policy: Policy, now: int) -> Taken:
    """Do what concerns an event as a whole: whether it is taken at all, and which rules apply."""
    event = given.event
    for check in AS_A_WHOLE:
        refusal = check(given, policy, now)
        if refusal is not None:
            return _refused(given, policy, refusal, now)
    identity = Identity(event.content_hash, now)
    matched, tried = rules.matching(Scope(event, None, None, now), policy)
    if matched:
        return Taken(event, now, (), identity, matched, given.selector)
    id_of_event = ids.decision_id(event, now, "", "")
    nothing = Ended(Outcome.NO_RULE, Reason.NO_RULE)
    return Taken(event, now, (record_of_event(id_of_event, event, now, nothing, policy, now, tried=tried),), identity)


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
    """Check 7 begins here: a closing event in sequence ends what waits about its subject, whatever comes of itself.

    Who was told is to be told of the end: a closing message that waits for that ends only if this one goes or waits.
    """
    turn = case.turn
    if turn.event.lifecycle.closing and lifecycle.followed(turn.event):
        told = bool(turn.heard.told)
        how = SUPERSEDED if told or turn.announces else TRANSIENT
        end_holds(case.draft, turn, case.policy, how, case.now, ends=not told)
        fallback.close(case.draft, turn)
        case.announced = lifecycle.announces(case)
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
    controls.check,  # 5: STOPPED, PAUSED
    shares.check,  # 6: ROLLOUT, HOLDOUT
    lifecycle.worth_telling,  # 7: TRANSIENT, NEVER_INFORMED, NOT_MATERIAL
    lifecycle.not_again,  # 7: ONCE
    preferences.allow,  # 8: the channels the customer allows
    _in_time,  # 9: EXPIRED
    plan.choose,  # 10 to 13: pause, digest, quiet hours, caps of each channel; SEND, HOLD or SUPPRESSED
)
FIRST: tuple[Check, ...] = (
    audience.check,  # 3: NOT_IN_AUDIENCE
    lifecycle.in_sequence,  # 4: STALE
    _end_older,  # 7 begins here: older holds end TRANSIENT or SUPERSEDED, whatever becomes of the closing event
    *FROM_5,
)
AGAIN: tuple[Check, ...] = (
    audience.again,  # 3: NOT_IN_AUDIENCE
    *FROM_5,
)


# --- the inputs --------------------------------------------------------------------------------


def _on_event(given: EventInput, policy: Policy, customer: Customer, now: int) -> Result:
    taken = take(given, policy, now)
    if taken.decisions:
        return Result(taken.decisions, customer, (), taken.identity)
    draft = Draft.of(customer)
    turn = lifecycle.turn(draft, given.event, now, announces=_announces(taken))
    _judge(draft, turn, taken, policy, now)
    return draft.result(taken.identity)


def _on_member(taken: Taken, policy: Policy, customer: Customer, now: int) -> Result:
    draft = Draft.of(customer)
    turn = lifecycle.turn(draft, taken.event, taken.first_seen, announces=_announces(taken))
    if audience.named(turn, draft) or audience.belongs(taken, turn, draft, now):
        _judge(draft, turn, taken, policy, now)
    return draft.result()


def _announces(taken: Taken) -> bool:
    """Whether a rule of a closing event tells of the end also those who were not told of the beginning."""
    if not taken.event.lifecycle.closing:
        return False
    return any(rule.announce_transient or rule.announce_always for rule, _ in taken.matched)


def _judge(draft: Draft, turn: Turn, taken: Taken, policy: Policy, now: int) -> None:
    """Decide each rule that applies to an event for a member of its audience."""
    event, customer = taken.event, draft.origin.id
    named = customer in event.customers
    for rule, tried in taken.matched:
        decision_id = ids.decision_id(event, taken.first_seen, rule.name, customer)
        case = _case(draft, policy, turn, rule, now, decision_id)
        case.tried = tried
        ended = _run(FIRST, case)
        if named or ended.reason is not Reason.NOT_IN_AUDIENCE:
            settle(case, ended)
    if turn.older:
        if any(d.outcome in (Outcome.SEND, Outcome.HOLD) for d in draft.decisions):
            end_holds(draft, turn, policy, SUPERSEDED, now)
        elif any(d.reason is Reason.NOT_MATERIAL for d in draft.decisions):
            end_holds(draft, turn, policy, SUPERSEDED, now, ends=False)
    lifecycle.note_event(draft, turn, now)


def _on_holds(due: list[Hold], policy: Policy, customer: Customer, now: int) -> Result:
    """Decide holds again, by class, event time and id; the flush of digests stands where its first member does."""
    draft = Draft.of(customer)
    if due:
        released = frozenset(h.decision_id for h in due)
        draft.holds = tuple(h for h in customer.holds if h.decision_id not in released)
    due.sort(key=lifecycle.order)
    members = [h for h in due if h.digests]
    for hold in due:
        if not hold.digests or not policy.digests:
            _again(draft, policy, hold, now)
        elif hold is members[0]:
            _flush(draft, policy, members, now)
    return draft.result()


def _flush(draft: Draft, policy: Policy, members: list[Hold], now: int) -> None:
    """Decide the members of a flush against the ledger as it is; who strays to another channel goes by himself.

    What does not fit into one send waits for the next ones, each a moment later.
    """
    flush = digest.begin(draft, members, now)
    strays = []
    fitting = digest.fitting(members)
    later = members[fitting:]
    moment = now
    while later:
        moment += 1
        count = digest.fitting(later)
        for hold in later[:count]:
            case = _case_again(draft, policy, hold, now)
            if case is not None:
                settle(case, Ended(Outcome.HOLD, Reason.DIGEST, moment, "", hold.digests))
        later = later[count:]
    for hold in members[:fitting]:
        case = _case_again(draft, policy, hold, now)
        if case is None:
            continue
        case.flushing = hold.digests
        ended = _run(AGAIN, case)
        if digest.strays(case, ended):
            strays.append(hold)
        else:
            settle(case, digest.once(flush, case, ended), flush)
    digest.close(flush, draft)
    for hold in strays:
        case = _case_again(draft, policy, hold, now)
        if case is not None:
            case.waited = hold.digests
            settle(case, _run(AGAIN, case))


def _on_feedback(given: FeedbackInput, policy: Policy, customer: Customer, now: int) -> Result:
    draft = Draft.of(customer)
    failed = fallback.apply(draft, given, now)
    if failed is not None:
        _again(draft, policy, failed, now)
    return draft.result()


def _on_erasure(policy: Policy, customer: Customer, now: int) -> Result:
    """End all holds and forget the customer, but that nobody must write to him."""
    draft = Draft.of(customer)
    how = Ended(Outcome.SUPPRESSED, Reason.ADDRESS_SUPPRESSED)
    ended = tuple(last_record(draft, policy, h, how, now) for h in sorted(customer.holds, key=lifecycle.order))
    nobody = Profile(customer.id, suppressed=(Suppression("", "ERASED", now),))
    return Result(ended, Customer(customer.tenant, customer.id, nobody))


# --- deciding one case ----------------------------------------------------------------------


def _again(draft: Draft, policy: Policy, waiting: Hold | Open, now: int) -> None:
    """Decide a hold again, or the next step of a decision whose message failed."""
    case = _case_again(draft, policy, waiting, now)
    if case is not None:
        settle(case, _run(AGAIN, case))


def _case_again(draft: Draft, policy: Policy, waiting: Hold | Open, now: int) -> Case | None:
    """Return the case of what waits; None if it needs no check any more: then it has its last record."""
    event, rule = waiting.event, rules.named(policy, waiting.rule)
    if rule is None:
        draft.decisions.append(last_record(draft, policy, waiting, Ended(Outcome.NO_RULE, Reason.NO_RULE), now))
        return None
    if waiting.over if isinstance(waiting, Open) else lifecycle.overtaken_in_a_hold(draft, waiting):
        draft.decisions.append(last_record(draft, policy, waiting, SUPERSEDED, now))
        return None
    turn = lifecycle.turn_again(draft, event, waiting.first_seen)
    case = _case(draft, policy, turn, rule, now, waiting.decision_id)
    case.revision = waiting.revision + 1
    case.step = next_step(waiting)
    case.first_held = waiting.first_held
    case.failed = waiting.failed_channels
    case.announced = waiting.announced
    if isinstance(waiting, Open):
        case.failed = (*case.failed, waiting.channel)
    else:
        case.since = waiting.since
        turn.ended_a_hold = waiting.ended_a_hold
    return case


def _case(draft: Draft, policy: Policy, turn: Turn, rule: Rule, now: int, id: bytes) -> Case:
    event = turn.event
    expires = event.time + rule.expires_after
    if event.expiry is not None and event.expiry < expires:
        expires = event.expiry
    category = policy.categories[rule.category]
    return Case(policy, draft, turn, rule, category, now, id, expires, lifecycle.is_closure(turn))


def _run(checks: tuple[Check, ...], case: Case) -> Ended:
    for check in checks:
        ended = check(case)
        if ended is not None:
            return ended
    raise AssertionError("the last check always ends a case")


def _refused(given: EventInput, policy: Policy, refusal: Refusal, now: int) -> Taken:
    """Record what concerns the event as a whole; an error does not occupy the event's identity."""
    event, seen = given.event, given.seen
    outcome, reason, detail = refusal
    how = Ended(outcome, reason)
    if outcome is Outcome.EXPIRED:
        id_of_event = ids.decision_id(event, now, "", "")
        record = record_of_event(id_of_event, event, now, how, policy, now)
        return Taken(event, now, (record,), Identity(event.content_hash, now))
    # What leaves no identity behind may come again at the same now: its place in the input tells the records apart.
    again = seen is not None and reason in (Reason.DUPLICATE, Reason.ID_REUSED)
    first_seen = seen.first_seen if seen is not None and again else now
    id_of_record = ids.record_id(event, first_seen, given.position)
    return Taken(event, first_seen, (record_of_event(id_of_record, event, first_seen, how, policy, now, detail),))
