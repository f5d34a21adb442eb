from collections.abc import Callable

import pytest

from services.senders import ledger
from services.senders.due import Due
from services.senders.ledger import Intent, Waiting
from services.senders.schedule import Schedule, in_order
from services.senders.send import Item, Send
from tests.support.sending import HOUR, SECOND, START, send, send_id

GRACE = 60 * SECOND


def schedule(*entries: Waiting, ended: frozenset[int] = frozenset()) -> Schedule:
    made = Schedule(lambda sought: sought in {send_id(number) for number in ended}, GRACE)
    for entry in entries:
        made.wait(entry)
    return made


def waiting(number: int, due: int = START, attempt: int = 0, **changes: str | bytes | int) -> Waiting:
    return Waiting(send(number, **changes), position=number, due=due, attempt=attempt)


def taken(made: Schedule, now: int = START, limit: int = 100) -> list[int]:
    return [int.from_bytes(entry.send.send_id, "big") for entry in made.take(now, limit)]


def start(made: Schedule, number: int, customer: str = "ana") -> Send:
    entry = waiting(number, customer=customer)
    made.start(ledger.intend(entry, "smtp", b"", START))
    return entry.send


def test_urgent_goes_before_normal_before_bulk() -> None:
    made = schedule(waiting(1, lane="bulk"), waiting(2), waiting(3, lane="urgent"))
    assert taken(made) == [3, 2, 1]


def test_nothing_goes_before_it_is_due() -> None:
    made = schedule(waiting(1, due=START + 5, attempt=1))
    assert taken(made) == []
    assert made.next_due() == START + 5
    assert taken(made, START + 5) == [1]
    assert made.next_due() is None


def test_no_more_are_taken_than_asked_for() -> None:
    made = schedule(*(waiting(number, customer=f"c{number}") for number in range(1, 6)))
    assert taken(made, limit=3) == [1, 2, 3]
    assert taken(made, limit=3) == [4, 5]


def test_first_tries_of_a_customer_go_in_order_of_decision() -> None:
    made = schedule(waiting(2, due=START - 1), waiting(1))
    assert taken(made) == [1, 2]


def test_lines_of_different_lanes_and_customers_are_their_own() -> None:
    made = schedule(waiting(1, due=START + HOUR), waiting(2, lane="urgent"), waiting(3, customer="ben"))
    assert taken(made) == [2, 3]


def test_a_retry_is_in_nobodys_way() -> None:
    made = schedule(waiting(1, due=START + HOUR, attempt=1), waiting(2))
    assert taken(made) == [2]


def test_a_message_waits_for_the_one_before_it_on_its_subject() -> None:
    made = schedule(waiting(1, due=START + HOUR, attempt=1), waiting(2, after=send_id(1)))
    assert taken(made) == []
    made.end(send(1))
    assert taken(made) == [2]


def test_a_message_of_another_lane_is_waited_for_too() -> None:
    made = schedule(waiting(1, lane="bulk"), waiting(2, lane="urgent", after=send_id(1)))
    assert taken(made) == [1]
    made.end(send(1, lane="bulk"))
    assert taken(made) == [2]


def test_a_message_no_longer_waits_for_one_that_has_expired() -> None:
    first = waiting(1, due=START + HOUR, attempt=1, expires=START + 10)
    made = schedule(first, waiting(2, after=send_id(1)))
    assert taken(made) == []
    assert made.next_due() == START + 10
    assert taken(made, START + 10) == [2]


def test_an_unknown_predecessor_is_given_a_grace() -> None:
    made = schedule(waiting(2, after=send_id(1)))
    assert taken(made) == []
    assert made.next_due() == START + GRACE
    assert taken(made, START + GRACE) == [2]


def test_an_unknown_predecessor_that_comes_goes_first() -> None:
    made = schedule(waiting(2, lane="urgent", after=send_id(1)))
    assert taken(made) == []
    made.wait(waiting(1, lane="bulk"))
    assert taken(made) == [1]
    assert taken(made, START + GRACE) == []
    made.end(send(1, lane="bulk"))
    assert taken(made, START + GRACE) == [2]


def test_an_unknown_predecessor_that_comes_is_waited_for_no_longer_than_it_can_go() -> None:
    made = schedule(waiting(2, lane="urgent", after=send_id(1)))
    assert taken(made) == []
    made.wait(waiting(1, due=START + HOUR, attempt=1, expires=START + 9))
    assert taken(made, START + 8) == []
    assert taken(made, START + 9) == [2]


def test_a_predecessor_in_the_ledger_is_not_waited_for() -> None:
    assert taken(schedule(waiting(2, after=send_id(1)), ended=frozenset({1}))) == [2]


def test_a_blocked_send_is_looked_at_when_it_expires() -> None:
    made = schedule(
        waiting(1, due=START + HOUR, attempt=1), waiting(2, after=send_id(1), expires=START + 9, lane="urgent")
    )
    assert taken(made) == []
    assert made.next_due() == START + 9
    assert taken(made, START + 9) == [2]


def test_a_customer_with_a_call_under_way_waits_for_its_end() -> None:
    made = schedule(waiting(1), waiting(2), waiting(3, customer="ben"))
    assert taken(made) == [1, 2, 3]
    sent = start(made, 1)
    start(made, 3, customer="ben")
    made.wait(waiting(2))
    assert taken(made) == []
    made.end(sent)
    assert taken(made) == [2]


def test_a_send_that_was_put_back_is_first_in_line_again() -> None:
    made = schedule(waiting(1), waiting(2))
    assert taken(made) == [1, 2]
    made.wait(waiting(2))
    made.wait(waiting(1, due=START + 1))
    assert taken(made) == []
    assert taken(made, START + 1) == [1, 2]


def test_those_held_by_a_call_go_on_together_and_in_order_when_it_ends() -> None:
    made = schedule(*(waiting(number, attempt=1) for number in (2, 3)), waiting(4), waiting(5))
    sent = start(made, 1)
    assert taken(made) == []
    made.end(sent)
    assert made.next_due() is not None
    assert taken(made) == [2, 3, 4, 5]


def test_a_send_that_waits_for_two_ends_waits_for_both() -> None:
    made = schedule(waiting(1, due=START + HOUR, attempt=1), waiting(3, after=send_id(1)))
    sent = start(made, 2)
    assert taken(made) == []
    made.end(sent)
    assert taken(made) == []
    made.end(send(1))
    assert taken(made) == [3]


def test_a_held_send_is_taken_when_it_expires_though_the_call_goes_on() -> None:
    made = schedule(waiting(2, expires=START + 9), waiting(3, expires=START + 9))
    start(made, 1)
    assert taken(made) == []
    assert made.next_due() == START + 9
    assert taken(made, START + 9) == [2, 3]


MANY = 4000


def one_subject(number: int) -> Waiting:
    return waiting(number, after=send_id(number - 1))


def one_customer(number: int) -> Waiting:
    return waiting(number)


def retries(number: int) -> Waiting:
    return waiting(number, attempt=1)


@pytest.mark.parametrize("kind", [one_subject, one_customer, retries])
@pytest.mark.parametrize("slow", [False, True])
def test_the_work_grows_with_the_sends_and_no_faster(
    kind: Callable[[int], Waiting], slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = 0
    put = Due.put

    def counted(self: Due, lane: str, instant: int, position: int, send_id: bytes) -> None:
        nonlocal pushes
        pushes += 1
        put(self, lane, instant, position, send_id)

    monkeypatch.setattr(Due, "put", counted)
    made, largest = schedule(*map(kind, range(1, MANY + 1)), ended=frozenset({0})), 0
    ends = []
    while len(made):
        entries = made.take(START, 16)
        assert entries
        for entry in entries:
            assert isinstance(entry, Waiting)
            made.start(ledger.intend(entry, "smtp", b"", START))
        if slow:
            assert made.take(START, 16) == []
        for entry in entries:
            made.end(entry.send)
            ends.append(entry.position)
        largest = max(largest, made.entries)
    assert ends == list(range(1, MANY + 1))
    assert largest <= 3 * MANY
    assert pushes <= 5 * MANY


def test_an_orphan_is_judged_after_its_grace_and_blocks_only_its_subject() -> None:
    orphan = Intent(send(1), 1, 1, "smtp", b"", START)
    made = schedule(waiting(2), waiting(3, after=send_id(1)))
    made.orphan(orphan, START + 45)
    assert taken(made) == [2]
    assert taken(made, START + 45) == [1]


def test_sends_adopted_together_are_sorted_by_lane_and_position() -> None:
    mixed = [waiting(4), waiting(2), waiting(3, lane="urgent")]
    assert [entry.position for entry in in_order(mixed)] == [3, 2, 4]


def digest(number: int, *afters: int) -> Waiting:
    items = tuple(Item("r", "c", False, False, "t", START + HOUR, b"", send_id(after)) for after in afters)  # noqa: FBT003
    return Waiting(send(number, lane="bulk", items=items, event=b""), position=number, due=START)


def test_a_digest_waits_for_the_last_message_of_each_of_its_subjects() -> None:
    made = schedule(waiting(1, due=START + 5, attempt=1), waiting(2, due=START + 9, attempt=1), digest(3, 1, 2))
    assert taken(made) == []
    assert taken(made, START + 5) == [1]
    made.end(waiting(1).send)
    assert taken(made, START + 6) == []
    assert taken(made, START + 9) == [2]
    made.end(waiting(2).send)
    assert taken(made, START + 9) == [3]


def test_two_messages_of_one_subject_in_a_digest_do_not_wait_for_it() -> None:
    assert taken(schedule(digest(3, 3))) == [3]
