"""A second, naive implementation of what is decided, to hold the decision core against.

It is written from the words of the semantics alone and shares nothing with the core but its values and hashes. It
plays the whole history of one customer and keeps all of it: every check looks through everything that ever happened.

Where the semantics leave something open it reads them so. All rules of a closing event count as one announcement for
the holds that it ends. A closing message that is announced stays so, also over a pause and on its next channel.
A closure prefers the channels that carried the subject, of the newest event first. A message that was read, or that
the sender dropped as late or unwanted, has no next step; a held next step is superseded if a newer message was sent
meanwhile. In a required category what is switched off comes last, but not where the rule fixes the order. A message
that a flush holds again stays in the digest of the channels that hold it; one whose way leads elsewhere goes by
itself, and waits for no further flush of the channels that it waited for.
"""

from collections.abc import Collection

from services.router.decision import ids
from services.router.decision.model import (
    Control,
    Customer,
    Event,
    Feedback,
    Outcome,
    Policy,
    Profile,
    Reason,
    Rule,
    Scope,
    Truth,
)
from tests.support.reference import wishes
from tests.support.reference.judging import Judging, suppressed
from tests.support.reference.memory import Memory, has_lifecycle
from tests.support.reference.values import Course, Entry, Finding, Message, Row
from tests.support.reference.walk import Spread

NEVER_SENT = (Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED)
# The step is over: it was read, or the sender dropped it for a reason that another channel would not cure.
OVER = (
    Feedback.EXPIRED,
    Feedback.SUPPRESSED,
    Feedback.OPENED,
    Feedback.CLICKED,
    Feedback.REPLIED,
)
SUPERSEDED = Finding(Outcome.SUPERSEDED, Reason.SUPERSEDED)
TRANSIENT = Finding(Outcome.TRANSIENT, Reason.TRANSIENT)
STALE = Finding(Outcome.STALE, Reason.STALE)
NO_RULE = Finding(Outcome.NO_RULE, Reason.NO_RULE)


class Reference:
    """One customer. Every input gives the rows of its decisions; `policy`, `controls` and `profile` may be changed."""

    def __init__(self, policy: Policy, tenant: str, customer: str, profile: Profile | None, spread: Spread) -> None:
        self.policy = policy
        self.tenant = tenant
        self.customer = customer
        self.profile = profile
        self.spread = spread
        self.controls: list[Control] = []
        self.identities: dict[tuple[str, str], tuple[bytes, int]] = {}
        self.events = 0
        self.memory = Memory()
        self.flushed: list[int] = []
        self.rows: list[Row] = []

    def event(self, event: Event, now: int, *, selected: bool | None = None) -> list[Row]:
        """Take an event that names this customer, or else whose audience was found to have him or not."""
        self.rows = []
        self.events += 1
        refused = self._refusal(event, now)
        if refused not in ((Outcome.ERROR, Reason.ID_REUSED), (Outcome.DUPLICATE, Reason.DUPLICATE), *MALFORMED):
            self.identities[event.source, event.id] = (event.content_hash, now)
        if refused is not None:
            return [Row(event.id, "", refused[0].name, refused[1].name, 0, 0, (), 0, ())]
        highest = self.memory.highest_sequence(event)
        for rule in self._matching(event, now):
            decision_id = ids.decision_id(event, now, rule.name, self.customer)
            course = Course(decision_id, self.events, event, rule.name, rule.message_class)
            if self._outside(course, rule, now, selected=selected is not False, first=True):
                if selected is None:
                    self._settle(course, suppressed(Reason.NOT_IN_AUDIENCE), now)
                continue
            self.memory.courses[decision_id] = course
            if event.sequence is not None:
                self.memory.sequences.append((self.events, event.source, event.subject, event.sequence))
            if event.subject and event.sequence is not None and highest is not None and event.sequence <= highest:
                self._settle(course, STALE, now)
                continue
            self._end_older_if_closing(course, rule, self._matching(event, now))
            self._settle(course, self._judge(course, now, first=True), now)
        return self.rows

    def due(self, now: int) -> list[Row]:
        """Decide again what is due."""
        return self._release([c for c in self.memory.held() if c.due <= now], now)

    def lift(self, names: Collection[str], now: int) -> list[Row]:
        """Decide again what these controls paused."""
        paused = [c for c in self.memory.held() if c.reason is Reason.PAUSED and c.control in names]
        return self._release(paused, now)

    def feedback(self, send_id: bytes, channel: str, outcome: Feedback, now: int, *, hard: bool) -> list[Row]:
        """Learn what became of a send."""
        self.rows = []
        about = [m for e in self.memory.ledger for m in e.messages if m.sends.get(channel) == send_id]
        failed = outcome in NEVER_SENT or (outcome is Feedback.BOUNCED and hard)
        for message in about:
            message.released |= {channel} if outcome in NEVER_SENT else set()
            message.failed |= {channel} if failed else set()
        for message in about:
            if failed and outcome not in OVER:
                self._fall_back(message, channel, now)
            elif outcome in OVER and message.course.state == "sent" and message.course.step == message.step:
                message.course.state = "ended"
        return self.rows

    def erase(self) -> list[Row]:
        """Forget the customer."""
        self.rows = []
        for course in sorted(self.memory.held(), key=lambda c: c.order):
            self._settle(course, suppressed(Reason.ADDRESS_SUPPRESSED), 0)
        self.profile = None
        self.memory = Memory()
        return self.rows

    def _refusal(self, event: Event, now: int) -> tuple[Outcome, Reason] | None:
        known = self.identities.get((event.source, event.id))
        kind = self.policy.event_types.get(event.type)
        if known is not None and now - known[1] < self.policy.defaults.dedup_window:
            same = known[0] == event.content_hash
            return (Outcome.DUPLICATE, Reason.DUPLICATE) if same else (Outcome.ERROR, Reason.ID_REUSED)
        if kind is None:
            return Outcome.ERROR, Reason.UNKNOWN_TYPE
        if kind.check(event.data) or (has_lifecycle(event) and not kind.lifecycle):
            return Outcome.ERROR, Reason.INVALID_DATA
        if event.expiry is not None and event.expiry <= now:
            return Outcome.EXPIRED, Reason.EXPIRED
        return None if self._matching(event, now) else (Outcome.NO_RULE, Reason.NO_RULE)

    def _matching(self, event: Event, now: int) -> list[Rule]:
        found = []
        for rule in self.policy.rules:
            named = event.type in rule.on or "*" in rule.on
            if named and (rule.when is None or rule.when.evaluate(Scope(event, None, None, now)) is Truth.TRUE):
                if not rule.ignore:
                    found.append(rule)
                if rule.ignore or not rule.go_on:
                    break
        return found

    def _outside(self, course: Course, rule: Rule, now: int, *, first: bool, selected: bool = True) -> bool:
        must_end = course.event.lifecycle.closing and (
            self.memory.told(course) or self.memory.older(course) or (first and course.number in self.memory.enders)
        )
        return not must_end and not (selected and wishes.belongs(rule, course.event, self.profile, now))

    def _end_older_if_closing(self, course: Course, rule: Rule, rules: list[Rule]) -> None:
        if not course.event.lifecycle.closing:
            return
        self.memory.closings.append(course)
        older, told = self.memory.older(course), self.memory.told(course)
        older = [c for c in older if not (told and c.event.lifecycle.closing)]
        if older:
            self.memory.enders.add(course.number)
        ended = course.number in self.memory.enders
        course.announced = rule.announce_always or (rule.announce_transient and ended)
        loud = any(r.announce_always or r.announce_transient for r in rules)
        for other in older:
            self._settle(other, SUPERSEDED if told or loud else TRANSIENT, 0)

    def _rule(self, course: Course) -> Rule | None:
        return next((r for r in self.policy.rules if r.name == course.rule and not r.ignore), None)

    def _judge(
        self, course: Course, now: int, *, first: bool = False, flush: bool = False, waited: list[str] | None = None
    ) -> Finding:
        rule = self._rule(course)
        if rule is None:
            return NO_RULE
        if course.step > 0 and self.memory.was_replaced(course):
            return SUPERSEDED
        if not first and self._outside(course, rule, now, first=False):
            return suppressed(Reason.NOT_IN_AUDIENCE)
        judging = Judging(
            self.policy,
            self.controls,
            self.customer,
            self.profile,
            self.memory,
            self.spread,
            course,
            rule,
            now,
            first,
            flush,
            waited or [],
        )
        course.may_fall_back = not judging.every
        course.expires = judging.expires
        return judging.decide()

    def _release(self, courses: list[Course], now: int) -> list[Row]:
        self.rows = []
        in_order = sorted(courses, key=lambda c: c.order)
        for course in in_order:
            course.flushed_at = -1  # of an earlier release, perhaps of the same instant
        members = [c for c in in_order if c.digests]
        for course in in_order:
            if course.state != "held":
                continue
            if course in members:
                self._flush(members, now)
                members = []
            elif course.flushed_at != now:
                self._settle(course, self._judge(course, now), now)
        return self.rows

    def _flush(self, members: list[Course], now: int) -> None:
        due = min(now, max(c.due for c in members))
        while due in self.flushed:
            due += 1
        self.flushed.append(due)
        entry = Entry(now, [])
        self.memory.flush = [entry]
        elsewhere = []
        for course in (c for c in members if c.state == "held"):
            course.flushed_at = now
            finding = self._judge(course, now, flush=True)
            sent_elsewhere = any(channel not in course.digests for channel in finding.channels)
            still = [c for c in course.digests if c in finding.holding or not finding.holding]
            if sent_elsewhere or not still:
                elsewhere.append(course)
                continue
            key = finding.message.once if finding.message is not None and not finding.message.closure else ""
            if key and any(m.once == key and m.course.rule == course.rule for m in entry.messages):
                finding = suppressed(Reason.ONCE)
            if finding.outcome is Outcome.HOLD:
                finding.digests = still if finding.reason is Reason.DIGEST else course.digests
            self._settle(course, finding, now, entry, due)
        self.memory.flush = []
        self.memory.ledger.append(entry)
        for course in (c for c in elsewhere if c.state == "held"):
            finding = self._judge(course, now, waited=course.digests)
            if finding.reason is not Reason.DIGEST and any(c in finding.holding for c in course.digests):
                finding.digests = course.digests
            self._settle(course, finding, now)

    def _settle(self, course: Course, finding: Finding, now: int, flush: Entry | None = None, due: int = 0) -> None:
        course.revision += 1
        held = finding.outcome is Outcome.HOLD
        course.state = "held" if held else "sent" if finding.outcome is Outcome.SEND else "ended"
        course.due, course.reason, course.control = finding.due, finding.reason, finding.control
        course.digests = finding.digests
        if finding.reason is Reason.CAP and held and course.first_held is None:
            course.first_held = now
        verdicts = tuple(sorted((c, r.name) for c, r in finding.verdicts.items()))
        channels = tuple(finding.channels)
        self.rows.append(
            Row(
                course.event.id,
                course.rule,
                finding.outcome.name,
                finding.reason.name,
                course.step,
                course.revision,
                channels,
                finding.due,
                verdicts,
            )
        )
        if finding.outcome is Outcome.SEND:
            self._admit(course, finding, now, flush, due)
        replaces = held or finding.outcome is Outcome.SEND or finding.reason is Reason.NOT_MATERIAL
        if replaces and course.revision == 0 and has_lifecycle(course.event):
            for other in self.memory.older(course):
                # Who was told is to be told of the end: what is not news does not end the message that tells it.
                if finding.reason is not Reason.NOT_MATERIAL or not other.event.lifecycle.closing:
                    self._settle(other, SUPERSEDED, now)

    def _admit(self, course: Course, finding: Finding, now: int, flush: Entry | None, due: int) -> None:
        assert finding.message is not None
        message = finding.message
        message.channels = list(finding.channels)
        message.in_digest = flush is not None
        for channel in finding.channels:
            message.sends[channel] = (
                ids.send_id(course.id, channel, course.step)
                if flush is None
                else ids.digest_id(Customer(self.tenant, self.customer), channel, due)
            )
        if flush is None:
            self.memory.ledger.append(Entry(now, [message]))
        else:
            flush.messages.append(message)

    def _fall_back(self, message: Message, channel: str, now: int) -> None:
        course = message.course
        current = course.state == "sent" and course.step == message.step and not message.in_digest
        if not current or not course.may_fall_back or channel in course.failed or now >= course.expires:
            return
        course.failed.append(channel)
        course.step += 1
        self._settle(course, self._judge(course, now), now)


MALFORMED = ((Outcome.ERROR, Reason.UNKNOWN_TYPE), (Outcome.ERROR, Reason.INVALID_DATA))
