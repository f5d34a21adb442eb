"""What became of a message that was to be sent, in a few words: told from what its sender found, channel by channel.

A decision to send is no message yet: the provider may ask to try later, refuse, or not answer. Where it accepted a
message once, that stands, whatever was said before or after.
"""

from collections.abc import Callable, Sequence

from services.control.records import DecisionRecord, FeedbackRecord
from services.router.decision.model import Feedback

_ARRIVED = frozenset({Feedback.ACCEPTED, Feedback.DELIVERED, Feedback.OPENED, Feedback.CLICKED, Feedback.REPLIED})
_AFTERWARDS = {Feedback.BOUNCED: ", but it came back", Feedback.COMPLAINED: ", and was reported as unwanted"}
# What the sender's reason begins with where the provider itself asked for patience.
_TRY_LATER = "TRY_LATER"

Clock = Callable[[int], str]


def fate(decision: DecisionRecord, feedback: Sequence[FeedbackRecord], why: str, clock: Clock) -> str:
    """Say for each channel of a decision to send what became of it; `why` is the reason of the decision."""
    said = []
    for channel in decision.channels:
        found = [each for each in feedback if each.send_id in decision.send_ids and each.channel == channel]
        if not found:
            said.append(f"TO BE SENT by {channel} (decided at {clock(decision.decided)}): {why}")
        elif (arrived := next((each for each in found if each.outcome in _ARRIVED), None)) is not None:
            after = "".join(_AFTERWARDS.get(each.outcome, "") for each in found)
            said.append(f"SENT by {channel} at {clock(arrived.time)}{after}: {why}")
        else:
            said.append(_not_sent(found[-1], channel))
    return "; ".join(said)


def _not_sent(last: FeedbackRecord, channel: str) -> str:
    because = f" ({last.reason})" if last.reason else ""
    match last.outcome:
        case Feedback.RETRY:
            asks = last.reason.startswith(_TRY_LATER)
            what = "the provider asks to try later" if asks else "no try has succeeded so far"
            return f"NOT YET SENT by {channel}: {what} ({_reason_and_tries(last)})"
        case Feedback.UNKNOWN:
            then = "parked: it will not be tried again" if last.parked else "it will be tried again"
            return f"UNKNOWN by {channel}: nobody knows whether the provider took it{because}, {then}"
        case Feedback.EXPIRED:
            return f"NOT SENT by {channel}: its time was over before the provider took it{because}"
        case Feedback.SUPPRESSED:
            return f"NOT SENT by {channel}: what is known of the customer changed since the decision{because}"
        case Feedback.BOUNCED | Feedback.COMPLAINED:
            return f"SENT by {channel}{_AFTERWARDS[last.outcome]}{because}"
        case _:
            return f"NOT SENT by {channel}: the provider refused it for good{because}"


def _reason_and_tries(last: FeedbackRecord) -> str:
    tries = "1 try" if last.attempt == 1 else f"{last.attempt} tries"
    return ", ".join(part for part in (last.reason, tries if last.attempt else "") if part)
