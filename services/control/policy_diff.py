"""`clarion policy diff`: what changed between two policies, in words, and what that changes for the test timelines.

Texts are compared as they are written, rules and caps by their names and their order. Then the timelines of B's tests,
and of those of A that B lacks, are lived through under both policies: what one decides and the other does not, stands
here with customer, event and rule.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from services.control.policy_facts import Facts, Opened, opened
from services.policy.documents import Document
from services.policy.testing.files import read as read_test
from services.policy.testing.moments import iso, offset
from services.policy.testing.names import Names, documents_of, names_of
from services.policy.testing.world import live
from services.router.decision.model import Decision, Outcome, Policy

_SHOWN = 160


class Change(Struct, frozen=True):
    """One thing that is written otherwise. `what` is added, removed, moved or changed; `key` is "" for the whole."""

    kind: str
    name: str
    what: str
    key: str = ""
    before: Any = None
    after: Any = None


class Moved(Struct, frozen=True):
    """One decision of a test timeline that is another under B; an empty end means that there is none."""

    test: str
    customer: str
    event: str
    rule: str
    at: str
    instant: str
    before: str
    after: str


class Difference(Struct, frozen=True):
    """All that differs; `timelines` is how many were lived through under both."""

    before: str
    after: str
    changes: tuple[Change, ...]
    decisions: tuple[Moved, ...]
    timelines: int

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.changes or self.decisions)


def compare(before: Path, after: Path) -> Difference:
    """Compare two policy folders; raise ClarionError when one is not right."""
    a, b = opened(before), opened(after)
    tests = {document.path: document for each in (a, b) for document in documents_of(each.examined)}
    names = names_of(a.examined), names_of(b.examined)
    moved = [one for path in sorted(tests) for one in _decisions(tests[path], a, b, names)]
    return Difference(a.facts.hash, b.facts.hash, tuple(_changes(a.facts, b.facts)), tuple(moved), len(tests))


def as_json(found: Difference) -> bytes:
    """Return the difference as JSON."""
    return msgspec.json.encode({"differs": found.differs, **msgspec.structs.asdict(found)})


def as_text(found: Difference) -> str:
    """Tell the difference: first what is written, then what is decided."""
    lines = [_said(change) for change in found.changes] or ["the policies say the same"]
    timelines = f"{found.timelines} test timeline{'' if found.timelines == 1 else 's'}"
    lines.append("")
    if not found.decisions:
        lines.append(f"{timelines} under both policies: every decision is the same")
        return "\n".join(lines) + "\n"
    many = f"{len(found.decisions)} decisions are" if len(found.decisions) > 1 else "1 decision is"
    lines.append(f"{timelines} under both policies: {many} different")
    for one in found.decisions:
        whose = ", ".join(part for part in (one.customer, one.event, one.rule, f"at {one.at}") if part)
        lines.append(f"  {one.test}  {whose}: {one.before or 'no decision'} -> {one.after or 'no decision'}")
    return "\n".join(lines) + "\n"


def _said(change: Change) -> str:
    whose = f"{change.kind} {change.name}".strip()
    match change.what:
        case "moved":
            return f"{whose} moved: it came {change.before}, now it comes {change.after}"
        case "changed":
            key = f" {change.key}:" if change.key else ":"
            return f"{whose}{key} {_shown(change.before)} -> {_shown(change.after)}"
        case _:
            return f"{whose} {change.what}"


def _shown(value: Any) -> str:
    if value is None:
        return "(not given)"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# --- what is written -----------------------------------------------------------------------------


def _changes(a: Facts, b: Facts) -> Iterator[Change]:
    yield from _keys("tenant", "", {"name": a.tenant}, {"name": b.tenant})
    yield from _keys("defaults", "", a.defaults, b.defaults)
    for kind, old, new in (
        ("category", a.categories, b.categories),
        ("cap", a.caps, b.caps),
        ("rule", a.rules, b.rules),
        ("event type", a.events, b.events),
        ("template", _named(a.templates), _named(b.templates)),
    ):
        yield from _all(kind, old, new)
        if kind in ("cap", "rule"):
            yield from _moves(kind, list(old), list(new))
    yield from _keys("segment", "", a.segments, b.segments)
    yield from _keys("attribute", "", a.attributes, b.attributes)
    yield from _keys("jargon", "", a.jargon, b.jargon)
    for lock in a.locks:
        if lock not in b.locks:
            yield Change("lock", _shown(lock), "removed")
    for lock in b.locks:
        if lock not in a.locks:
            yield Change("lock", _shown(lock), "added")


def _named(templates: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {f"{name}/{locale}": parts for (name, locale), parts in templates.items()}


def _all(kind: str, old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield Change(kind, name, "removed")
        elif name not in old:
            yield Change(kind, name, "added")
        else:
            yield from _keys(kind, name, old[name], new[name])


def _keys(kind: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    flat_old, flat_new = dict(_flat(old)), dict(_flat(new))
    for key in [*flat_old, *(key for key in flat_new if key not in flat_old)]:
        if flat_old.get(key) != flat_new.get(key):
            yield Change(kind, name, "changed", key, flat_old.get(key), flat_new.get(key))


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _moves(kind: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """Yield those that both have, but in another order: as few as explain it."""
    left, right = [name for name in old if name in new], [name for name in new if name in old]
    stay = set()
    for block in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        stay.update(left[block.a : block.a + block.size])
    for name in right:
        if name not in stay:
            yield Change(kind, name, "moved", "", _after(name, old), _after(name, new))


def _after(name: str, order: Sequence[str]) -> str:
    place = order.index(name)
    return f"after {order[place - 1]}" if place else "first"


# --- what is decided -----------------------------------------------------------------------------


def _decisions(document: Document, a: Opened, b: Opened, names: tuple[Names, Names]) -> Iterator[Moved]:
    before, start = _lived(document, a.policy, names[0])
    after, _ = _lived(document, b.policy, names[1])
    for key in sorted(before.keys() | after.keys()):
        for old, new in zip_longest(before.get(key, ()), after.get(key, ())):
            at = (old or new).time
            if old is None or new is None or _when(old) != _when(new) or _ended(old) != _ended(new):
                when = offset(at, start)
                yield Moved(document.path, *key, when, iso(at), _end(old, at, start), _end(new, at, start))


def _lived(document: Document, policy: Policy, names: Names) -> tuple[dict[tuple[str, str, str], list[Decision]], int]:
    """Return the decisions of a timeline by customer, event and rule, and its start."""
    timeline, _ = read_test(document, names)
    if timeline is None:
        return {}, 0
    found: dict[tuple[str, str, str], list[Decision]] = {}
    for happened in live(timeline, policy).happened:
        decision, event = happened.decision, happened.decision.event
        if event is not None:
            key = (decision.customer, f"{event.source}/{event.id}", decision.rule_name)
            found.setdefault(key, []).append(decision)
    return found, timeline.start


def _when(decision: Decision) -> tuple[int, int]:
    return decision.time, decision.due


def _ended(decision: Decision) -> str:
    outcome, reason = decision.outcome.name, decision.reason.name
    channels = f" by {', '.join(send.channel for send in decision.sends)}" if decision.sends else ""
    return f"{outcome if outcome == reason else f'{outcome} {reason}'}{channels}"


def _end(decision: Decision | None, at: int, start: int) -> str:
    if decision is None:
        return ""
    until = f" until {offset(decision.due, start)}" if decision.outcome is Outcome.HOLD else ""
    when = f" at {offset(decision.time, start)}" if decision.time != at else ""
    return f"{_ended(decision)}{until}{when}"
