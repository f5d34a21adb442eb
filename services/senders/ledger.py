r"""The state of a send, and how it changes: pure.

    Waiting -> Intent -> Result              what can be known for certain
                 |  \--> Waiting             certainly not sent: tried again until the send expires
                 \-----> Waiting | Parked    unknown: class critical is sent again, others wait for receipts

An Intent is committed before the provider is called. An Intent that is found after a restart is an unknown outcome.
A send that may have reached the customer never ends as "certainly not sent": when it can't be sent any more it is
parked. Open states hold the whole send, so that the position in the input can move on.
"""

from msgspec import Struct

from services.senders import retry
from services.senders.outcome import Kind, Outcome, Reason
from services.senders.send import Send


class Waiting(Struct, frozen=True, gc=False, array_like=True, tag="waiting"):
    """Not under way. `attempt` counts the tries so far; `maybe_sent`: one of them may have reached the customer.

    `position` is the offset in the lane: sends of one customer are first tried in its order.
    """

    send: Send
    position: int
    due: int
    attempt: int = 0
    maybe_sent: bool = False


class Intent(Struct, frozen=True, gc=False, array_like=True, tag="intent"):
    """About to be handed to a provider, or handed over; `attempt` is the number of this try."""

    send: Send
    position: int
    attempt: int
    provider: str
    content_hash: bytes
    time: int
    maybe_sent: bool = False


class Result(Struct, frozen=True, gc=False, array_like=True, tag="result"):
    """Ended, for certain."""

    kind: Kind
    time: int
    attempt: int


class Parked(Struct, frozen=True, gc=False, array_like=True, tag="parked"):
    """Ended without certainty; only a receipt can tell more."""

    time: int
    attempt: int


Open = Waiting | Intent
Entry = Waiting | Intent | Result | Parked


class Finding(Struct, frozen=True, gc=False):
    """What the rest of Clarion is told of a send."""

    send: Send
    outcome: Outcome
    attempt: int
    provider: str
    parked: bool
    time: int


def intend(entry: Waiting, provider: str, content_hash: bytes, now: int) -> Intent:
    """Note that the provider is about to be called."""
    return Intent(entry.send, entry.position, entry.attempt + 1, provider, content_hash, now, entry.maybe_sent)


def not_called(entry: Intent, now: int) -> Waiting:
    """Take an intent back: the provider was certainly not called."""
    return Waiting(entry.send, entry.position, now, entry.attempt - 1, entry.maybe_sent)


def conclude(entry: Intent, outcome: Outcome, now: int) -> tuple[Entry, Finding]:
    """Return what follows from the outcome of a call."""
    return _next(entry.send, entry.position, entry.attempt, entry.provider, entry.maybe_sent, outcome, now)


def decline(entry: Waiting, outcome: Outcome, now: int) -> tuple[Entry, Finding]:
    """Return what follows when the provider is not called; RETRY counts as a try."""
    attempt = entry.attempt + 1 if outcome.kind is Kind.RETRY else entry.attempt
    return _next(entry.send, entry.position, attempt, "", entry.maybe_sent, outcome, now)


def interrupted(entry: Intent, now: int) -> tuple[Entry, Finding]:
    """Return what follows when nobody knows what became of a call: this process is not the one that made it."""
    following, finding = conclude(entry, Outcome(Kind.UNKNOWN, Reason.INTERRUPTED), now)
    if isinstance(following, Waiting):  # the grace was waited for already
        following = Waiting(entry.send, entry.position, now, entry.attempt, maybe_sent=True)
    return following, finding


def _next(
    send: Send, position: int, attempt: int, provider: str, maybe_sent: bool, outcome: Outcome, now: int
) -> tuple[Entry, Finding]:
    match outcome.kind:
        case Kind.RETRY:
            return _again(send, position, attempt, maybe_sent=maybe_sent, now=now), _found(
                send, outcome, attempt, provider, now
            )
        case Kind.UNKNOWN if send.critical and now < send.expires:
            return _again(send, position, attempt, maybe_sent=True, now=now), _found(
                send, outcome, attempt, provider, now
            )
        case Kind.UNKNOWN:
            return _parked(send, attempt, provider, outcome.reason, now)
        case Kind.EXPIRED | Kind.SUPPRESSED if maybe_sent:
            return _parked(send, attempt, provider, outcome.reason, now)
        case Kind.ACCEPTED | Kind.REJECTED | Kind.EXPIRED | Kind.SUPPRESSED:
            return Result(outcome.kind, now, attempt), _found(send, outcome, attempt, provider, now)


def _again(send: Send, position: int, attempt: int, *, maybe_sent: bool, now: int) -> Waiting:
    return Waiting(send, position, retry.due(send.send_id, attempt, now, send.expires), attempt, maybe_sent)


def _parked(send: Send, attempt: int, provider: str, reason: Reason, now: int) -> tuple[Parked, Finding]:
    outcome = Outcome(Kind.UNKNOWN, reason)
    return Parked(now, attempt), Finding(send, outcome, attempt, provider, parked=True, time=now)


def _found(send: Send, outcome: Outcome, attempt: int, provider: str, now: int) -> Finding:
    return Finding(send, outcome, attempt, provider, parked=False, time=now)
