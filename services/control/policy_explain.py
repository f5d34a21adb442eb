"""`clarion policy explain`: one event, one customer, decided on a virtual clock as the router would decide it.

The clock runs until nothing waits any more, so a message that is held until the morning is told to its end. Then comes
the message itself, as each channel of the rule's plan would show it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.control import explain
from services.control.errors import ClarionError
from services.control.policy_facts import opened
from services.control.policy_story import finding, record, tell
from services.policy.documents import Document, read
from services.policy.mistakes import Mistake
from services.policy.templates import RenderError
from services.policy.testing.absent import why_not
from services.policy.testing.messages import Messages
from services.policy.testing.moments import instant
from services.policy.testing.names import names_of
from services.policy.testing.run import templates_of
from services.policy.testing.scene import scene
from services.policy.testing.timeline import Happens, Timeline
from services.policy.testing.world import Happened, History, live
from services.policy.words import WordError
from services.router.decision.model import Outcome, Policy, Send


class Shown(Struct, frozen=True):
    """The message of a rule as a channel shows it; `used`: it would be sent there. `why_not`: it can't be written."""

    rule: str
    channel: str
    used: bool
    headline: str = ""
    text: str = ""
    why_not: str = ""


class Answer(Struct, frozen=True):
    """What would become of the event; `note` says why the customer has no decision of his own."""

    policy: Policy
    timeline: Timeline
    history: History
    about: Happened
    note: str
    messages: tuple[Shown, ...]

    @property
    def refused(self) -> bool:
        """Whether the event itself is wrong."""
        return any(each.decision.outcome is Outcome.ERROR for each in self.history.happened)


def answer(folder: Path, event: tuple[str, bytes], customer: tuple[str, bytes], at: str, now: int) -> Answer:
    """Decide; files are (name, content), `at` an instant or "": the event's time, else `now`. Raises ClarionError."""
    found = opened(folder)
    policy = found.policy
    for what, file in (("event", event), ("customer", customer)):
        _only_one(what, *file)
    happens, person = read(*event), read(*customer)
    timeline, mistakes = scene(happens, person, names_of(found.examined), _when(at, happens, now))
    if timeline is None:
        raise ClarionError(_lines(mistakes))
    history = live(timeline, policy)
    name = next(iter(timeline.customers))
    # What the event makes of others who are in its audience is not asked.
    history = replace(history, happened=tuple(e for e in history.happened if e.decision.customer in ("", name)))
    note, about = "", next((each for each in history.happened if each.decision.customer), None)
    if about is None:
        history, about, note = _absent(timeline, policy, history)
    shown = tuple(_messages(history, Messages(templates_of(found.bundle), policy.defaults)))
    return Answer(policy, timeline, history, about, note, shown)


def as_text(found: Answer) -> str:
    """Tell an answer in the words of `clarion explain`, with the messages."""
    decisions = [each.decision for each in found.history.happened]
    lines = [tell(decisions, found.history.found, found.about, found.policy)]
    if found.note:
        lines.append(f"  {found.note}")
    for shown in found.messages:
        lines += ["", f"{shown.channel}, {shown.rule} ({'sent' if shown.used else 'not sent'}):"]
        said = shown.why_not or shown.text
        headline = shown.headline if shown.headline and shown.channel not in ("sms", "push") else ""
        lines += [f"  {line}".rstrip() for line in [*([headline, ""] if headline else []), *said.splitlines()]]
    return "\n".join(lines) + "\n"


def as_json(found: Answer) -> bytes:
    """Return an answer as JSON: the story as `clarion explain --json` has it, and the messages."""
    tenant, profile = found.policy.tenant, found.about.profile
    told = explain.Story(
        tenant=tenant,
        customer=next(iter(found.timeline.customers)),
        zone=(profile.timezone if profile is not None else "") or found.policy.defaults.timezone,
        decisions=tuple(record(each.decision, tenant) for each in found.history.happened),
        feedback=tuple(finding(each, tenant) for each in found.history.found),
    )
    plain: dict[str, Any] = msgspec.json.decode(explain.as_json(told))
    return msgspec.json.encode({**plain, "note": found.note, "messages": found.messages})


def _only_one(what: str, name: str, content: bytes) -> None:
    """Refuse several lines of JSON, which the reader of YAML would not understand."""
    count = sum(line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in content.splitlines())
    if count > 1 and count == len(content.split(b"\n")) - content.split(b"\n").count(b""):
        raise ClarionError(f"{name}: one {what}, please: this has {count} lines of JSON")


def _when(at: str, event: Document, now: int) -> int:
    time = event.find(["time"])[0] if at == "" else None
    stated = at or (time.value if time is not None and isinstance(time.value, str) else "")
    try:
        return instant(stated) if stated else now
    except WordError as error:
        raise ClarionError(f"{'--at' if at else 'time'}: {error}") from None


def _absent(timeline: Timeline, policy: Policy, history: History) -> tuple[History, Happened, str]:
    """Say why the customer has no decision: no rule, or he does not belong to the audience."""
    if history.happened:
        return history, history.happened[0], ""
    customer = next(iter(timeline.customers))
    event = next(entry.deed.event for entry in timeline.entries if isinstance(entry.deed, Happens))
    found = why_not(timeline, policy, event.id, customer)
    if found is None:
        raise ClarionError(f"{event.source}/{event.id} is not for {customer}")
    said, instead, about = found
    if not said:
        return instead, about, "no record is kept of this: the event's audience finds customers, it does not name them"
    own = tuple(each for each in instead.happened if each.decision.customer in ("", customer))
    only = replace(instead, happened=own)
    return only, about, f"not decided for {customer}: {said}; the above is what would be, did it name this customer"


def _messages(history: History, messages: Messages) -> Iterator[Shown]:
    """Yield the message of each rule on each channel of its plan, those that are sent as they are sent."""
    for rule_name in dict.fromkeys(each.decision.rule_name for each in history.happened):
        own = [each for each in history.happened if each.decision.rule_name == rule_name]
        rule = own[-1].decision.rule
        for channel in rule.plan.channels if rule is not None else ():
            sent = [each for each in own if any(send.channel == channel for send in each.decision.sends)]
            shown = sent[-1] if sent else _as_if_sent(own[-1], channel)
            try:
                content = messages.message(shown, channel)
            except RenderError as error:
                yield Shown(rule_name, channel, bool(sent), why_not=f"can't be written: {error}")
                continue
            if content is not None:
                yield Shown(rule_name, channel, bool(sent), content.headline, content.text)


def _as_if_sent(happened: Happened, channel: str) -> Happened:
    return replace(happened, decision=replace(happened.decision, sends=(Send(b"", channel),)))


def _lines(mistakes: list[Mistake]) -> str:
    return "\n".join(str(mistake) for mistake in mistakes)
