"""What happened to an event for a customer, in plain words: values in, text out.

A revision of a decision becomes a few lines: the walk over the rules, what the message was, each channel with its
verdict, the outcome, then what the provider said. Times are told in one zone, with their date where the day differs.
Every reason has exactly one phrase here, so the same thing is called the same everywhere.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from services.control.fates import fate
from services.control.records import DecisionRecord, FeedbackRecord
from services.policy.registry import UNSERVED
from services.router.decision import ids
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    CapFinding,
    Feedback,
    Outcome,
    Reason,
    Truth,
    Verdict,
)

REASONS: dict[Reason, str] = {
    Reason.ALLOWED: "nothing stood against it",
    Reason.CLOSURE: "the customer was told that it began, so is told that it is over",
    Reason.QUIET_HOURS: "it is quiet time for the customer",
    Reason.CAP: "a cap is full for now",
    Reason.DIGEST: "it waits for the next digest",
    Reason.PAUSED: "a control pauses it",
    Reason.PREFERENCE_OFF: "the customer does not want it",
    Reason.NO_CONSENT: "the customer gave no consent to marketing on this channel",
    Reason.SNOOZED: "the customer snoozed all messages",
    Reason.LOCKED: "this channel is locked for this category",
    Reason.ADDRESS_SUPPRESSED: "the address must not be used",
    Reason.NO_ADDRESS: "no address",
    Reason.CAP_REACHED: "a cap is full",
    Reason.NOT_MATERIAL: "nothing changed since the last message that matters to the customer",
    Reason.NEVER_INFORMED: "the customer was never told that it began",
    Reason.ROLLOUT: "the rollout has not reached the customer yet",
    Reason.HOLDOUT: "the customer is in the group that gets none, for comparison",
    Reason.STOPPED: "a control stops it",
    Reason.ONCE: "the customer had this message already",
    Reason.NOT_IN_AUDIENCE: "by the customer's profile the rule does not concern the customer",
    Reason.CHANNEL_FAILED: "the provider refused it on this channel",
    Reason.SUPERSEDED: "something newer took its place",
    Reason.STALE: "a newer event about the same subject came before it",
    Reason.TRANSIENT: "it was over before the customer was told",
    Reason.EXPIRED: "it came too late to be of use",
    Reason.DUPLICATE: "the same event came before",
    Reason.NO_RULE: "no rule makes a message of it",
    Reason.POISON: "the record cannot be read",
    Reason.ID_REUSED: "the same id came before with another content",
    Reason.UNKNOWN_TYPE: "the policy does not declare this type",
    Reason.INVALID_DATA: "its data are not what its type demands",
    Reason.POLICY_ERROR: "the policy failed on it",
}

PROVIDER: dict[Feedback, str] = {
    Feedback.ACCEPTED: "accepted by",
    Feedback.REJECTED: "refused for good by",
    Feedback.RETRY: "not taken, will be tried again at",
    Feedback.UNKNOWN: "no answer from",
    Feedback.EXPIRED: "came too late to be sent through",
    Feedback.DELIVERED: "delivered by",
    Feedback.BOUNCED: "came back from",
    Feedback.COMPLAINED: "reported as unwanted through",
    Feedback.OPENED: "opened, says",
    Feedback.CLICKED: "a link was followed, says",
    Feedback.REPLIED: "answered through",
    Feedback.SUPPRESSED: "opted out since the decision, not given to",
}

DOORS = {"grpc": "gRPC", "http": "HTTP", "kafka": "Kafka", "test": "virtual clock"}
# What the decision core calls the preference that decided.
REQUIRED = "required"
OWN_WISHES = frozenset({"category x channel", "category", "channel", "everything"})
_ID_SHOWN = 8
_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


class Telling:
    """Tells instants in one zone; the date is said where it is not the day the story is about."""

    def __init__(self, zone: str, day_of: int) -> None:
        self.zone = zone or "UTC"
        self._info = ZoneInfo(self.zone)
        self._day: date = self._local(day_of).date()

    def clock(self, instant: int, *, exact: bool = False) -> str:
        """Return "18:20:07", exact "18:20:07.113", with the date before it on another day."""
        local = self._local(instant)
        text = local.strftime("%H:%M:%S") + (f".{local.microsecond // 1000:03}" if exact else "")
        return text if local.date() == self._day else f"{local.date().isoformat()} {text}"

    def full(self, instant: int) -> str:
        """Return date and exact time."""
        local = self._local(instant)
        return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}"

    def day(self, instant: int) -> str:
        """Return the date."""
        return self._local(instant).date().isoformat()

    def _local(self, instant: int) -> datetime:
        return (
            datetime.fromtimestamp(instant // SECOND, UTC).replace(microsecond=instant % SECOND).astimezone(self._info)
        )


def duration(length: int) -> str:
    """Return a duration in its largest whole unit: "24 h", "30 min"."""
    for unit, name in _UNITS:
        if length >= unit and length % unit == 0 and (unit != DAY or length > DAY):
            return f"{length // unit} {name}"
    return f"{length / SECOND:g} s"


def explain(decisions: Sequence[DecisionRecord], feedback: Sequence[FeedbackRecord], zone: str) -> str:
    """Tell the whole story of one event for one customer; `decisions` are all its revisions, in order of the log."""
    first = min(decisions, key=lambda decision: decision.decided)
    telling = Telling(zone, first.accepted or first.decided)
    lines = [_headline(first, telling), f"  times are those of {telling.zone}"]
    for story in _stories(decisions):
        said: set[bytes] = set()
        for revision in story:
            lines += _revision(revision, telling)
            said.update(revision.send_ids)
            lines += _provider_lines([each for each in feedback if each.send_id in revision.send_ids], telling)
        lines += _provider_lines(
            [each for each in feedback if each.decision_id == story[0].decision_id and each.send_id not in said],
            telling,
        )
    return "\n".join(lines)


def summary(decision: DecisionRecord, feedback: Sequence[FeedbackRecord], zone: str) -> str:
    """Tell in one line what became of an event."""
    telling = Telling(zone, decision.decided)
    about = f" about {decision.subject}" if decision.subject else ""
    return f"{telling.full(decision.decided)}  {event_name(decision)}{about}: {sentence(decision, feedback, zone)}"


def sentence(decision: DecisionRecord, feedback: Sequence[FeedbackRecord], zone: str) -> str:
    """Say what became of it and why as one sentence; of a message that was sent, what its sender found."""
    telling = Telling(zone, decision.decided)
    why = _why(decision, telling)
    match decision.outcome:
        case Outcome.SEND:
            return f"{fate(decision, feedback, why, partial(telling.clock, exact=True))}."
        case Outcome.HOLD:
            return f"WAITS until {telling.clock(decision.due)} ({telling.zone}): {why}."
        case _:
            return f"NOT SENT ({decision.reason.name}): {why}."


def event_name(decision: DecisionRecord) -> str:
    """Return an event's name as `--event` takes it."""
    return f"{decision.source}/{decision.event_id}"


def _why(decision: DecisionRecord, telling: Telling) -> str:
    blocking = [finding for finding in decision.caps if finding.blocked]
    if decision.reason in (Reason.CAP_REACHED, Reason.CAP) and blocking:
        return _cap_words(blocking[0], telling)
    if decision.reason is Reason.QUIET_HOURS and decision.local_time:
        return f"{REASONS[decision.reason]}, {_local(decision.local_time)} in {decision.timezone}"
    if decision.reason is Reason.PREFERENCE_OFF:
        off = [_preference(each, telling) for each in decision.verdicts if each.reason is Reason.PREFERENCE_OFF]
        return f"{REASONS[decision.reason]} ({'; '.join(off)})" if off else REASONS[decision.reason]
    failed = [tried.why for tried in decision.rules_tried if tried.rule == decision.rule and tried.why]
    detail = decision.detail or (failed[-1] if failed else "")
    return f"{REASONS[decision.reason]} ({detail})" if detail else REASONS[decision.reason]


def _headline(first: DecisionRecord, telling: Telling) -> str:
    about = f" about {first.subject}" if first.subject else ""
    lifecycle = f" ({first.lifecycle.name.lower()})" if first.lifecycle > 1 else ""
    door = DOORS.get(first.door, first.door) or "door unknown"
    trace = f", trace {first.traceparent}" if first.traceparent else ""
    accepted = f"accepted {telling.full(first.accepted)}" if first.accepted else "accepted, time unknown"
    return f"{event_name(first)}  {first.event_type}{about}{lifecycle}  {accepted} ({door}{trace})"


def _stories(decisions: Sequence[DecisionRecord]) -> Iterable[list[DecisionRecord]]:
    """Return the revisions of each decision, decisions in order of their first revision."""
    stories: dict[bytes, list[DecisionRecord]] = {}
    for decision in decisions:
        stories.setdefault(decision.decision_id, []).append(decision)
    return stories.values()


def _revision(decision: DecisionRecord, telling: Telling) -> list[str]:
    lines = []
    if decision.revision == 0:
        lines += _walk(decision)
        if decision.rule and decision.message_class is not None:
            lines.append(f"  {_message(decision, telling)}")
    else:
        lines.append(
            f"  decided again {telling.clock(decision.decided, exact=True)}, policy {decision.policy_hash[:6]}"
        )
    lines += [_channel(verdict, decision, telling) for verdict in decision.verdicts]
    lines += [
        f"  cap {_cap_words(finding, telling)}" for finding in decision.caps if finding.blocked and not finding.channel
    ]
    return [*lines, _outcome(decision, telling)]


def _walk(decision: DecisionRecord) -> list[str]:
    """Tell which rule was applied and why those before it were not."""
    before = [tried for tried in decision.rules_tried if tried.rule != decision.rule]
    policy = f"policy {decision.policy_hash[:6]}" if decision.policy_hash else "no policy"
    total = sum(tried.others or 1 for tried in before)
    lines = []
    if decision.rule:
        count = f"; before it {_rules(total)} tried" if before else ""
        place = f"{decision.rule_place}, " if decision.rule_place else ""
        lines.append(f"  rule {decision.rule} ({place}{policy}): its condition held{count}")
    elif before:
        lines.append(f"  no rule was applied ({policy}); {_rules(total)} tried")
    for tried in before:
        if tried.others:
            lines.append(f"    not {tried.others} more: {tried.why}")
            continue
        absent = " (a field it reads is absent)" if tried.truth is Truth.ABSENT else ""
        if tried.truth is Truth.TRUE:
            then = "it goes on to later rules" if decision.rule else "it makes no message"
            lines.append(f"    {tried.rule} ({tried.place}): its condition held, {then}")
            continue
        why = tried.why or "its condition did not hold"
        lines.append(f"    not {tried.rule} ({tried.place}): {why}{absent}")
    return lines


def _rules(count: int) -> str:
    return "1 rule was" if count == 1 else f"{count} rules were"


def _message(decision: DecisionRecord, telling: Telling) -> str:
    urgency = decision.message_class.name.lower() if decision.message_class is not None else ""
    plan = decision.plan.replace("first [", "first of [").replace("all [", "all of [")
    expires = f", expires {telling.clock(decision.expires)}" if decision.expires else ""
    return f"class {urgency}, category {decision.category}, plan {plan}{expires}"


def _channel(verdict: Verdict, decision: DecisionRecord, telling: Telling) -> str:
    allowed = verdict.reason in (Reason.ALLOWED, Reason.CLOSURE)
    return f"  {verdict.channel:<7} {'yes' if allowed else 'no':<4} {_verdict_words(verdict, decision, telling)}"


def _verdict_words(verdict: Verdict, decision: DecisionRecord, telling: Telling) -> str:
    blocking = [each for each in decision.caps if each.blocked and each.channel == verdict.channel]
    match verdict.reason:
        case Reason.CAP_REACHED | Reason.CAP if blocking:
            return f"cap {_cap_words(blocking[0], telling)}"
        case Reason.QUIET_HOURS:
            local = f", {_local(decision.local_time)} in {decision.timezone}" if decision.local_time else ""
            until = f"; until {telling.clock(verdict.until)}" if verdict.until else ""
            return f"{REASONS[verdict.reason]}{local}{until}"
        case Reason.LOCKED | Reason.ADDRESS_SUPPRESSED if verdict.preference:
            unserved = verdict.preference.startswith(UNSERVED)
            return verdict.preference if unserved else f"{REASONS[verdict.reason]} ({verdict.preference})"
        case Reason.STOPPED | Reason.PAUSED if decision.detail:
            return f"{REASONS[verdict.reason]} ({decision.detail})"
        case Reason.ALLOWED | Reason.CLOSURE | Reason.PREFERENCE_OFF if verdict.preference:
            return f"preference: {_preference(verdict, telling)}"
        case _:
            until = f" until {telling.clock(verdict.until)}" if verdict.until else ""
            return f"{REASONS[verdict.reason]}{until}"


def _preference(verdict: Verdict, telling: Telling) -> str:
    if verdict.preference == REQUIRED:
        return "this category is required, nobody can switch it off"
    value = "off" if verdict.reason is Reason.PREFERENCE_OFF else "on"
    since = f" {telling.day(verdict.preference_set)}" if verdict.preference_set else ""
    who = f" (set by the customer{since})" if verdict.preference in OWN_WISHES else ""
    return f"{verdict.preference} = {value}{who}"


def _cap_words(finding: CapFinding, telling: Telling) -> str:
    times = ", ".join(telling.clock(time) for time in finding.used_times)
    used = f" ({times})" if times else ""
    free = f"; free again {telling.clock(finding.next_free)}" if finding.next_free else ""
    return f"{finding.cap}: {finding.used} of {finding.limit} used in the last {duration(finding.window)}{used}{free}"


def _outcome(decision: DecisionRecord, telling: Telling) -> str:
    where = f", partition {decision.partition} offset {decision.offset}" if decision.partition >= 0 else ""
    decided = f"decided {telling.clock(decision.decided, exact=True)}"
    record = f"{decided}, decision {ids.text(decision.decision_id)[:_ID_SHOWN]}{where}"
    step = f", step {decision.step}" if decision.step else ""
    match decision.outcome:
        case Outcome.SEND:
            channels = ", ".join(decision.channels)
            digest = " in the digest" if decision.digest else ""
            said = f"SEND by {channels}{digest} ({decision.reason.name})"
        case Outcome.HOLD:
            said = f"HOLD {decision.reason.name} until {telling.clock(decision.due)}"
        case Outcome.SUPPRESSED | Outcome.ERROR:
            said = f"{decision.outcome.name} {decision.reason.name}"
        case _:
            said = decision.reason.name
    why = f": {_why(decision, telling)}" if not decision.verdicts or decision.reason is Reason.CLOSURE else ""
    return f"  -> {said}{step}{why}, {record}"


def _provider_lines(findings: Sequence[FeedbackRecord], telling: Telling) -> list[str]:
    return [
        f"  -> {PROVIDER[finding.outcome]} {finding.provider or finding.channel}"
        f" {telling.clock(finding.time, exact=True)}"
        + (f" ({finding.reason})" if finding.reason else "")
        + (", parked: it will not be tried again" if finding.parked else "")
        for finding in findings
    ]


def _local(local_time: str) -> str:
    """Return hours and minutes of an ISO 8601 local time."""
    return local_time[11:16]
