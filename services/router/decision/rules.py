"""Which rules apply to an event, and to whom (semantics 2; checks 1 and 3).

The rules are one ordered list. The first whose condition holds is applied and the walk ends there, unless the rule
says to go on; a rule that ignores ends it too. Every rule that was tried leaves a line in the trace, with the
condition that failed and the values it saw.
"""

from services.router.decision.case import Case, Ended
from services.router.decision.model import (
    Condition,
    Event,
    Lifecycle,
    Outcome,
    Policy,
    Reason,
    Rule,
    RuleTried,
    Scope,
    Truth,
)

Matched = tuple[Rule, tuple[RuleTried, ...]]


def mistakes(event: Event, policy: Policy) -> tuple[Reason, str] | None:
    """Return what is wrong with the type or the data of an event, and where."""
    declared = policy.event_types.get(event.type)
    if declared is None:
        return Reason.UNKNOWN_TYPE, f"the policy has no event type {event.type}"
    if event.lifecycle is not Lifecycle.POINT and not declared.lifecycle:
        return Reason.INVALID_DATA, f"{event.type} has no lifecycle, the event says {event.lifecycle.name.lower()}"
    found = declared.check(event.data)
    if found:
        return Reason.INVALID_DATA, "; ".join(f"{path}: {wrong}" for path, wrong in found)
    return None


def matching(scope: Scope, policy: Policy) -> tuple[tuple[Matched, ...], tuple[RuleTried, ...]]:
    """Return the rules to apply, each with what was tried up to it, and all that was tried."""
    tried: list[RuleTried] = []
    matched: list[Matched] = []
    for rule in policy.rules_by_type.get(scope.event.type, ()):
        line = _tried(rule, rule.when, "", scope)
        tried.append(line)
        if line.truth is not Truth.TRUE:
            continue
        if rule.ignore:
            break
        matched.append((rule, tuple(tried)))
        if not rule.go_on:
            break
    return tuple(matched), tuple(tried)


def named(policy: Policy, name: str) -> Rule | None:
    """Return the rule of this name, if the policy still has it and it still makes messages."""
    for rule in policy.rules:
        if rule.name == name and not rule.ignore:
            return rule
    return None


def in_audience(case: Case) -> Ended | None:
    """Check 3: whether the customer belongs to those the rule is for.

    Who was told that it broke is told that it is over, whatever `who` says now. A closing event that finds a hold
    of its subject goes on too: what it makes out of date must not be sent later.
    """
    turn = case.turn
    if turn.event.lifecycle.closing and (turn.heard.told or turn.older or turn.ended_a_hold):
        return None
    return None if holds(case, case.rule.who, "who") else Ended(Outcome.SUPPRESSED, Reason.NOT_IN_AUDIENCE)


def holds(case: Case, condition: Condition | None, key: str) -> bool:
    """Ask a condition of the rule; one that fails leaves its line in the trace."""
    line = _tried(case.rule, condition, f"{key}: ", case.scope())
    if line.truth is Truth.TRUE:
        return True
    case.tried = (*case.tried, line)
    return False


def _tried(rule: Rule, condition: Condition | None, key: str, scope: Scope) -> RuleTried:
    truth = Truth.TRUE if condition is None else condition.evaluate(scope)
    if condition is None or truth is Truth.TRUE:
        return RuleTried(rule.name, rule.place, Truth.TRUE)
    shown = condition.show(scope)
    why = f"{key}{condition.source} ({shown})" if shown else f"{key}{condition.source}"
    return RuleTried(rule.name, rule.place, truth, why)
