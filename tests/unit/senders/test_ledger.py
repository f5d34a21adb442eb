from services.senders import codec, ledger, retry
from services.senders.ledger import Finding, Intent, Parked, Result, Waiting
from services.senders.outcome import Kind, Outcome, Reason
from tests.support.sending import HOUR, SECOND, START, send, send_id

ACCEPTED = Outcome(Kind.ACCEPTED, Reason.TAKEN)
LATER = Outcome(Kind.RETRY, Reason.TRY_LATER)
UNKNOWN = Outcome(Kind.UNKNOWN, Reason.CONNECTION_LOST)
EXPIRED = Outcome(Kind.EXPIRED, Reason.EXPIRED)
SUPPRESSED = Outcome(Kind.SUPPRESSED, Reason.NO_CONSENT)

MAIL = send()
ALARM = send(critical=True)


def waiting(**changes: object) -> Waiting:
    fields: dict[str, object] = {"send": MAIL, "position": 3, "due": START, **changes}
    return Waiting(**fields)  # type: ignore[arg-type]


def intent(**changes: object) -> Intent:
    return ledger.intend(waiting(**changes), "smtp", b"hash", START)


def test_an_intent_is_the_next_try() -> None:
    assert intent(attempt=2) == Intent(MAIL, 3, 3, "smtp", b"hash", START)


def test_a_call_that_was_not_made_was_no_try() -> None:
    assert ledger.not_called(intent(attempt=2, maybe_sent=True), START + 1) == waiting(
        due=START + 1, attempt=2, maybe_sent=True
    )


def test_a_certain_answer_ends_the_send() -> None:
    assert ledger.conclude(intent(), ACCEPTED, START + 1) == (
        Result(Kind.ACCEPTED, START + 1, 1),
        Finding(MAIL, ACCEPTED, 1, "smtp", parked=False, time=START + 1),
    )


def test_try_later_waits_with_the_whole_send() -> None:
    due = retry.due(MAIL.send_id, 1, START, MAIL.expires)
    assert ledger.conclude(intent(), LATER, START) == (
        waiting(due=due, attempt=1),
        Finding(MAIL, LATER, 1, "smtp", parked=False, time=START),
    )


def test_a_try_without_a_call_counts_too() -> None:
    following, finding = ledger.decline(waiting(attempt=1), LATER, START)
    assert following == waiting(due=retry.due(MAIL.send_id, 2, START, MAIL.expires), attempt=2)
    assert finding.provider == ""


def test_an_unknown_outcome_parks_the_send() -> None:
    assert ledger.conclude(intent(), UNKNOWN, START) == (
        Parked(START, 1),
        Finding(MAIL, UNKNOWN, 1, "smtp", parked=True, time=START),
    )


def test_an_unknown_outcome_of_class_critical_is_sent_again() -> None:
    following, finding = ledger.conclude(intent(send=ALARM), UNKNOWN, START)
    due = retry.due(ALARM.send_id, 1, START, ALARM.expires)
    assert following == waiting(send=ALARM, due=due, attempt=1, maybe_sent=True)
    assert not finding.parked


def test_an_unknown_outcome_of_class_critical_is_parked_when_it_is_too_late() -> None:
    assert ledger.conclude(intent(send=ALARM), UNKNOWN, ALARM.expires)[0] == Parked(ALARM.expires, 1)


def test_an_interrupted_call_of_class_critical_is_made_again_at_once() -> None:
    later = START + 45 * SECOND
    following, finding = ledger.interrupted(intent(send=ALARM), later)
    assert following == waiting(send=ALARM, due=later, attempt=1, maybe_sent=True)
    assert finding.outcome == Outcome(Kind.UNKNOWN, Reason.INTERRUPTED)


def test_what_may_have_arrived_never_ends_as_certainly_not_sent() -> None:
    perhaps = waiting(send=ALARM, attempt=1, maybe_sent=True)
    for outcome in (EXPIRED, SUPPRESSED):
        following, finding = ledger.decline(perhaps, outcome, START)
        assert following == Parked(START, 1)
        assert finding.outcome == Outcome(Kind.UNKNOWN, outcome.reason)
        assert finding.parked


def test_what_certainly_did_not_arrive_ends_with_its_reason() -> None:
    for outcome in (EXPIRED, SUPPRESSED):
        following, finding = ledger.decline(waiting(), outcome, START + HOUR)
        assert following == Result(outcome.kind, START + HOUR, 0)
        assert finding.outcome == outcome


def test_the_ledger_reads_what_it_writes() -> None:
    everything = send(event=b"\x00\xff", after=send_id(9), critical=True)
    for entry in (
        waiting(send=everything, maybe_sent=True),
        intent(send=everything),
        Result(Kind.SUPPRESSED, START, 2),
        Parked(START, 2),
    ):
        assert codec.decode_entry(codec.encode_entry(entry)) == entry
