from pathlib import Path

import msgspec
import pytest

from services.sandbox import journal
from services.sandbox.journal import DamagedJournalError
from services.sandbox.message import Answer, Message
from services.sandbox.store import Counts, Filter, Store

ONE = Message(
    number=1,
    receive_time="2026-11-23T18:20:07.113000Z",
    channel="email",
    sender="no-reply@northwind.example",
    to=("ana@example.com",),
    subject="Your power is back",
    preview="Hello Ana",
    message_id="<1@northwind.example>",
    idempotency_key="1",
    customer="ana",
    size=4,
    answer=Answer.ACCEPTED,
    accepted=True,
    reply="250 Ok",
)


def fill(store: Store, many: int, raw: bytes = b"mail") -> None:
    for _ in range(many):
        number = store.next_number
        store.record(msgspec.structs.replace(ONE, number=number, message_id=f"<{number}@x>"), raw)


def numbers(store: Store, wanted: Filter | None = None) -> list[int]:
    return [message.number for message in store.newest_first(wanted or Filter())]


def test_the_oldest_messages_go_when_there_are_too_many() -> None:
    store = Store(most=10)
    fill(store, 24)
    kept = numbers(store)
    assert kept == list(range(24, kept[-1] - 1, -1))
    assert 5 <= len(kept) <= 10
    assert store.counts() == Counts(len(kept), 0, len(kept), 0, len(kept), 24 - len(kept))
    assert (store.message(1), store.raw(1)) == (None, None)
    assert store.raw(24) == b"mail"


def test_the_bytes_of_old_messages_go_when_they_need_too_much_memory() -> None:
    store = Store(most=10, most_raw=400)
    fill(store, 23, raw=b"x" * 100)
    assert [number for number in numbers(store) if store.raw(number) is not None] == [23, 22, 21, 20]
    assert store.message(19) is not None


def test_the_newest_message_keeps_its_bytes_however_large() -> None:
    store = Store(most_raw=10)
    fill(store, 2, raw=b"x" * 100)
    assert (store.raw(1), store.raw(2)) == (None, b"x" * 100)


def test_only_accepted_messages_count_as_duplicates() -> None:
    store = Store()
    for number, answer in enumerate((Answer.TRY_LATER, Answer.ACCEPTED_UNANSWERED, Answer.ACCEPTED), 1):
        store.record(msgspec.structs.replace(ONE, number=number, answer=answer, accepted=answer.accepted), b"")
    assert store.counts() == Counts(2, 1, 1, 1, 3, 0)


def test_messages_without_an_id_are_no_duplicates_of_each_other() -> None:
    store = Store()
    for number in (1, 2):
        store.record(msgspec.structs.replace(ONE, number=number, message_id=""), b"")
    assert store.counts().duplicates == 0


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(to="ANA@"),
        Filter(subject="POWER"),
        Filter(search="hello"),
        Filter(search="ana@example"),
        Filter(channel="email"),
        Filter(customer="ana"),
        Filter(accepted=True),
        Filter(after=0),
    ],
)
def test_a_message_is_found_by_each_condition(wanted: Filter) -> None:
    assert wanted.holds(ONE)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(to="ben@"),
        Filter(subject="hello"),
        Filter(search="goodbye"),
        Filter(channel="sms"),
        Filter(customer="an"),
        Filter(accepted=False),
    ],
)
def test_a_message_is_not_found_by_a_condition_that_does_not_hold(wanted: Filter) -> None:
    assert not wanted.holds(ONE)


def test_numbers_go_on_after_all_was_forgotten() -> None:
    store = Store()
    fill(store, 3)
    store.clear()
    fill(store, 2)
    assert numbers(store) == [5, 4]
    assert numbers(store, Filter(after=4)) == [5]
    assert store.counts() == Counts(2, 0, 2, 0, 2, 0)


def test_a_restart_finds_what_was_written(tmp_path: Path) -> None:
    first = Store(tmp_path)
    fill(first, 3, raw=b"\x00\xff\r\n")
    first.close()
    second = Store(tmp_path)
    assert numbers(second) == [3, 2, 1]
    assert second.message(2) == first.message(2)
    assert second.raw(2) == b"\x00\xff\r\n"


def test_a_line_that_was_cut_short_is_removed_and_its_number_is_used_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, 2)
    store.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    again = Store(tmp_path)
    assert numbers(again) == [1]
    fill(again, 1)
    again.close()
    assert numbers(Store(tmp_path)) == [2, 1]


def test_damage_in_the_middle_is_said_and_nothing_is_overwritten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, 2)
    store.close()
    (file,) = tmp_path.iterdir()
    damaged = b"not json\n" + file.read_bytes()
    file.write_bytes(damaged)
    with pytest.raises(DamagedJournalError, match="damaged after byte 0"):
        Store(tmp_path)
    assert file.read_bytes() == damaged


def test_files_of_messages_that_are_no_longer_kept_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LINES_IN_A_FILE", 5)
    store = Store(tmp_path, most=10)
    fill(store, 53)
    store.close()
    lines = sum(file.read_bytes().count(b"\n") for file in tmp_path.iterdir())
    assert lines <= 10 + 5
    assert numbers(Store(tmp_path, most=10)) == numbers(store)


def test_what_was_forgotten_is_gone_from_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, 3)
    store.clear()
    assert list(tmp_path.iterdir()) == []
