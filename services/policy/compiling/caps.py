"""Frequency caps: their names looked up, their figures held against each other."""

from services.policy import words
from services.policy.compiling.notes import Notes
from services.policy.draft import Draft, PlacedCap
from services.router.decision.model import Cap


def cap(placed: PlacedCap, found: Draft, notes: Notes) -> Cap:
    """Compile one cap, noting what is wrong with it."""
    cap = placed.cap
    if cap.where.category and found.categories is not None:
        notes.known(placed, ["where", "category"], "category", cap.where.category, found.categories.categories)
    if cap.where.rule and found.whole("rules"):
        notes.known(placed, ["where", "rule"], "rule", cap.where.rule, (r.rule.name for r in found.rules))
    if cap.window == 0:
        notes.at(placed, ["window"], "must be longer than nothing")
    if cap.over == "reroute" and cap.per != "channel" and not cap.where.channel:
        notes.at(placed, ["over"], "'reroute' needs a cap whose 'per' or 'where' names channel")
    if cap.max_hold is not None and cap.over != "defer":
        notes.at(placed, ["max_hold"], "only a cap with 'over: defer' holds", at_key=True)
    if sum(cap.reserve.values()) >= cap.limit:
        message = f"the reserves add up to {sum(cap.reserve.values())}, not less than the limit {cap.limit}"
        notes.at(placed, ["reserve"], message)
    return Cap(
        name=cap.name,
        per=words.PERS[cap.per],
        limit=cap.limit,
        window=cap.window,
        over=words.CAP_OVERS[cap.over],
        where_channel=cap.where.channel,
        where_category=cap.where.category,
        where_class=words.CLASSES[cap.where.class_] if cap.where.class_ else None,
        where_rule=cap.where.rule,
        exempt=frozenset(words.CLASSES[name] for name in cap.exempt),
        reserve=tuple(sorted((words.CLASSES[name], count) for name, count in cap.reserve.items())),
        max_hold=cap.max_hold or cap.window,
    )
