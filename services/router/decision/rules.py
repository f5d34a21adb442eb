"""Which rules apply to an event (semantics 2; checks 1 and 3).

The rules are one ordered list. The first whose condition holds is applied and the walk ends there, unless the rule
says to go on; a rule that ignores ends it too. A rule that was tried leaves a line in the trace, with the condition
that failed and the values it saw: the last few before a match, one line for the count of the rest.
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
    Walk,
)

# So many of the rules that failed before one that holds are told one by one.
_TOLD = 16
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
    walk = policy.walks.get(scope.event.type)
    if walk is None:
        return (), ()
    failed: list[tuple[Rule, Truth]] = []
    held: list[tuple[int, Rule]] = []
    matched: list[Matched] = []
    tried: tuple[RuleTried, ...] = ()
    places = range(len(walk.rules)) if walk.candidates is None else walk.candidates(scope)
    for count, place in enumerate(places, 1):
        rule = walk.rules[place]
        truth = _TRUE if rule.when is None else rule.when.evaluate(scope)
        if truth is not _TRUE:
            failed.append((rule, truth))
            continue
        held.append((len(failed), rule))
        tried = _trace(walk, place + 1 - count, failed, held, scope)
        if rule.ignore:
            break
        matched.append((rule, tried))
        if not rule.go_on:
            break
    else:
        tried = _trace(walk, len(walk.rules) - len(places), failed, held, scope)
    return tuple(matched), tried


def _trace(
    walk: Walk, passed_over: int, failed: list[tuple[Rule, Truth]], held: list[tuple[int, Rule]], scope: Scope
) -> tuple[RuleTried, ...]:
    """Tell the walk up to here; `held` says after how many failures a rule held."""
    lines = []
    if passed_over:
        lines.append(RuleTried("", "", Truth.FALSE, f"they ask for another {walk.field}", passed_over))
    first = max(len(failed) - _TOLD, 0)
    if first:
        lines.append(RuleTried("", "", Truth.FALSE, "they did not hold either", first))
    at = first
    for after, rule in held:
        while at < after:
            lines.append(_failed(*failed[at], "", scope))
            at += 1
        lines.append(RuleTried(rule.name, rule.place, _TRUE))
    return tuple(lines)


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
    case.tried = (*case.tried, _failed(case.rule, truth, f"{key}: ", scope, condition))
    return False


def _failed(rule: Rule, truth: Truth, key: str, scope: Scope, condition: Condition | None = None) -> RuleTried:
    condition = condition or rule.when
    if condition is None:
        return RuleTried(rule.name, rule.place, truth)
    shown = condition.show(scope)
    why = f"{key}{condition.source} ({shown})" if shown else f"{key}{condition.source}"
    return RuleTried(rule.name, rule.place, truth, why)
