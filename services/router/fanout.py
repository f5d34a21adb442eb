"""Works off fan-outs, chunk by chunk, each in the transaction of a pass with its cursor.

A chunk is decided at the pass's one `now`, under the policy in force then: rules are matched anew. Fan-outs take turns,
a few members each, in the order of their offsets, so that a small one does not wait for a large one; those of one
subject wait for one another. While single events come, passes are short, so that the next event need not wait for long;
fan-outs that are not urgent then have a small share of each, never nothing.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from services.common.processor.errors import BrokenStoreError
from services.policy import selectors
from services.policy.cel_demands import Demands
from services.policy.expressions import ExpressionError
from services.router import metrics
from services.router.decision import rules
from services.router.decision.model import (
    MINUTE,
    SECOND,
    Control,
    ControlKind,
    Decision,
    MessageClass,
    Policy,
    Rule,
    Scope,
    Taken,
)
from services.router.fanout_records import FanOut, Progress, Stage
from services.router.fanouts import View
from services.router.members import members
from services.router.records import Chunk
from services.router.state import State

_log = structlog.get_logger()

# Members of a pass: where no single events come, and where some came within the last second.
CHUNK = 200
SHARE = 25
LULL = SECOND
# How long a partition rests after a chunk while single events come: the next one finds the processor free.
REST = 20_000
# Members of one fan-out before the next one has its turn.
TURN = 50
# A fan-out to a selector or everyone is small up to so many customers of all partitions together.
SMALL = 10_000
# Those who are pending are counted up to here.
COUNTED = 20_000
# Looking these values up costs less than looking at everyone.
MOST_VALUES = 20
LOOK_AGAIN = MINUTE
# Rules are matched and selectors compiled for so many fan-outs in a pass; the others come in the next ones.
LOOKS = 50


class Policies(Protocol):
    """The policies in force."""

    def active(self, tenant: str) -> Policy | None:
        """Return the policy in force for a tenant."""
        ...


Judge = Callable[[Taken, Policy, str, FanOut, bool], tuple[Sequence[Decision], bool]]


class Desk(Struct, frozen=True):
    """What chunks are worked off with.

    `judge` decides for one customer of a fan-out and gives the decisions, and whether that failed; its last argument
    says that no member of this fan-out has failed before. `room` says whether the pass may write more.
    """

    state: State
    policies: Policies
    partitions: int
    now: int
    judge: Judge
    room: Callable[[], bool]


class Ending(Struct, frozen=True, gc=False):
    """A fan-out that has ended, and how."""

    fan: FanOut
    progress: Progress


class FanOutWork:
    """Takes the chunks of one pass; `chunks` and `endings` say what was done."""

    def __init__(self, desk: Desk) -> None:
        self.chunks: list[Chunk] = []
        self.endings: list[Ending] = []
        self._desk = desk
        self._running = desk.state.fanouts
        self._looks = 0

    def work(self, *, urgent: bool) -> None:
        """Judge members of the fan-outs that are urgent, or of those that are not."""
        lull = self._desk.now - self._running.last_event >= LULL
        left = CHUNK if urgent or lull else SHARE
        while left > 0:
            turns = self._turns(urgent=urgent)
            if not turns:
                break
            for fan, view, policy in turns:
                left -= self._chunk(fan, view, policy, min(left, TURN))
                if left <= 0 or not self._desk.room():
                    return

    def _turns(self, *, urgent: bool) -> list[tuple[FanOut, View, Policy]]:
        """Return whose turn it is, beginning behind the one that was served last."""
        found = []
        for queue in self._running.heads():
            seen = [self._look(fan) for fan in queue]
            if seen[0] is None:
                continue
            # Whoever waits behind others of its subject for a critical message must not wait long.
            if any(each[0].urgent for each in seen if each is not None) is not urgent:
                continue
            fan, (view, policy) = queue[0], seen[0]
            if not self._steered(fan, view, policy):
                found.append((fan, view, policy))
        served = self._running.served
        return sorted(found, key=lambda turn: (turn[0].offset <= served, turn[0].offset))

    def _look(self, fan: FanOut) -> tuple[View, Policy] | None:
        policy = self._desk.policies.active(fan.event.tenant)
        if policy is None or self._running.postponed(fan) > self._desk.now:
            return None
        view = self._running.views.get(fan.offset)
        if view is not None and view.policy_hash == policy.hash:
            return view, policy
        if self._looks >= LOOKS:
            return None
        self._looks += 1
        try:
            view = self._running.views[fan.offset] = _view(fan, policy)
        except Exception as error:  # noqa: BLE001  # what one event makes fail must not stop a partition: it waits, counted
            self._failed(fan, error)
            return None
        return view, policy

    def _steered(self, fan: FanOut, view: View, policy: Policy) -> bool:
        """Note a control that holds or ends a fan-out; say whether there is one."""
        progress = self._running.progress(fan)
        control = steering(fan, view, policy, self._desk.now)
        if control is None:
            if progress.stage is Stage.PAUSED:
                stage = Stage.RUNNING if progress.started else Stage.WAITING
                self._running.put(fan, replace(progress, stage=stage, detail=""))
            return False
        by = f" by {control.author}" if control.author else ""
        detail = f"{control.name}{by}: {control.reason}" if control.reason else f"{control.name}{by}"
        if control.kind is ControlKind.FANOUT_ABORT:
            self._end(fan, replace(progress, detail=detail), Stage.ABORTED)
            at = progress.cursor
            self.chunks.append(Chunk(fan.offset, at, at, 0, ended=True))
        elif (progress.stage, progress.detail) != (Stage.PAUSED, detail):
            self._running.put(fan, replace(progress, stage=Stage.PAUSED, detail=detail))
        return True

    def _chunk(self, fan: FanOut, view: View, policy: Policy, limit: int) -> int:
        """Take a chunk and return how much of the limit it used, at least one."""
        self._running.served = fan.offset
        progress = self._running.progress(fan)
        try:
            if not progress.started:
                progress = self._begin(fan, view)
            names = members(self._desk.state, fan.event, view, progress.cursor, limit) if view.matched else []
        except BrokenStoreError:
            raise
        except Exception as error:  # noqa: BLE001  # as above; from here on each member is guarded by himself
            self._failed(fan, error)
            return 1
        judged, after = self._judged(fan, view, policy, progress, names)
        ended = judged == len(names) < limit
        self.chunks.append(Chunk(fan.offset, progress.cursor, after.cursor, judged, ended))
        if ended:
            self._end(fan, after, Stage.FINISHED)
        else:
            self._running.put(fan, after)
        return max(1, judged)

    def _failed(self, fan: FanOut, error: Exception) -> None:
        metrics.FAILURES.inc()
        _log.error("fan-out failed", offset=fan.offset, reason=type(error).__name__)
        self._running.postpone(fan, self._desk.now + LOOK_AGAIN)

    def _judged(
        self, fan: FanOut, view: View, policy: Policy, progress: Progress, names: Sequence[str]
    ) -> tuple[int, Progress]:
        """Judge members, as long as there is room, but one at least; return how many, and how far that is."""
        event = replace(fan.event, bulk=True) if progress.bulk else fan.event
        shared = Taken(event, fan.first_seen, matched=view.matched, selector=view.selector)
        counts, failed, judged = dict(progress.counts), progress.failed, 0
        for name in names:
            if judged and not self._desk.room():
                break
            # Neither a hold nor a send of one customer names the others.
            taken = replace(shared, event=replace(event, customers=(name,))) if event.customers else shared
            decisions, missed = self._desk.judge(taken, policy, name, fan, not failed)
            failed += missed
            for decision in decisions:
                if decision.revision == 0:
                    how = decision.outcome, decision.reason
                    counts[how] = counts.get(how, 0) + 1
            judged += 1
        metrics.MEMBERS.inc(judged)
        after = self._moved(fan, view, progress, names[judged - 1] if judged else progress.cursor, judged)
        detail = "" if view.matched else "no rule applies any more"
        return judged, replace(after, counts=counts, failed=failed, detail=detail)

    def _begin(self, fan: FanOut, view: View) -> Progress:
        """Count who may be in the audience; more than a few go in the lane bulk."""
        limit = max(SMALL // self._desk.partitions, COUNTED) + 1
        count = len(members(self._desk.state, fan.event, view, "", limit))
        return Progress(
            stage=Stage.RUNNING,
            started=self._desk.now,
            pending=count,
            at_least=count == limit,
            bulk=not fan.event.customers and count > SMALL // self._desk.partitions,
        )

    def _moved(self, fan: FanOut, view: View, progress: Progress, last: str, judged: int) -> Progress:
        pending, at_least = progress.pending - judged, progress.at_least
        if pending <= 0 and at_least:
            pending = len(members(self._desk.state, fan.event, view, last, COUNTED))
            at_least = pending == COUNTED
        return replace(
            progress,
            stage=Stage.RUNNING,
            updated=self._desk.now,
            judged=progress.judged + judged,
            pending=max(pending, 0),
            at_least=at_least,
            cursor=last,
        )

    def _end(self, fan: FanOut, progress: Progress, stage: Stage) -> None:
        pending = 0 if stage is Stage.FINISHED else progress.pending
        self.endings.append(Ending(fan, replace(progress, stage=stage, pending=pending, at_least=False)))
        self._running.end(fan)


def next_due(state: State, policies: Policies, now: int) -> int | None:
    """Return when fan-outs go on: 0, at once; None: not before something comes. `now` is when the last pass was."""
    running = state.fanouts
    soon = 0 if now - running.last_event >= LULL else now + REST
    soonest: int | None = None
    for fan, *_ in running.heads():
        policy = policies.active(fan.event.tenant)
        if policy is None:
            continue
        view = running.views.get(fan.offset)
        until = running.postponed(fan)
        if until <= now and view is not None and view.policy_hash == policy.hash:
            control = steering(fan, view, policy, now)
            if control is not None and running.progress(fan).stage is Stage.PAUSED:
                if control.kind is ControlKind.FANOUT_PAUSE and not control.expires:
                    continue
                until = control.expires if control.kind is ControlKind.FANOUT_PAUSE else 0
        if until <= now:
            if view is None or view.urgent:
                return 0
            until = soon
        soonest = until if soonest is None else min(soonest, until)
    return soonest


def _view(fan: FanOut, policy: Policy) -> View:
    event = fan.event
    matched, _ = rules.matching(Scope(event, None, None, fan.first_seen), policy)
    urgent = any(rule.message_class is MessageClass.CRITICAL for rule, _ in matched)
    if not event.select:
        return View(policy.hash, matched, urgent)
    try:
        compiled = selectors.selector(policy, event.select)
    except ExpressionError:
        # An attribute that is no longer declared: nobody has it. Who was told is still told of the end.
        return View(policy.hash, matched, urgent)
    attribute, values = _equal(compiled.demands, policy)
    return View(policy.hash, matched, urgent, compiled.condition, attribute, values)


def _equal(demands: Demands, policy: Policy) -> tuple[str, tuple[str, ...]]:
    """Return the attribute whose value a selector demands to be one of the fewest words."""
    found = [
        (len(allowed), path[2], tuple(sorted(allowed)))
        for path, allowed in demands.words.items()
        if len(path) == 3 and path[:2] == ("customer", "attributes") and policy.attributes.get(path[2]) == "string"  # noqa: PLR2004
    ]
    few = [each for each in found if each[0] <= MOST_VALUES]
    return min(few)[1:] if few else ("", ())


def steering(fan: FanOut, view: View, policy: Policy, now: int) -> Control | None:
    """Return the control that ends a fan-out, else the one that holds it."""
    matching = [c for c in policy.controls if _matches(c, fan, [rule for rule, _ in view.matched], now)]
    aborts = [control for control in matching if control.kind is ControlKind.FANOUT_ABORT]
    return next(iter(aborts or matching), None)


def _matches(control: Control, fan: FanOut, matched: Sequence[Rule], now: int) -> bool:
    event = fan.event
    return (
        control.kind in (ControlKind.FANOUT_PAUSE, ControlKind.FANOUT_ABORT)
        and not 0 < control.expires <= now
        and control.source in ("", event.source)
        and control.event in ("", event.id)
        and (
            not (control.rule or control.category or control.channel or control.message_class)
            or any(_matches_rule(control, rule) for rule in matched)
        )
    )


def _matches_rule(control: Control, rule: Rule) -> bool:
    return (
        control.rule in ("", rule.name)
        and control.category in ("", rule.category)
        and control.message_class in (None, rule.message_class)
        and control.channel in ("", *rule.plan.channels)
    )
