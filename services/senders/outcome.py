"""What became of one call of a provider: answers and broken connections to one `Outcome`.

Certainty is what counts. REJECTED and RETRY mean: certainly not taken, UNKNOWN: perhaps taken.
An answer about our own set-up (greeting, login, "authentication required") says nothing about the message: RETRY.
`hard` says that the address itself is no good; a refusal by somebody's rules (5.7.x) or a full mailbox does not.
Texts of servers often name the recipient, so only their codes are kept.
"""

import re
from enum import IntEnum, StrEnum

from msgspec import Struct

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)")
_OUR_SET_UP = frozenset({503, 530, 534, 535, 538})
_BAD_ADDRESS = ("5.1.", "5.2.1")


class Kind(IntEnum):
    """What is known of a send after a try; the numbers are those of `clarion.v1.DeliveryOutcome`."""

    ACCEPTED = 1
    REJECTED = 2
    RETRY = 3
    UNKNOWN = 4
    EXPIRED = 5
    SUPPRESSED = 12


class Reason(StrEnum):
    """Why: log word, metric label and first word of the feedback's reason."""

    TAKEN = "TAKEN"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    RECIPIENT_REFUSED = "RECIPIENT_REFUSED"
    MESSAGE_REFUSED = "MESSAGE_REFUSED"
    BAD_ADDRESS = "BAD_ADDRESS"
    RENDER_ERROR = "RENDER_ERROR"
    TRY_LATER = "TRY_LATER"
    NO_CONNECTION = "NO_CONNECTION"
    CONNECTION_LOST = "CONNECTION_LOST"
    NO_ANSWER = "NO_ANSWER"
    NO_POLICY = "NO_POLICY"
    UNREADABLE_PROFILE = "UNREADABLE_PROFILE"
    INTERRUPTED = "INTERRUPTED"
    EXPIRED = "EXPIRED"
    NO_ADDRESS = "NO_ADDRESS"
    ADDRESS_SUPPRESSED = "ADDRESS_SUPPRESSED"
    PREFERENCE_OFF = "PREFERENCE_OFF"
    NO_CONSENT = "NO_CONSENT"


class Outcome(Struct, frozen=True, gc=False):
    """What became of one try; `code` is what the provider's protocol says ("550 5.1.1"), never its text."""

    kind: Kind
    reason: Reason
    hard: bool = False
    code: str = ""


class Phase(IntEnum):
    """How far an SMTP conversation came: the command whose answer is awaited."""

    CONNECT = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    BODY = 5


def of_answer(phase: Phase, code: int, text: str = "") -> Outcome:
    """Judge an SMTP answer; BODY is the answer after the final dot."""
    said = _code(code, text)
    match code // 100:
        case 2 if phase is Phase.BODY:
            return Outcome(Kind.ACCEPTED, Reason.TAKEN, code=said)
        case 4:
            return Outcome(Kind.RETRY, Reason.TRY_LATER, code=said)
        case 5 if phase is Phase.CONNECT or (code in _OUR_SET_UP and phase is not Phase.BODY):
            return Outcome(Kind.RETRY, Reason.NO_CONNECTION, code=said)
        case 5 if phase is Phase.RCPT:
            hard = _is_bad_address(said)
            reason = Reason.ADDRESS_REFUSED if hard else Reason.RECIPIENT_REFUSED
            return Outcome(Kind.REJECTED, reason, hard=hard, code=said)
        case 5:
            return Outcome(Kind.REJECTED, Reason.MESSAGE_REFUSED, code=said)
        case _:
            return of_break(phase, timed_out=False)


def of_break(phase: Phase, *, timed_out: bool) -> Outcome:
    """Judge a connection that was lost, or an answer that did not come in time."""
    if phase is Phase.BODY:
        return Outcome(Kind.UNKNOWN, Reason.NO_ANSWER if timed_out else Reason.CONNECTION_LOST)
    if phase is Phase.CONNECT:
        return Outcome(Kind.RETRY, Reason.NO_CONNECTION)
    return Outcome(Kind.RETRY, Reason.NO_ANSWER if timed_out else Reason.CONNECTION_LOST)


def _code(code: int, text: str) -> str:
    enhanced = _ENHANCED.match(text)
    return f"{code} {enhanced[1]}" if enhanced else str(code)


def _is_bad_address(said: str) -> bool:
    _, _, enhanced = said.partition(" ")
    return not enhanced or enhanced.startswith(_BAD_ADDRESS)
