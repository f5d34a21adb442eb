"""The walk over the channels: pause, digest, quiet hours and caps for each of them (semantics 3, checks 10 to 13)."""

from collections.abc import Callable
from dataclasses import dataclass

from services.router.decision.model import (
    Cap,
    Control,
    MessageClass,
    Outcome,
    Over,
    Policy,
    Profile,
    QuietPolicy,
    QuietTimes,
    Reason,
    Rule,
)
from tests.support.reference import clocks, counting, wishes
from tests.support.reference.values import Entry, Finding, Message

Spread = Callable[[str, int, int], int]


@dataclass
class Answer:
    """What became of one channel: passed, held until `due`, dropped or rerouted (`held` too by quiet hours)."""

    channel: str
    kind: str
    reason: Reason
    due: int = 0
    control: str = ""


@dataclass
class Walk:
    """All that the checks of one channel look at."""

    policy: Policy
    rule: Rule
    profile: Profile | None
    customer: str
    ledger: list[Entry]
    message: Message
    pauses: list[Control]
    expires: int
    first_held: int
    now: int
    spread: Spread
    flush: bool
    waited: list[str]

    @property
    def zone(self) -> str:
        return (self.profile.timezone if self.profile else "") or self.policy.defaults.timezone

    def flush_time(self) -> int:
        times = (self.profile.digest if self.profile else None) or self.policy.defaults.digest
        return clocks.next_flush(times, self.zone, self.now)

    def ask(self, channel: str) -> Answer:
        return (
            self._paused(channel)
            or self._digest(channel)
            or self._quiet(channel)
            or self._capped(channel)
            or Answer(channel, "passed", Reason.ALLOWED)
        )

    def _paused(self, channel: str) -> Answer | None:
        for control in self.pauses:
            if control.channel == channel:
                due = min(control.expires or self.expires, self.expires)
                return Answer(channel, "held", Reason.PAUSED, due, control.name)
        return None

    def _digest(self, channel: str) -> Answer | None:
        if self.flush or channel in self.waited or not wishes.to_digest(self.policy, self.rule, self.profile, channel):
            return None
        return Answer(channel, "held", Reason.DIGEST, self.flush_time())

    def _quiet(self, channel: str) -> Answer | None:
        given = self.policy.defaults.quiet_hours or QuietPolicy(QuietTimes(None), (), Over.HOLD, 0)
        own = self.profile.quiet_hours if self.profile else None
        if self.rule.message_class is MessageClass.CRITICAL or not self.rule.respects_quiet_hours:
            return None
        end = clocks.quiet_until(own or given.times, self.zone, self.now)
        if not end or (given.channels and channel not in given.channels):
            return None
        due = end + self.spread(self.customer, end, given.release_spread)
        if given.over is Over.DROP and not self.message.closure:
            return Answer(channel, "dropped", Reason.QUIET_HOURS)
        return Answer(channel, "rerouted" if given.over is Over.REROUTE else "held", Reason.QUIET_HOURS, due)

    def _capped(self, channel: str) -> Answer | None:
        blocking = counting.blocking(self.policy, self.ledger, self.message, channel, self.now)
        if not blocking:
            return None
        free = counting.next_free(blocking, self.ledger, self.message, channel, self.now)
        return self._over(blocking[0], channel, free)

    def _over(self, cap: Cap, channel: str, free: int | None) -> Answer:
        if cap.over is Over.REROUTE:
            return Answer(channel, "rerouted", Reason.CAP_REACHED)
        if cap.over is Over.DIGEST and free is not None:
            return Answer(channel, "held", Reason.DIGEST, self.flush_time())
        if cap.over is Over.DEFER and free is not None and free <= self.first_held + cap.max_hold:
            return Answer(channel, "held", Reason.CAP, free)
        return Answer(channel, "dropped", Reason.CAP_REACHED)

    def over(self, channels: list[str], verdicts: dict[str, Reason], *, all: bool) -> Finding:
        """Walk the allowed channels; `verdicts` has the reasons of the excluded ones and gets the others."""
        answers: list[Answer] = []
        for channel in channels:
            answers.append(self.ask(channel))
            verdicts[channel] = answers[-1].reason
            if not all and answers[-1].kind != "rerouted":
                break
        passed = [a.channel for a in answers if a.kind == "passed"]
        held = [a for a in answers if a.kind == "held" or (a.kind == "rerouted" and a.due)]
        ended = not all and answers[-1].kind == "dropped"
        if passed:
            reason = Reason.CLOSURE if self.message.closure else Reason.ALLOWED
            return Finding(Outcome.SEND, reason, passed, verdicts=verdicts)
        if ended or not held:
            reason = answers[-1].reason if ended else wishes.furthest(verdicts)
            return Finding(Outcome.SUPPRESSED, reason, verdicts=verdicts)
        return self._hold(held, verdicts)

    def _hold(self, held: list[Answer], verdicts: dict[str, Reason]) -> Finding:
        due = min(a.due for a in held)
        until = [a for a in held if a.due == due]
        reason = until[0].reason
        if reason is not Reason.PAUSED and due >= self.expires:
            return Finding(Outcome.EXPIRED, Reason.EXPIRED, verdicts=verdicts)
        return Finding(
            Outcome.HOLD,
            reason,
            due=due,
            verdicts=verdicts,
            control=until[0].control,
            digests=[a.channel for a in until if a.reason is Reason.DIGEST] if reason is Reason.DIGEST else [],
            holding=[a.channel for a in until if a.reason is reason],
        )
