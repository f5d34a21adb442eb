"""`clarion fanout`: events for many, how far they are and what became of them, summed over partitions.

Those that run are read from the router's state, those that have ended from the decisions.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from services.common.clock import iso
from services.common.topics import Topics
from services.control import read
from services.control.errors import ClarionError
from services.control.records import FanOutRecord, FanOutStage
from services.router.decision import ids

_SHORT = 8
_Stage = FanOutStage


class Summed(Struct, frozen=True):
    """One fan-out over all its partitions; `missing` of them have not begun to look at it."""

    fan_out_id: str
    event: str
    event_type: str
    subject: str
    audience: str
    state: str
    detail: str
    partitions: int
    missing: int
    accepted: int
    started: int
    finished: int
    judged: int
    pending: int
    at_least: bool
    failed: int
    bulk: bool
    decisions: dict[str, int]
    parts: tuple[FanOutRecord, ...] = ()


async def fan_outs(bootstrap: str, topics: Topics, tenant: str = "") -> list[Summed]:
    """Read all fan-outs, of a tenant or of all, the newest first."""
    async with read.reading(bootstrap, topics) as log:
        found = await read.fan_outs(log)
    return summed(each for each in found if tenant in ("", each.tenant))


def summed(records: Iterable[FanOutRecord]) -> list[Summed]:
    """Sum fan-outs over their partitions, the newest first."""
    by_id: dict[bytes, list[FanOutRecord]] = {}
    for record in records:
        by_id.setdefault(record.fan_out_id, []).append(record)
    found = [_sum(parts) for parts in by_id.values()]
    return sorted(found, key=lambda each: (-each.accepted, each.fan_out_id))


def chosen(found: Sequence[Summed], wanted: str) -> Summed:
    """Return the fan-out that an id (or its beginning) or an event SOURCE/ID names; raise ClarionError."""
    named = [each for each in found if each.event == wanted or each.fan_out_id.startswith(wanted.lower())]
    if not named:
        raise ClarionError(f"no fan-out {wanted}: `clarion fanout list` names all that are known")
    if len({each.event for each in named}) > 1:
        raise ClarionError(f"{wanted} is the beginning of {len(named)} fan-outs: give more of it")
    return named[0]


def table(found: Sequence[Summed]) -> str:
    """Return a line for each fan-out."""
    if not found:
        return "no event for many has come"
    rows = [("fan-out", "event", "for", "state", "judged", "pending", "decisions")]
    for each in found:
        decisions = ", ".join(f"{count} {how}" for how, count in each.decisions.items()) or "-"
        head = (each.fan_out_id[:_SHORT], each.event, _cut(each.audience), each.state)
        rows.append((*head, str(each.judged), _pending(each), decisions))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def tell(one: Summed) -> str:
    """Tell one fan-out whole."""
    about = f" about {one.subject}" if one.subject else ""
    lines = [
        f"{one.event}  {one.event_type}{about}, for {one.audience}",
        f"  fan-out {one.fan_out_id}: {one.state}{f' ({one.detail})' if one.detail else ''}",
        f"  accepted {_at(one.accepted)}, started {_at(one.started)}, ended {_at(one.finished)}",
        f"  {one.judged} customers looked at, {_pending(one)} pending, on {one.partitions} partitions"
        + (f" ({one.missing} have not seen it yet)" if one.missing else "")
        + (", lane bulk" if one.bulk else ""),
    ]
    lines += [f"  {count:>9}  {how}" for how, count in one.decisions.items()]
    if one.failed:
        lines.append(f"  {one.failed} of them by a failure of Clarion's own code: see the dead letters")
    lines += [
        f"  partition {part.partition}: {part.stage.name.lower()}, {part.judged} looked at"
        + (f", last {part.cursor}" if part.cursor and not part.stage.ended else "")
        for part in one.parts
    ]
    return "\n".join(lines)


def as_json(found: Summed | Sequence[Summed]) -> bytes:
    """Return fan-outs as JSON: ids as text, times in microseconds since 1970, 0: not yet."""
    return msgspec.json.encode(_plain(found) if isinstance(found, Summed) else [_plain(each) for each in found])


def _plain(one: Summed) -> dict[str, Any]:
    facts: dict[str, Any] = {name: getattr(one, name) for name in one.__struct_fields__ if name != "parts"}
    kept = ("partition", "judged", "pending", "started", "updated", "finished", "cursor", "detail")
    facts["parts"] = [
        {"state": part.stage.name.lower(), **{name: getattr(part, name) for name in kept}} for part in one.parts
    ]
    return facts


def _sum(parts: list[FanOutRecord]) -> Summed:
    first = parts[0]
    counts: Counter[str] = Counter()
    for part in parts:
        for outcome, reason, count in part.counts:
            counts[outcome.name if outcome.name == reason.name else f"{outcome.name} {reason.name}"] += count
    begun = [part.started for part in parts if part.started]
    state = _state(parts)
    return Summed(
        fan_out_id=ids.text(first.fan_out_id),
        event=f"{first.source}/{first.event_id}",
        event_type=first.event_type,
        subject=first.subject,
        audience=_audience(parts),
        state=state.name.lower(),
        detail=next((part.detail for part in parts if part.detail and part.stage is state), ""),
        partitions=first.partitions,
        missing=max(0, first.partitions - len(parts)),
        accepted=first.first_seen,
        started=min(begun, default=0),
        finished=max(part.finished for part in parts) if state.ended else 0,
        judged=sum(part.judged for part in parts),
        pending=sum(part.pending for part in parts),
        at_least=len(parts) < first.partitions or any(part.at_least or not part.started for part in parts),
        failed=sum(part.failed for part in parts),
        bulk=any(part.bulk for part in parts),
        decisions=dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))),
        parts=tuple(sorted(parts, key=lambda part: part.partition)),
    )


def _state(parts: Sequence[FanOutRecord]) -> FanOutStage:
    stages = {part.stage for part in parts}
    whole = len(parts) >= parts[0].partitions
    if whole and all(stage.ended for stage in stages):
        return _Stage.ABORTED if _Stage.ABORTED in stages else _Stage.FINISHED
    if _Stage.PAUSED in stages:
        return _Stage.PAUSED
    return _Stage.WAITING if stages == {_Stage.WAITING} else _Stage.RUNNING


def _audience(parts: Sequence[FanOutRecord]) -> str:
    """Return the audience in words; each partition counts its own of a list of names."""
    named = [part.audience.removesuffix(" named") for part in parts if part.audience.endswith(" named")]
    if len(named) == len(parts) and all(count.isdecimal() for count in named):
        return f"{sum(map(int, named))} named"
    return parts[0].audience


def _pending(one: Summed) -> str:
    return f"{one.pending} or more" if one.at_least and one.state not in ("finished", "aborted") else str(one.pending)


def _at(instant: int) -> str:
    return iso(instant) if instant else "not yet"


def _cut(text: str, length: int = 40) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
