import pytest

from services.senders.outcome import Kind, Outcome, Phase, Reason, of_answer, of_break


@pytest.mark.parametrize(
    ("phase", "code", "text", "expected"),
    [
        (Phase.BODY, 250, "2.0.0 queued", Outcome(Kind.ACCEPTED, Reason.TAKEN, code="250 2.0.0")),
        (
            Phase.RCPT,
            550,
            "5.1.1 no such user",
            Outcome(Kind.REJECTED, Reason.ADDRESS_REFUSED, hard=True, code="550 5.1.1"),
        ),
        (Phase.RCPT, 550, "who is that?", Outcome(Kind.REJECTED, Reason.ADDRESS_REFUSED, hard=True, code="550")),
        (Phase.RCPT, 554, "5.7.1 relaying", Outcome(Kind.REJECTED, Reason.RECIPIENT_REFUSED, code="554 5.7.1")),
        (Phase.RCPT, 552, "5.2.2 mailbox full", Outcome(Kind.REJECTED, Reason.RECIPIENT_REFUSED, code="552 5.2.2")),
        (Phase.MAIL, 550, "no", Outcome(Kind.REJECTED, Reason.MESSAGE_REFUSED, code="550")),
        (Phase.DATA, 554, "no", Outcome(Kind.REJECTED, Reason.MESSAGE_REFUSED, code="554")),
        (Phase.BODY, 552, "5.3.4 too big", Outcome(Kind.REJECTED, Reason.MESSAGE_REFUSED, code="552 5.3.4")),
        (Phase.RCPT, 451, "4.7.1 greylisted", Outcome(Kind.RETRY, Reason.TRY_LATER, code="451 4.7.1")),
        (Phase.BODY, 421, "closing", Outcome(Kind.RETRY, Reason.TRY_LATER, code="421")),
        (Phase.CONNECT, 554, "not you", Outcome(Kind.RETRY, Reason.NO_CONNECTION, code="554")),
        (Phase.MAIL, 530, "5.7.0 log in", Outcome(Kind.RETRY, Reason.NO_CONNECTION, code="530 5.7.0")),
        (Phase.BODY, -1, "gibberish", Outcome(Kind.UNKNOWN, Reason.CONNECTION_LOST)),
        (Phase.BODY, 354, "again?", Outcome(Kind.UNKNOWN, Reason.CONNECTION_LOST)),
        (Phase.MAIL, -1, "gibberish", Outcome(Kind.RETRY, Reason.CONNECTION_LOST)),
    ],
)
def test_an_answer_means_what_its_step_and_code_say(phase: Phase, code: int, text: str, expected: Outcome) -> None:
    assert of_answer(phase, code, text) == expected


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.MAIL, Phase.RCPT, Phase.DATA])
@pytest.mark.parametrize("timed_out", [True, False])
def test_a_connection_lost_before_the_final_dot_is_tried_again(phase: Phase, timed_out: bool) -> None:
    assert of_break(phase, timed_out=timed_out).kind is Kind.RETRY


@pytest.mark.parametrize("timed_out", [True, False])
def test_after_the_final_dot_nobody_knows(timed_out: bool) -> None:
    assert of_break(Phase.BODY, timed_out=timed_out).kind is Kind.UNKNOWN


def test_the_text_of_an_answer_is_never_kept() -> None:
    assert "ana" not in repr(of_answer(Phase.RCPT, 550, "5.1.1 <ana@example.org> unknown"))
    assert "ana" not in repr(of_answer(Phase.RCPT, 550, "5.1.1<ana@example.org> unknown"))
