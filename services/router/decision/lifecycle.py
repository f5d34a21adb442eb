"""What a customer has heard of a subject, and what that means for the next event (semantics 7; checks 4 and 7).

Told is who was sent something of the subject after the last closing message, and it is not known to have failed.
A closing event ends the older holds of its subject; it goes to those who were told, as a closure, and to no one else
unless its rule announces it. Of one `once` key a customer gets one message within its window.
An update that says nothing new against the last message is not sent. A failed message is taken back: what the
customer had heard before it counts again, also when it was the closing one.
An event with lifecycle `point`, or without subject, has no part in this; only its sequence and the order of its
messages are kept.
"""

from msgspec.structs import replace

from services.router.decision.case import Case, Draft, Ended, Heard, Turn
from services.router.decision.model import (
    DAY,
    Admission,
    Customer,
    Event,
    Hold,
    Lifecycle,
    Outcome,
    Policy,
    Reason,
    Send,
    Subject,
    Told,
)
from services.router.decision.rules import holds

_POINT, _UPDATED = Lifecycle.POINT, Lifecycle.UPDATED
# Of one subject so many messages are remembered. Only if all of them failed could an older one matter.
_REMEMBERED = 16
_KEY_SHOWN = 80
# How long a subject is kept after its last event; longer while who was told waits for its end.
_KEPT, _KEPT_WHILE_TOLD = 30 * DAY, 400 * DAY


def followed(event: Event) -> bool:
    """Whether the event has a part in the life of a subject."""
    return event.lifecycle is not _POINT and event.subject != ""


def turn(draft: Draft, event: Event, first_seen: int, *, announces: bool = False) -> Turn:
    """Return the turn of a new event: all its rules see the subject as it is now."""
    subject = draft.subjects.get((event.source, event.subject)) if event.subject else None
    heard = Heard() if subject is None else Heard(subject.told, subject.previous, subject.highest_sequence)
    older: tuple[Hold, ...] = ()
    if draft.holds and followed(event):
        found = [h for h in draft.holds if _same_subject(h.event, event) and followed(h.event)]
        older = tuple(sorted(found, key=order))
    return Turn(event, first_seen, heard, older, announces)


def order(hold: Hold) -> tuple[int, int, bytes]:
    """Return where a hold stands among others: by class, event time, id, in whatever order they were kept."""
    return hold.message_class, hold.event.time, hold.decision_id


def turn_again(draft: Draft, event: Event, first_seen: int) -> Turn:
    """Return the turn of an event that is decided again: messages of its own other rules are not news to it."""
    subject = draft.subjects.get((event.source, event.subject)) if event.subject else None
    if subject is None:
        return Turn(event, first_seen, Heard())
    messages = (*subject.closed, *subject.told)
    others = tuple(m for m in messages if not (m.event_id == event.id and m.first_seen == first_seen))
    before = subject if len(others) == len(messages) else _with_messages(subject, others)
    return Turn(event, first_seen, Heard(before.told, before.previous, before.highest_sequence))


def in_sequence(case: Case) -> Ended | None:
    """Check 4: an event that is not newer than one already seen of its subject is STALE."""
    sequence, highest = case.turn.event.sequence, case.turn.heard.highest_sequence
    if sequence is not None and highest is not None and sequence <= highest:
        return Ended(Outcome.STALE, Reason.STALE)
    case.turn.in_sequence = True
    return None


def is_closure(turn: Turn) -> bool:
    """Whether this is the end of what the customer was told of."""
    return turn.event.lifecycle.closing and bool(turn.heard.told)


def announces(case: Case) -> bool:
    """Whether a closing event that passed check 4 goes on to a customer who was not told, however long it waits."""
    rule = case.rule
    return rule.announce_always or (rule.announce_transient and case.turn.ended_a_hold)


def worth_telling(case: Case) -> Ended | None:
    """Check 7: whether this event is news to this customer."""
    event, heard, rule = case.turn.event, case.turn.heard, case.rule
    if case.closure or not followed(event):
        return None
    if event.lifecycle.closing:
        if case.announced or rule.announce_always:
            case.announced = True
            return None
        if case.turn.ended_a_hold:
            return Ended(Outcome.TRANSIENT, Reason.TRANSIENT)
        return Ended(Outcome.SUPPRESSED, Reason.NEVER_INFORMED)
    if event.lifecycle is _UPDATED and heard.previous is not None and not holds(case, case.rule.material, "material"):
        return Ended(Outcome.SUPPRESSED, Reason.NOT_MATERIAL)
    return None


def not_again(case: Case) -> Ended | None:
    """Check 7, `once`: whether the customer had a message of this rule with this key within the window.

    A next step of the same decision is the same message. Without a key nothing can be told apart, so nothing is kept.
    """
    rule = case.rule
    if rule.once is None:
        return None
    case.once = rule.once.evaluate(case.scope()) or ""
    if case.closure or not case.once:
        return None
    since = case.now - rule.once_window
    for admission in reversed(case.draft.admissions):
        if admission.time <= since:
            break
        if admission.decision_id != case.decision_id and _had(admission, rule.name, case.once):
            case.detail = said_of_key(case.once)
            return Ended(Outcome.SUPPRESSED, Reason.ONCE)
    return None


def said_of_key(key: str) -> str:
    """Return a key for the trace."""
    return f"key {key[:_KEY_SHOWN]!r}"


def _had(admission: Admission, rule: str, key: str) -> bool:
    if admission.channels and admission.once == key and admission.rule == rule:
        return True
    return any(p.channels and p.once == key and p.rule == rule for p in admission.parts)


def note_event(draft: Draft, turn: Turn, now: int) -> None:
    """Remember that an event of this subject passed check 4; without a sequence only if the subject is known."""
    event = turn.event
    if not turn.in_sequence or not event.subject:
        return
    if event.sequence is None and (event.source, event.subject) not in draft.subjects:
        return
    subject = _subject(draft, event)
    highest = subject.highest_sequence
    if event.sequence is not None and (highest is None or event.sequence > highest):
        highest = event.sequence
    draft.put(replace(subject, highest_sequence=highest, last_event_time=now))


def note_sends(draft: Draft, turn: Turn, sends: tuple[Send, ...], now: int) -> None:
    """Remember what was sent about this subject."""
    event = turn.event
    if not event.subject:
        return
    closing = event.lifecycle.closing
    new = tuple(Told(s.send_id, s.channel, now, event.id, turn.first_seen, closing) for s in sends)
    subject = _subject(draft, event)
    used = {t.channel for t in new}
    last = (*(t for t in subject.last_sends if t.channel not in used), *new)
    previous = subject.previous
    if followed(event):
        older = (*subject.closed, *subject.told)
        if older and not _same_event(older[-1], new[-1]):
            # Only the message before the newest keeps its data: that is what `previous` may have to go back to.
            older = (*(_without_data(t) for t in older[:-1]), replace(older[-1], data=previous))
        subject, previous = _with_messages(subject, (*older, *new)[-_REMEMBERED:]), event.data
    draft.put(replace(subject, last_sends=last, last_event_time=now, previous=previous))


def last_send(draft: Draft, event: Event, channel: str) -> bytes:
    """Return the send of this subject on this channel that must leave first, b"" if there is none."""
    subject = draft.subjects.get((event.source, event.subject)) if event.subject else None
    if subject is not None:
        for sent in subject.last_sends:
            if sent.channel == channel:
                return sent.send_id
    return b""


def take_back(draft: Draft, send_id: bytes) -> None:
    """Forget a message that is known to have failed; feedback names the send, not what it was about.

    A digest can be about several subjects.
    """
    for known in tuple(draft.subjects.values()):
        messages = (*known.closed, *known.told)
        left = tuple(m for m in messages if m.send_id != send_id)
        if len(left) != len(messages):
            draft.put(_with_messages(known, left))


def overtaken(draft: Draft, event: Event, send_id: bytes) -> bool:
    """Whether a message of a newer event of the subject was sent after this one."""
    subject = draft.subjects.get((event.source, event.subject))
    if subject is None or not followed(event):
        return False
    messages = (*subject.closed, *subject.told)
    for at, message in enumerate(messages):
        if message.send_id == send_id:
            return not all(_same_event(later, message) for later in messages[at:])
    return bool(messages)


def overtaken_in_a_hold(draft: Draft, hold: Hold) -> bool:
    """Whether a message of a newer event of the subject was sent while a next step waited.

    Other than a first step, it is not ended by the newer event, which may have come before its message failed.
    """
    subject = draft.subjects.get((hold.event.source, hold.event.subject)) if hold.step and hold.event.subject else None
    if subject is None or not followed(hold.event):
        return False
    return any(
        m.time >= hold.since and m.first_seen >= hold.first_seen and m.event_id != hold.event.id
        for m in (*subject.closed, *subject.told)
    )


def prune(customer: Customer, policy: Policy, now: int) -> Customer:
    """Return the customer without what can no longer matter; the same object if all of it can."""
    # What was admitted at this very now is kept in any case: the next flush at it must not have the same id.
    since = now - max(policy.memory, 1)
    admissions = customer.admissions
    if admissions and admissions[0].time <= since:
        admissions = tuple(a for a in admissions if a.time > since)
    opens = customer.opens
    if any(o.expires <= now for o in opens):
        opens = tuple(o for o in opens if o.expires > now)
    subjects = customer.subjects
    if any(_forgotten(s, now) for s in subjects.values()):
        subjects = {name: s for name, s in subjects.items() if not _forgotten(s, now)}
    if admissions is customer.admissions and opens is customer.opens and subjects is customer.subjects:
        return customer
    return replace(customer, admissions=admissions, opens=opens, subjects=subjects)


def _forgotten(subject: Subject, now: int) -> bool:
    """Whether nothing was heard of a subject for so long that it is over, or its end will not come."""
    since = now - (_KEPT_WHILE_TOLD if subject.told else _KEPT)
    return subject.last_event_time <= since and all(sent.time <= since for sent in subject.last_sends)


def _subject(draft: Draft, event: Event) -> Subject:
    return draft.subjects.get((event.source, event.subject)) or Subject(event.source, event.subject)


def _same_subject(one: Event, other: Event) -> bool:
    return one.source == other.source and one.subject == other.subject


def _same_event(one: Told, other: Told) -> bool:
    return one.event_id == other.event_id and one.first_seen == other.first_seen


def _without_data(message: Told) -> Told:
    return message if message.data is None else replace(message, data=None)


def _with_messages(subject: Subject, messages: tuple[Told, ...]) -> Subject:
    """Return the subject with these messages: split after the last closing one, `previous` that of the newest."""
    cut = max((at + 1 for at, m in enumerate(messages) if m.closing), default=0)
    was = (*subject.closed, *subject.told)
    previous = subject.previous
    if not messages:
        previous = None
    elif was and not _same_event(was[-1], messages[-1]):
        previous = messages[-1].data
    return replace(subject, told=messages[cut:], closed=messages[:cut], previous=previous)
