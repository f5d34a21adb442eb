"""One sentence about a message that was to be sent says what became of it, not what was meant."""

import pytest

from services.control import words
from services.control.records import FeedbackRecord
from services.router.decision.model import Feedback
from tests.unit.control.records import NOON, decision, feedback

ZONE = "Europe/Berlin"
OTHER_SEND = b"\x05" * 20


def retry(attempt: int, reason: str = "TRY_LATER") -> FeedbackRecord:
    return feedback(Feedback.RETRY, reason=reason, attempt=attempt)


@pytest.mark.parametrize(
    ("findings", "says"),
    [
        ([], "TO BE SENT by email (decided at 14:00:00.012): nothing stood against it."),
        ([feedback()], "SENT by email at 14:00:00.050: nothing stood against it."),
        (
            [retry(1), feedback(time=NOON + 90_000_000)],
            "SENT by email at 14:01:30.000: nothing stood against it.",
        ),
        (
            [feedback(), feedback(Feedback.BOUNCED, time=NOON + 90_000_000)],
            "SENT by email at 14:00:00.050, but it came back: nothing stood against it.",
        ),
        (
            [retry(1), retry(2), retry(3)],
            "NOT YET SENT by email: the provider asks to try later (TRY_LATER, 3 tries).",
        ),
        (
            [retry(1, "NO_CONNECTION")],
            "NOT YET SENT by email: no try has succeeded so far (NO_CONNECTION, 1 try).",
        ),
        (
            [feedback(Feedback.UNKNOWN, reason="NO_ANSWER", parked=True)],
            (
                "UNKNOWN by email: nobody knows whether the provider took it (NO_ANSWER),"
                " parked: it will not be tried again."
            ),
        ),
        (
            [feedback(Feedback.UNKNOWN, reason="NO_ANSWER")],
            "UNKNOWN by email: nobody knows whether the provider took it (NO_ANSWER), it will be tried again.",
        ),
        (
            [retry(1), feedback(Feedback.EXPIRED, reason="EXPIRED")],
            "NOT SENT by email: its time was over before the provider took it (EXPIRED).",
        ),
        (
            [feedback(Feedback.SUPPRESSED, reason="PREFERENCE_OFF")],
            "NOT SENT by email: what is known of the customer changed since the decision (PREFERENCE_OFF).",
        ),
        (
            [feedback(Feedback.REJECTED, reason="ADDRESS_REFUSED 550 5.1.1", hard=True)],
            "NOT SENT by email: the provider refused it for good (ADDRESS_REFUSED 550 5.1.1).",
        ),
        ([feedback(send_id=OTHER_SEND)], "TO BE SENT by email (decided at 14:00:00.012): nothing stood against it."),
    ],
)
def test_the_sentence_is_what_the_sender_found(findings: list[FeedbackRecord], says: str) -> None:
    assert words.sentence(decision(), findings, ZONE) == says


def test_each_channel_has_its_own_fate() -> None:
    both = decision(channels=("email", "push"), send_ids=(decision().send_ids[0], OTHER_SEND))
    findings = [feedback(), feedback(Feedback.RETRY, send_id=OTHER_SEND, channel="push", reason="TRY_LATER", attempt=2)]
    assert words.sentence(both, findings, ZONE) == (
        "SENT by email at 14:00:00.050: nothing stood against it;"
        " NOT YET SENT by push: the provider asks to try later (TRY_LATER, 2 tries)."
    )
