"""`clarion explain`: what happened to a customer's events, read from the topics, told in plain words or as JSON.

Only the customer's own partition is read. With an event its whole story is told, without one each event has a line.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from services.common.clock import iso
from services.common.topics import Topics
from services.control import read, words
from services.control.errors import ClarionError
from services.control.records import AcceptedEvent, DecisionRecord, FeedbackRecord
from services.router.decision import ids


class Question(Struct, frozen=True):
    """Whom and what someone asks about; an empty event means all of them, an empty tenant the only one."""

    customer: str
    event: str = ""
    tenant: str = ""


class Story(Struct, frozen=True):
    """What is known about a customer's events: decisions and findings, in order of the log."""

    tenant: str
    customer: str
    zone: str
    decisions: tuple[DecisionRecord, ...]
    feedback: tuple[FeedbackRecord, ...]


async def story(bootstrap: str, topics: Topics, question: Question) -> Story:
    """Read what there is; raise ClarionError when nothing is known of the customer or the event."""
    async with read.reading(bootstrap, topics) as log:
        tenant = question.tenant or await read.only_tenant(log)
        zone = await read.customer_zone(log, tenant, question.customer)
        decisions = await read.decisions(log, tenant, question.customer)
        wanted = [each for each in decisions if question.event in ("", words.event_name(each))]
        if not wanted:
            waiting = await read.accepted(log, tenant, question.customer)
            raise ClarionError(nothing_found(question, tenant, decisions, waiting, known=zone is not None))
        feedback = await read.feedback(log, tenant, question.customer)
        told_in = zone or await read.default_zone(log, tenant)
    decided = {each.decision_id for each in wanted}
    # What became of a digest is said of its send, which its decisions share.
    sends = {send_id for each in wanted for send_id in each.send_ids}
    return Story(
        tenant=tenant,
        customer=question.customer,
        zone=told_in,
        decisions=tuple(wanted),
        feedback=tuple(each for each in feedback if each.decision_id in decided or each.send_id in sends),
    )


def tell(told: Story) -> str:
    """Tell a story in plain words: one event whole, several with a line each."""
    events: dict[str, list[DecisionRecord]] = {}
    for decision in told.decisions:
        events.setdefault(words.event_name(decision), []).append(decision)
    if len(events) == 1:
        return words.explain(told.decisions, told.feedback, told.zone)
    lines = [words.summary(_telling(found), told.feedback, told.zone) for found in events.values()]
    example = f"The whole story of one: clarion explain --customer {told.customer} --event {next(iter(events))}"
    return "\n".join([*lines, example])


def as_json(told: Story) -> bytes:
    """Return a story as JSON: enumerations by their names, ids as text, times in microseconds since 1970."""
    return msgspec.json.encode(_plain(told))


def _telling(revisions: Sequence[DecisionRecord]) -> DecisionRecord:
    """Return the revision that says what became of an event: a duplicate that came later says nothing about it."""
    own = [each for each in revisions if each.rule] or list(revisions)
    return own[-1]


def _plain(value: Any) -> Any:
    match value:
        case Struct():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return ids.text(value)
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return getattr(value, "name", value)


def nothing_found(
    question: Question,
    tenant: str,
    decisions: Sequence[DecisionRecord],
    accepted: Sequence[AcceptedEvent],
    *,
    known: bool,
) -> str:
    """Say why there is nothing to tell: not decided yet, never came, or nobody knows the customer."""
    customer = question.customer
    for event in accepted:
        name = f"{event.source}/{event.event_id}"
        if question.event in ("", name):
            where = f"partition {event.partition} offset {event.offset}"
            return f"{name} was accepted {iso(event.accepted)} ({where}) and is not decided yet: is a router running?"
    if decisions:
        last = ", ".join(dict.fromkeys(words.event_name(each) for each in decisions[-3:]))
        return f"no event {question.event} came for {customer}; the last ones were {last} (give SOURCE/ID)"
    if known:
        return f"nothing was decided for {customer} of {tenant} yet: no event that names this customer has come"
    return f"{customer} is not known at {tenant}: no profile and no event names this customer"
