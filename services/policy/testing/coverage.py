"""What tests say about each rule: how often it matched, and what became of its messages."""

from collections.abc import Iterable

from msgspec import Struct

from services.policy.testing.world import History
from services.router.decision.model import Outcome, Policy


class RuleCoverage(Struct, frozen=True):
    """One rule over all timelines: events it matched, revisions by how they ended; `ended` is any other end."""

    rule: str
    place: str
    ignores: bool = False
    matched: int = 0
    sent: int = 0
    held: int = 0
    suppressed: int = 0
    ended: int = 0


def coverage(policy: Policy, histories: Iterable[History]) -> tuple[RuleCoverage, ...]:
    """Count for each rule of a policy, in its order."""
    matched: dict[str, int] = {}
    ends: dict[tuple[str, str], int] = {}
    for history in histories:
        for rule, count in history.matched.items():
            matched[rule] = matched.get(rule, 0) + count
        for happened in history.happened:
            decision = happened.decision
            key = (decision.rule_name, _COLUMNS.get(decision.outcome, "ended"))
            ends[key] = ends.get(key, 0) + 1
    return tuple(
        RuleCoverage(
            rule=rule.name,
            place=rule.place,
            ignores=rule.ignore,
            matched=matched.get(rule.name, 0),
            sent=ends.get((rule.name, "sent"), 0),
            held=ends.get((rule.name, "held"), 0),
            suppressed=ends.get((rule.name, "suppressed"), 0),
            ended=ends.get((rule.name, "ended"), 0),
        )
        for rule in policy.rules
    )


_COLUMNS = {Outcome.SEND: "sent", Outcome.HOLD: "held", Outcome.SUPPRESSED: "suppressed"}
