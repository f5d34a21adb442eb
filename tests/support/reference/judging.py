"""Checks 5 to 9 of one course, each by its words (semantics 3), before the walk over the channels."""

from dataclasses import dataclass

from services.router.decision.model import (
    Control,
    ControlKind,
    Lifecycle,
    MessageClass,
    Outcome,
    Policy,
    Profile,
    Reason,
    Rule,
    Scope,
    Truth,
)
from tests.support.reference import wishes
from tests.support.reference.memory import Memory, has_lifecycle
from tests.support.reference.values import Course, Finding, Message
from tests.support.reference.walk import Spread, Walk


def suppressed(reason: Reason) -> Finding:
    return Finding(Outcome.SUPPRESSED, reason)


@dataclass
class Judging:
    """One decision of a course at `now`, as the customer is at this moment. `flush`: without check 10."""

    policy: Policy
    controls: list[Control]
    customer: str
    profile: Profile | None
    memory: Memory
    spread: Spread
    course: Course
    rule: Rule
    now: int
    first: bool
    flush: bool
    waited: list[str]

    def decide(self) -> Finding:
        event, rule = self.course.event, self.rule
        told = self.memory.told(self.course) if has_lifecycle(event) else []
        closure = event.lifecycle.closing and bool(told)
        found = self._controlled() or (None if closure else self._shares()) or self._lifecycle(bool(told))
        if found is not None:
            return found
        key = rule.once.evaluate(Scope(event, self.profile, None, self.now)) if rule.once else None
        since = self.now - rule.once_window
        if key is not None and not closure and self.memory.had_once(self.course, key, since, self.now):
            return suppressed(Reason.ONCE)
        verdicts, channels = self._preferences()
        if closure:
            events = list(dict.fromkeys(message.course.number for message in reversed(told)))
            carried = [c for number in events for m in told if m.course.number == number for c in m.arrived]
            channels = list(dict.fromkeys([c for c in carried if c in channels] + channels))
        if not channels:
            return Finding(Outcome.SUPPRESSED, wishes.furthest(verdicts), verdicts=verdicts)
        if self.expires <= self.now:
            return Finding(Outcome.EXPIRED, Reason.EXPIRED, verdicts=verdicts)
        walk = self._walk(closure=closure, once=key or "")
        found = walk.over(channels, verdicts, all=self.every)
        found.message = walk.message
        return found

    @property
    def expires(self) -> int:
        after = self.course.event.time + self.rule.expires_after
        return after if self.course.event.expiry is None else min(after, self.course.event.expiry)

    @property
    def every(self) -> bool:
        return self.rule.plan.all and not self.policy.categories[self.rule.category].required

    def _in_force(self, kind: ControlKind) -> list[Control]:
        found = [c for c in self.controls if c.kind is kind]
        return sorted(
            (c for c in found if wishes.hits(c, self.rule, self.course.event, self.now)), key=lambda c: c.name
        )

    def _controlled(self) -> Finding | None:
        if any(not c.channel for c in self._in_force(ControlKind.STOP)):
            return suppressed(Reason.STOPPED)
        for control in self._in_force(ControlKind.PAUSE):
            if not control.channel and self.now < self.expires:
                due = min(control.expires or self.expires, self.expires)
                return Finding(Outcome.HOLD, Reason.PAUSED, due=due, control=control.name)
        return None

    def _shares(self) -> Finding | None:
        rule = self.rule
        if rule.message_class is MessageClass.CRITICAL or self.policy.categories[rule.category].required:
            return None
        if rule.rollout is not None and not wishes.within(rule.rollout, self.customer):
            return suppressed(Reason.ROLLOUT)
        if rule.holdout is not None and wishes.within(rule.holdout, self.customer):
            return suppressed(Reason.HOLDOUT)
        return None

    def _lifecycle(self, told: bool) -> Finding | None:
        event, rule = self.course.event, self.rule
        if event.lifecycle.closing and not told:
            if self.course.announced or rule.announce_always:
                self.course.announced = True
                return None
            if self.course.number in self.memory.enders:
                return Finding(Outcome.TRANSIENT, Reason.TRANSIENT)
            return suppressed(Reason.NEVER_INFORMED)
        if event.lifecycle is Lifecycle.UPDATED and rule.material is not None:
            previous = self.memory.previous(self.course)
            scope = Scope(event, self.profile, previous, self.now)
            if previous is not None and rule.material.evaluate(scope) is not Truth.TRUE:
                return suppressed(Reason.NOT_MATERIAL)
        return None

    def _preferences(self) -> tuple[dict[str, Reason], list[str]]:
        stopped = [c.channel for c in self._in_force(ControlKind.STOP)]
        verdicts: dict[str, Reason] = {}
        allowed = []
        for channel in wishes.in_order(self.rule, self.profile, self.policy.defaults):
            why = wishes.excluded(self.policy, self.rule, self.profile, channel, self.now)
            if channel in stopped:
                why = Reason.STOPPED
            if channel in self.course.failed:
                why = Reason.CHANNEL_FAILED
            if why is None:
                allowed.append(channel)
            else:
                verdicts[channel] = why
        if self.rule.plan.fixed:
            return verdicts, allowed
        unwanted = [c for c in allowed if wishes.switched_off(self.policy, self.rule, self.profile, c)]
        return verdicts, [c for c in allowed if c not in unwanted] + unwanted

    def _walk(self, *, closure: bool, once: str) -> Walk:
        rule, event = self.rule, self.course.event
        message = Message(
            self.course,
            self.course.step,
            [],
            {},
            rule.category,
            rule.message_class,
            rule.name,
            event.subject,
            once,
            closure,
        )
        return Walk(
            policy=self.policy,
            rule=rule,
            profile=self.profile,
            customer=self.customer,
            ledger=self.memory.ledger,
            message=message,
            pauses=self._in_force(ControlKind.PAUSE),
            expires=self.expires,
            first_held=self.now if self.course.first_held is None else self.course.first_held,
            now=self.now,
            spread=self.spread,
            flush=self.flush,
            waited=self.waited,
        )
