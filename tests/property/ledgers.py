"""Caps, judged by a ledger that is kept from the records alone (semantics 5).

A message that went by itself is an entry of one; all messages of a digest's flush are one entry.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from services.router.decision.model import (
    Cap,
    Decision,
    EraseInput,
    Feedback,
    FeedbackInput,
    Per,
    Reason,
    Rule,
)
from tests.support.histories import History, Step, sent

NEVER_SENT = (Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED)


class Counted:
    """One message on the channels that are not known to have failed."""

    def __init__(self, decision: Decision) -> None:
        assert decision.rule is not None
        assert decision.event is not None
        self.rule: Rule = decision.rule
        self.subject = decision.event.subject
        self.channels = {s.channel for s in decision.sends}
        self.closure = decision.reason is Reason.CLOSURE

    def keys(self, cap: Cap) -> list[Any]:
        """Return the scopes of a cap in which this message counts."""
        channels = self.channels if not cap.where_channel else self.channels & {cap.where_channel}
        if (
            not channels
            or cap.where_category not in ("", self.rule.category)
            or cap.where_class not in (None, self.rule.message_class)
            or cap.where_rule not in ("", self.rule.name)
            or (cap.per is Per.SUBJECT and not self.subject)
        ):
            return []
        scopes: dict[Per, list[Any]] = {
            Per.CUSTOMER: ["all"],
            Per.CHANNEL: sorted(channels),
            Per.CATEGORY: [self.rule.category],
            Per.CLASS: [self.rule.message_class],
            Per.RULE: [self.rule.name],
            Per.SUBJECT: [self.subject],
        }
        return scopes[cap.per]

    def is_free(self, cap: Cap) -> bool:
        """Say whether the message may go whatever the cap says."""
        return self.closure or self.rule.message_class in cap.exempt


class Entry:
    """One admission: one message, or those of one flush."""

    def __init__(self, time: int) -> None:
        self.time = time
        self.messages: list[Counted] = []

    def keys(self, cap: Cap, *, bound: bool = False) -> set[Any]:
        """Return the scopes in which it counts; the ones in which a message that is not free counts, if bound."""
        return {key for m in self.messages if not (bound and m.is_free(cap)) for key in m.keys(cap)}


class Ledger:
    """All entries since the customer was last forgotten, and what feedback took from them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.by_send: dict[bytes, list[Counted]] = defaultdict(list)
        self.flushes: dict[bytes, Entry] = {}

    def admit(self, decision: Decision, step: Step) -> Entry:
        """Add a message, and return its entry."""
        entry, message = Entry(decision.time), Counted(decision)
        flush = next((d.decision_id for d in step.result.digests if d.send_id == decision.sends[0].send_id), None)
        if flush is not None:
            entry = self.flushes.setdefault(flush, entry)
        if not entry.messages:
            self.entries.append(entry)
        entry.messages.append(message)
        for send in decision.sends:
            self.by_send[send.send_id].append(message)
        return entry

    def release(self, given: FeedbackInput) -> None:
        """Give back what certainly was not sent."""
        if given.outcome in NEVER_SENT:
            for message in self.by_send[given.send_id]:
                message.channels -= {given.channel}


def ledgers(history: History) -> Iterator[tuple[Entry | None, Ledger]]:
    """Yield the ledger after each admission with its entry, and with None before it is forgotten and at the end."""
    ledger = Ledger()
    for step in history.log:
        if isinstance(step.input, EraseInput):
            yield None, ledger
            ledger = Ledger()
        if isinstance(step.input, FeedbackInput):
            ledger.release(step.input)
        for decision in sent(step.decisions):
            yield ledger.admit(decision, step), ledger
    yield None, ledger


def at_every_admission_every_cap_had_room(history: History) -> None:
    for entry, ledger in ledgers(history):
        if entry is None:
            continue
        new = entry.messages[-1]
        for cap in history.policy.caps:
            room = cap.limit - sum(n for c, n in cap.reserve if c < new.rule.message_class)
            for key in () if new.is_free(cap) else new.keys(cap):
                used = [
                    e
                    for e in ledger.entries
                    if e is not entry and entry.time - cap.window < e.time and key in e.keys(cap)
                ]
                assert len(used) < room, (cap, entry.time, new.rule.name)


def no_window_holds_more_messages_than_its_cap_allows(history: History) -> None:
    for entry, ledger in ledgers(history):
        if entry is not None:
            continue
        for cap in history.policy.caps:
            times: dict[Any, list[int]] = defaultdict(list)
            for one in ledger.entries:
                for key in one.keys(cap, bound=True):
                    times[key].append(one.time)
            for found in times.values():
                found.sort()
                assert all(found[i + cap.limit] - found[i] >= cap.window for i in range(len(found) - cap.limit)), cap


def a_key_is_told_once_in_its_window(history: History) -> None:
    """Of one `once` key one message, but for closures and next steps."""
    had: dict[tuple[str, str], list[tuple[int, bytes, Counted]]] = defaultdict(list)
    ledger = Ledger()
    for step in history.log:
        if isinstance(step.input, EraseInput):
            had.clear()
        if isinstance(step.input, FeedbackInput):
            ledger.release(step.input)
        for decision in sent(step.decisions):
            entry, rule, event = ledger.admit(decision, step), decision.rule, decision.event
            key = event.data["key"] if event is not None else None
            if rule is None or rule.once is None or key is None:
                continue
            for time, before, message in had[rule.name, key]:
                if message.channels and before != decision.decision_id:
                    assert decision.reason is Reason.CLOSURE or time <= decision.time - rule.once_window
            had[rule.name, key].append((decision.time, decision.decision_id, entry.messages[-1]))
