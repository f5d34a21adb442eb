"""Every decision to send is exactly one message, and no message is without a decision.

Where a provider never answered, class critical may have one message more, and other classes are parked: they may have
one or none. Both are listed. What was refused or opted out before the call is no message.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from services.control.audit.evidence import NOT_SENT, Evidence, Promise, about, short
from services.control.records import DecisionRecord, FeedbackRecord
from services.router.decision.model import Feedback, MessageClass

_TAKEN = frozenset(
    {
        Feedback.ACCEPTED,
        Feedback.DELIVERED,
        Feedback.BOUNCED,
        Feedback.COMPLAINED,
        Feedback.OPENED,
        Feedback.CLICKED,
        Feedback.REPLIED,
    },
)


def one_message(evidence: Evidence) -> Promise:
    """Compare decisions to send, sends, findings and mails."""
    mails = Counter(mail.key for mail in evidence.mails if mail.taken)
    sends = Counter(send.send_id for send in evidence.sends)
    feedback = evidence.feedback_by_send()
    broken: list[str] = []
    noted: list[str] = []
    decided: Counter[bytes] = Counter()
    digests: set[bytes] = set()
    for decision in evidence.sent():
        for send_id in decision.send_ids:
            if send_id in digests:
                continue  # one message for several decisions
            if decision.digest:
                digests.add(send_id)
            decided[send_id] += 1
            name = f"{about(decision)} (send {short(send_id)})"
            count = mails.pop(short(send_id), 0)
            wrong, note = _judge(decision, feedback.get(send_id, []), count)
            broken += [f"{name} {what}" for what in wrong]
            noted += [f"{name} {what}" for what in note]
    broken += [f"send {short(each)} has {sends[each]} records" for each in decided if sends[each] != 1]
    broken += [f"send {short(each)} was decided {count} times" for each, count in decided.items() if count > 1]
    broken += [f"send {short(each)} has no decision" for each in sends.keys() - decided.keys()]
    broken += [f"the message {key} has no decision" for key in mails]
    return Promise(
        "every decision to send is one message", decided.total(), "messages", tuple(sorted(broken)), tuple(noted)
    )


def _judge(
    decision: DecisionRecord,
    findings: Sequence[FeedbackRecord],
    count: int,
) -> tuple[list[str], list[str]]:
    """Return what is wrong with one send, and what is only to be listed."""
    outcomes = {finding.outcome for finding in findings}
    parked = any(finding.parked for finding in findings)
    unknown = Feedback.UNKNOWN in outcomes
    if not findings:
        return ["has no outcome"], []
    wrong, noted = list(_final(outcomes, parked=parked)), []
    if outcomes & _TAKEN and count == 0:
        wrong.append("was accepted, and no message is there")
    if outcomes & NOT_SENT and not outcomes & _TAKEN and count and not unknown:
        wrong.append("was not to be sent, and a message is there")
    if count > 1 and not (unknown and decision.message_class is MessageClass.CRITICAL):
        wrong.append(f"is {count} messages")
    elif count > 1:
        noted.append(f"is {count} messages after an unknown outcome (critical)")
    if parked:
        noted.append(f"is parked after an unknown outcome ({count} messages)")
    return wrong, noted


def _final(outcomes: set[Feedback], *, parked: bool) -> Iterator[str]:
    ends = bool(outcomes & _TAKEN) + bool(outcomes & NOT_SENT) + parked
    if ends == 0:
        yield f"has no final outcome ({', '.join(sorted(each.name for each in outcomes))})"
