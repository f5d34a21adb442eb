from services.senders.due import Due


def test_a_send_that_was_moved_counts_once_and_where_it_is_now() -> None:
    due = Due(["urgent"])
    due.put("urgent", 5, 1, b"a")
    due.put("urgent", 7, 1, b"a")
    assert due.pop("urgent", 6) is None
    assert due.first() == 7
    assert due.pop("urgent", 7) == b"a"
    assert due.pop("urgent", 7) is None


def test_a_send_that_was_removed_is_not_looked_at() -> None:
    due = Due(["urgent"])
    due.put("urgent", 5, 1, b"a")
    due.remove(b"a")
    assert due.first() is None


def test_instants_that_no_longer_count_do_not_pile_up() -> None:
    due = Due(["urgent"])
    due.put("urgent", 1, 0, b"first")
    for instant in range(10_000, 0, -1):
        due.put("urgent", instant, 1, b"moved")
        due.put("urgent", instant + 10_000, 2, b"gone")
        due.remove(b"gone")
        assert due.entries <= 100
    assert [due.pop("urgent", 1), due.pop("urgent", 1), due.pop("urgent", 20_000)] == [b"first", b"moved", None]
