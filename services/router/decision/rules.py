"""Which rules apply to an event (semantics 2; checks 1 and 3).

The rules are one ordered list. The first whose condition holds is applied and the walk ends there, unless the rule
says to go on; a rule that ignores ends it too. Every rule that was tried leaves a line in the trace, with the
condition that failed and the values it saw.
"""

from services.router.decision.case import Case
from services.router.decision.model import (
    Condition,
    Event,
    Lifecycle,
    Policy,
    Reason,
    Rule,
    RuleTried,
    Scope,
    Truth,
)

_TRUE, _POINT = Truth.TRUE, Lifecycle.POINT

Matched = tuple[Rule, tuple[RuleTried, ...]]


def mistakes(event: Event, policy: Policy) -> tuple[Reason, str] | None:
    """Return what is wrong with the type or the data of an event, and where."""
    declared = policy.event_types.get(event.type)
    if declared is None:
        return Reason.UNKNOWN_TYPE, f"the policy has no event type {event.type}"
    if event.lifecycle is not _POINT and not declared.lifecycle:
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
        truth = _TRUE if rule.when is None else rule.when.evaluate(scope)
        if rule.when is not None and truth is not _TRUE:
            tried.append(_failed(rule, rule.when, truth, "", scope))
            continue
        tried.append(RuleTried(rule.name, rule.place, truth))
        if rule.ignore:
            break
        matched.append((rule, tuple(tried)))
        if not rule.go_on:
            break
    return tuple(matched), tuple(tried)


def named(policy: Policy, name: str) -> Rule | None:
    """Return the rule of this name, if the policy still has it and it still makes messages."""
    return policy.rules_by_name.get(name)


def holds(case: Case, condition: Condition | None, key: str) -> bool:
    """Ask a condition of the rule; one that fails leaves its line in the trace."""
    if condition is None:
        return True
    scope = case.scope()
    truth = condition.evaluate(scope)
    if truth is _TRUE:
        return True
    case.tried = (*case.tried, _failed(case.rule, condition, truth, f"{key}: ", scope))
    return False


def _failed(rule: Rule, condition: Condition, truth: Truth, key: str, scope: Scope) -> RuleTried:
    shown = condition.show(scope)
    why = f"{key}{condition.source} ({shown})" if shown else f"{key}{condition.source}"
    return RuleTried(rule.name, rule.place, truth, why)
