"""What the example policy demands of the day, reasoned from the day itself and never asked of the router.

One walk over each customer's events in their order, with the little that matters: how many mails he had, and whether he
was told of the power cut. The figures are the example policy's; a test holds them against it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

from services.control.demo.scenario import Happening, Kind
from services.control.records import DecisionRecord
from services.router.decision.model import Outcome, Reason

MAILS_A_DAY = 3
CONTROL_GROUP = 1_000  # of ten thousand: who never gets an offer
_SHOWN = 20

Identity = tuple[str, str]
Verdict = tuple[Outcome, Reason]

SENT: Verdict = (Outcome.SEND, Reason.ALLOWED)
CLOSED: Verdict = (Outcome.SEND, Reason.CLOSURE)
WAITS: Verdict = (Outcome.HOLD, Reason.QUIET_HOURS)
WAITS_FOR_MORE: Verdict = (Outcome.HOLD, Reason.DIGEST)
ASKED_BEFORE: Verdict = (Outcome.SUPPRESSED, Reason.ONCE)
HELD_OUT: Verdict = (Outcome.SUPPRESSED, Reason.HOLDOUT)
FULL: Verdict = (Outcome.SUPPRESSED, Reason.CAP_REACHED)
UNTOLD: Verdict = (Outcome.SUPPRESSED, Reason.NEVER_INFORMED)

_CATEGORIES = {Kind.TERMS: "policy", Kind.OFFER: "offers", Kind.REVIEW: "survey", Kind.ORDER: "order"}


class _Customer(Struct):
    """What one customer had so far."""

    mails: int = 0
    told_of_cut: bool = False


def judged(happenings: Iterable[Happening]) -> Iterator[tuple[Happening, Verdict]]:
    """Return each event with what must come out of it."""
    customers: dict[str, _Customer] = {}
    for happening in happenings:
        had = customers.setdefault(happening.customer.id, _Customer())
        verdict = _verdict(happening, had)
        if verdict[0] is Outcome.SEND:
            had.mails += 1
            had.told_of_cut = happening.kind in (Kind.CUT_OPENED, Kind.CUT_NEWS) or had.told_of_cut
        yield happening, verdict


def expected(happenings: Iterable[Happening]) -> dict[Identity, Counter[Verdict]]:
    """Return for each event how often each verdict must come out of it."""
    found: dict[Identity, Counter[Verdict]] = {}
    for happening, verdict in judged(happenings):
        found.setdefault(happening.identity, Counter())[verdict] += 1
    return found


def mails(happenings: Iterable[Happening]) -> Counter[str]:
    """Return how many mails must have gone to each address."""
    return Counter(happening.customer.email for happening, verdict in judged(happenings) if verdict[0] is Outcome.SEND)


def differences(wanted: Mapping[Identity, Counter[Verdict]], decisions: Sequence[DecisionRecord]) -> list[str]:
    """Compare with what came out; one line for each event that differs, at most some of them."""
    came = verdicts(decisions)
    lines = [
        f"{'/'.join(identity)}: expected {_said(wanted.get(identity))}, came {_said(came.get(identity))}"
        for identity in sorted(wanted.keys() | came.keys())
        if wanted.get(identity) != came.get(identity)
    ]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]


def verdicts(decisions: Iterable[DecisionRecord]) -> dict[Identity, Counter[Verdict]]:
    """Return what became of each event: the last revision of each of its decisions."""
    last: dict[bytes, DecisionRecord] = {}
    for decision in decisions:
        last[decision.decision_id] = decision
    came: dict[Identity, Counter[Verdict]] = {}
    for decision in last.values():
        came.setdefault((decision.source, decision.event_id), Counter())[decision.outcome, decision.reason] += 1
    return came


def _verdict(happening: Happening, had: _Customer) -> Verdict:
    if happening.again:
        return Outcome.DUPLICATE, Reason.DUPLICATE
    if happening.late:
        return Outcome.EXPIRED, Reason.EXPIRED
    if happening.kind in _CATEGORIES:
        return _ordinary(happening, had)
    if happening.kind is Kind.USAGE:
        return WAITS_FOR_MORE if happening.customer.email else (Outcome.SUPPRESSED, Reason.NO_ADDRESS)
    if happening.kind is Kind.REVIEW_AGAIN:
        return ASKED_BEFORE
    capped = SENT if had.mails < MAILS_A_DAY else FULL
    return {
        Kind.FLICKER_OPENED: (Outcome.NO_RULE, Reason.NO_RULE),
        Kind.FLICKER_OVER: UNTOLD,
        Kind.CUT_OPENED: SENT,
        Kind.CUT_NEWS: capped,
        Kind.CUT_NO_NEWS: (Outcome.SUPPRESSED, Reason.NOT_MATERIAL),
        Kind.CUT_OVER: CLOSED if had.told_of_cut else UNTOLD,
    }[happening.kind]


def in_control_group(customer: str) -> bool:
    """Say whether the rule `offer` leaves this customer out, to compare with."""
    place = int.from_bytes(blake2b(f"holdout|offer|{customer}".encode(), digest_size=8).digest(), "big")
    return place % 10_000 < CONTROL_GROUP


def _ordinary(happening: Happening, had: _Customer) -> Verdict:
    """Judge a message that respects the control group, wishes, the night and the caps, in this order."""
    customer = happening.customer
    category = _CATEGORIES[happening.kind]
    offer = happening.kind is Kind.OFFER
    if offer and in_control_group(customer.id):
        return HELD_OUT
    if not customer.email:
        return Outcome.SUPPRESSED, Reason.NO_ADDRESS
    if category in customer.off or (offer and category not in customer.wanted):
        return Outcome.SUPPRESSED, Reason.PREFERENCE_OFF
    if offer and "email" not in customer.consents:
        return Outcome.SUPPRESSED, Reason.NO_CONSENT
    if customer.night:
        return WAITS
    return SENT if had.mails < MAILS_A_DAY else FULL


def _said(verdicts: Counter[Verdict] | None) -> str:
    if not verdicts:
        return "nothing"
    return " and ".join(
        f"{outcome.name} {reason.name}" + (f" x{count}" if count > 1 else "")
        for (outcome, reason), count in sorted(verdicts.items())
    )
