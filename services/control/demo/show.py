"""The story of the day: who was told what, what was not sent and why, four cases explained, and the checks."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from msgspec import Struct
from rich.console import Console

from services.control import words
from services.control.audit.promises import Audit, verdict
from services.control.customers import CULTURES, MANY_ORDERS, ON_FEEDER, ORDER_OFF, DemoCustomer
from services.control.demo.scenario import CUT, FLICKER, Happening, Kind
from services.control.publish import Refused
from services.control.records import DecisionRecord, FeedbackRecord
from services.router.decision.model import Outcome, Reason

_COLUMN = 27


class Day(Struct, frozen=True):
    """Everything that the story is told from."""

    people: Sequence[DemoCustomer]
    happenings: Sequence[Happening]
    decisions: Sequence[DecisionRecord]
    feedback: Sequence[FeedbackRecord]
    refused: Sequence[Refused]
    found: Audit


def opening(people: Sequence[DemoCustomer], happenings: Sequence[Happening]) -> str:
    """Return the first lines."""
    return (
        f"Clarion demo: a day at Northwind Power ({len(people)} customers in {len(CULTURES)} time zones,"
        f" {len(happenings) + 1:,} events)\n"
    )


def show_day(day: Day, console: Console) -> None:
    """Print the story."""
    line = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    counts = _counts(day)
    line("")
    for text in _paragraphs(counts, day):
        line(f"  {text}")
    line("")
    line(f"  In all: {_totals(day)}")
    line("")
    for text in _explanations(day):
        line(text)
    for promise in day.found.promises:
        mark = "holds " if promise.holds else "BROKEN"
        line(f"  {mark}  {promise.says} ({promise.looked_at:,} {promise.of})")
        for note in promise.noted:
            line(f"          noted: {note}")
    line(f"  Checked: {verdict(day.found)}")


Counts = dict[Kind, Counter[Reason]]


def _counts(day: Day) -> Counts:
    """Count the reasons by what the events were about."""
    kinds = {happening.identity: happening.kind for happening in day.happenings}
    counts: Counts = {kind: Counter() for kind in Kind}
    for decision in _last_revisions(day.decisions):
        kind = kinds.get((decision.source, decision.event_id))
        if kind is not None:
            counts[kind][decision.reason] += 1
    return counts


def _paragraphs(counts: Counts, day: Day) -> list[str]:
    terms, offer, order = counts[Kind.TERMS], counts[Kind.OFFER], counts[Kind.ORDER]
    door = ", ".join(sorted({refused.reason for refused in day.refused}))
    facts = {
        "New terms, everyone": (
            f"{terms[Reason.ALLOWED]} sent, {terms[Reason.QUIET_HOURS]} wait for the end of quiet time,"
            f" {terms[Reason.PREFERENCE_OFF]} opted out, {terms[Reason.NO_ADDRESS]} no address"
        ),
        "Offer, who asked for it": (
            f"{offer[Reason.ALLOWED]} sent, {offer[Reason.NO_CONSENT]} without consent,"
            f" {offer[Reason.PREFERENCE_OFF]} never asked, {offer[Reason.NO_ADDRESS]} no address,"
            f" {offer[Reason.HOLDOUT]} in the control group"
        ),
        "Usage of the month": f"{counts[Kind.USAGE][Reason.DIGEST]} wait for the next digest",
        "Survey after a cut": (
            f"{counts[Kind.REVIEW][Reason.ALLOWED]} asked, {counts[Kind.REVIEW_AGAIN][Reason.ONCE]} not asked again"
            " within 30 days"
        ),
        "Order errors": (
            f"{order[Reason.ALLOWED]} sent, {order[Reason.CAP_REACHED]} capped (email-a-day),"
            f" {order[Reason.QUIET_HOURS]} wait for the end of quiet time, {order[Reason.PREFERENCE_OFF]} opted out"
        ),
        f"Flicker {FLICKER}": (
            f"nobody was affected, nobody was told ({counts[Kind.FLICKER_OPENED][Reason.NO_RULE]} x NO_RULE,"
            f" of its end {counts[Kind.FLICKER_OVER][Reason.NEVER_INFORMED]} x NEVER_INFORMED)"
        ),
        "What goes wrong": (
            f"{len(day.refused)} refused at the door ({door}), {order[Reason.EXPIRED]} expired,"
            f" {order[Reason.DUPLICATE]} duplicates recognised"
        ),
    }
    return [*_power_cut(counts), *(f"{what:<{_COLUMN}}{fact}" for what, fact in facts.items())]


def _power_cut(counts: Counts) -> list[str]:
    opened, news, over = (counts[kind] for kind in (Kind.CUT_OPENED, Kind.CUT_NEWS, Kind.CUT_OVER))
    title = f"Power cut {CUT} in Mitte"
    told = (
        f"{len(ON_FEEDER)} customers: {opened[Reason.ALLOWED]} told that it broke, {news[Reason.ALLOWED]} when it will"
        f" be back, {over[Reason.CLOSURE]} that it is fixed"
    )
    nothing = f"the update without news went to nobody ({counts[Kind.CUT_NO_NEWS][Reason.NOT_MATERIAL]} x NOT_MATERIAL)"
    return [f"{title:<{_COLUMN}}reported, a new time, the same again, restored", f"    {told}", f"    {nothing}"]


def _totals(day: Day) -> str:
    outcomes: dict[Outcome, Counter[Reason]] = {}
    for decision in _last_revisions(day.decisions):
        outcomes.setdefault(decision.outcome, Counter())[decision.reason] += 1
    return " · ".join(
        f"{outcome.name} {reasons.total():,}"
        + ("" if [reason.name for reason in reasons] == [outcome.name] else f" ({_reasons(reasons)})")
        for outcome, reasons in sorted(outcomes.items())
    )


def _reasons(reasons: Counter[Reason]) -> str:
    return ", ".join(f"{reason.name} {count:,}" for reason, count in reasons.most_common())


def _last_revisions(decisions: Sequence[DecisionRecord]) -> list[DecisionRecord]:
    return list({decision.decision_id: decision for decision in decisions}.values())


def _explanations(day: Day) -> list[str]:
    """Explain one message that was sent, one that a cap stopped, one that waits, one that was not wanted."""
    lines = []
    by_id = {customer.id: customer for customer in day.people}
    for title, decision in _cases(day):
        customer = by_id[decision.key.partition("|")[2]]
        whole = [each for each in day.decisions if each.key == decision.key and _same_event(each, decision)]
        findings = [each for each in day.feedback if each.decision_id == decision.decision_id]
        lines.append(f"  Why?  {customer.name}, {title}: {words.sentence(decision, findings, customer.timezone)}")
        lines += [f"      {line}" for line in words.explain(whole, findings, customer.timezone).splitlines()]
        lines.append("")
    return lines


def _cases(day: Day) -> list[tuple[str, DecisionRecord]]:
    roles = {customer.id: customer.role for customer in day.people}
    wanted = (
        ("power is back", Reason.CLOSURE, ON_FEEDER),
        ("order error", Reason.CAP_REACHED, MANY_ORDERS),
        ("new terms", Reason.QUIET_HOURS, range(len(day.people))),
        ("order error", Reason.PREFERENCE_OFF, ORDER_OFF),
    )
    cases = []
    for title, reason, among in wanted:
        found = [
            each for each in day.decisions if each.reason is reason and roles.get(each.key.partition("|")[2]) in among
        ]
        fitting = [each for each in found if title != "order error" or each.category == "order"]
        cases += [(title, min(fitting, key=lambda each: each.key))] if fitting else []
    return cases


def _same_event(one: DecisionRecord, other: DecisionRecord) -> bool:
    return (one.source, one.event_id) == (other.source, other.event_id)
