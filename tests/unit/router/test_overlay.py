"""What a pass sees: the store with what the pass has changed."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.processor.ports import Change, Position
from services.common.processor.store import MemoryStore
from services.router.overlay import Overlay

_keys = st.sets(st.integers(0, 15).map(lambda number: b"\x00t%02d" % number))


@given(_keys, _keys, _keys, st.integers(0, 15), st.integers(1, 5))
def test_entries_are_those_of_the_store_as_the_pass_has_changed_them(
    kept: set[bytes], gone: set[bytes], new: set[bytes], after: int, limit: int
) -> None:
    store = MemoryStore()
    store.merge([Change(key, b"") for key in (*kept, b"\x00u", b"\x00s")], Position(), 0)
    overlay = Overlay(store)
    overlay.index(gone, ())
    overlay.index((), new)
    wanted = sorted((kept - gone) | new)
    behind = b"\x00t%02d" % after
    assert overlay.entries(b"\x00t", behind, limit) == [key for key in wanted if key > behind][:limit]
    assert overlay.first(b"\x00t", limit) == wanted[:limit]
    store.merge(overlay.changes(), Position(), 0)
    overlay.committed()
    assert overlay.first(b"\x00t", 100) == wanted


def test_what_is_new_does_not_take_the_place_of_what_comes_before_it() -> None:
    store = MemoryStore()
    store.merge([Change(b"\x00t%d" % number, b"") for number in range(1, 5)], Position(), 0)
    overlay = Overlay(store)
    overlay.index((b"\x00t1",), (b"\x00t9",))
    assert overlay.entries(b"\x00t", b"", 2) == [b"\x00t2", b"\x00t3"]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans())))
def test_the_first_entry_is_found_whatever_came_before_it(steps: list[tuple[int, bool, bool]]) -> None:
    store, there = MemoryStore(), set[bytes]()
    overlay = Overlay(store)
    for number, puts, commits in steps:
        key = b"\x00t%02d" % (7 * number)
        overlay.index(() if puts else (key,), (key,) if puts else ())
        there = there | {key} if puts else there - {key}
        if commits:
            store.merge(overlay.changes(), Position(), 0)
            overlay.committed()
        assert overlay.first(b"\x00t", 2) == sorted(there)[:2]


def test_records_are_those_of_the_store_as_the_pass_has_changed_them() -> None:
    store = MemoryStore()
    store.merge([Change(b"a", b"1"), Change(b"b", b"1")], Position(), 0)
    overlay = Overlay(store)
    overlay.put({b"a": b"2", b"b": None})
    overlay.index((), (b"\x00t",))
    assert (overlay.get(b"a"), overlay.get(b"b"), overlay.get(b"c")) == (b"2", None, None)
    assert overlay.changes() == [Change(b"a", b"2"), Change(b"b", None), Change(b"\x00t", b"", local=True)]
