"""One suite for every store: what the processor and its handlers may rely on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rocksdict import Cache

from services.common.processor.errors import BrokenStoreError, ForeignLogError
from services.common.processor.ports import Change, Index, LocalStore, Origin, Position
from services.common.processor.restore import OLDEST, unfit
from services.common.processor.rocks import RocksStore, RocksStores
from services.common.processor.store import POSITION_KEY, MemoryStore, Ordered

ORIGIN = Origin("cluster", "state", 3, 8)
Make = Callable[[Index | None], LocalStore]

# A record `name` with the value `n` is found by `n` too.
BY_VALUE = Index(1, lambda key: not key.startswith(b"plain"), lambda key, value: (b"\x00v" + value + b"|" + key,))


@pytest.fixture(params=["memory", "disk"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    opened: list[LocalStore] = []

    def one(index: Index | None) -> LocalStore:
        store: LocalStore = MemoryStore(index)
        if request.param == "disk":
            store = RocksStore(tmp_path / f"s{len(opened)}", ORIGIN, index, Cache(1 << 20))
        opened.append(store)
        return store

    yield one
    for store in opened:
        store.close()


@pytest.fixture
def store(make: Make) -> LocalStore:
    return make(None)


def position(number: int) -> Position:
    return Position({"events": number * 10}, number, number * 100)


def record(number: int) -> tuple[bytes, bytes | None]:
    return POSITION_KEY, position(number).encoded()


def test_what_was_merged_is_there_with_its_position(store: LocalStore) -> None:
    store.merge([Change(b"a", b"1"), Change(b"b", b"2")], position(1), 3)
    store.merge([Change(b"a", None), Change(b"c", b"3")], position(2), 6)
    assert list(store.items()) == [(b"b", b"2"), (b"c", b"3")]
    assert (store.get(b"a"), store.get(b"c"), store.get(b"d")) == (None, b"3", None)
    assert (store.position, store.next_offset) == (position(2), 6)


def test_what_was_taken_of_the_changelog_is_there_with_its_position(store: LocalStore) -> None:
    store.take([(b"a", b"1"), (b"b", b"2"), record(1), (b"a", None), record(2)], 5)
    assert list(store.items()) == [(b"b", b"2")]
    assert (store.position, store.next_offset) == (position(2), 5)


def test_records_without_a_position_leave_it_as_it_was(store: LocalStore) -> None:
    store.take([(b"a", b"1"), record(1)], 2)
    store.take([(b"b", b"2")], 3)
    assert (store.position, store.next_offset) == (position(1), 3)


def test_a_log_whose_passes_go_back_is_another_log_and_nothing_of_it_is_taken(store: LocalStore) -> None:
    store.take([(b"a", b"1"), record(7)], 2)
    with pytest.raises(ForeignLogError):
        store.take([(b"a", b"2"), record(6)], 4)
    assert (store.get(b"a"), store.position, store.next_offset) == (b"1", position(7), 2)


def test_a_scan_is_in_order_of_the_bytes_within_its_prefix(store: LocalStore) -> None:
    store.merge([Change(key, key) for key in (b"b|2", b"b|\xff", b"a|9", b"c", b"b|1", b"b|10", b"b")], position(1), 1)
    assert [key for key, _ in store.scan(b"b|")] == [b"b|1", b"b|10", b"b|2", b"b|\xff"]


def test_a_scan_goes_on_behind_a_key_whether_it_is_there_or_not(store: LocalStore) -> None:
    store.merge([Change(key, b"") for key in (b"b|1", b"b|2", b"b|3")], position(1), 1)
    assert [key for key, _ in store.scan(b"b|", after=b"b|1")] == [b"b|2", b"b|3"]
    assert [key for key, _ in store.scan(b"b|", after=b"b|15")] == [b"b|2", b"b|3"]
    assert [key for key, _ in store.scan(b"b|", after=b"a")] == [b"b|1", b"b|2", b"b|3"]
    assert store.scan(b"b|", after=b"b|3") == []


def test_a_scan_has_a_limit(store: LocalStore) -> None:
    store.merge([Change(b"%d" % number, b"x") for number in range(5)], position(1), 1)
    assert store.scan(b"", limit=2) == [(b"0", b"x"), (b"1", b"x")]
    assert store.scan(b"", limit=0) == []


def test_a_scan_does_not_change_with_what_comes_later(store: LocalStore) -> None:
    store.merge([Change(b"a", b"1"), Change(b"b", b"2")], position(1), 1)
    for key, _ in store.scan(b""):
        store.merge([Change(key, None)], position(2), 2)
    assert list(store.items()) == []


def test_local_keys_are_found_by_scans_and_are_no_items(store: LocalStore) -> None:
    store.merge([Change(b"a", b"1"), Change(b"\x00t1", b"", local=True)], position(1), 1)
    assert list(store.items()) == [(b"a", b"1")]
    assert store.scan(b"\x00t") == [(b"\x00t1", b"")]


def test_index_entries_follow_their_records(make: Make) -> None:
    store = make(BY_VALUE)
    store.take([(b"a", b"0"), (b"a", b"1"), (b"d", b"1"), (b"d", None)], 4)
    assert store.complete()
    assert [key for key, _ in store.scan(b"\x00v")] == [b"\x00v1|a"]
    store.take([(b"b", b"1"), (b"plain", b"1")], 6)
    store.take([(b"a", b"2"), (b"c", b"1"), (b"c", b"3"), (b"plain", b"2")], 10)
    store.take([(b"b", None), (b"never", None)], 12)
    assert [key for key, _ in store.scan(b"\x00v")] == [b"\x00v2|a", b"\x00v3|c"]


def test_a_wiped_store_begins_with_nothing_and_goes_on(make: Make) -> None:
    store = make(BY_VALUE)
    store.take([(b"a", b"1"), record(7)], 5)
    store.wipe()
    assert (list(store.items()), store.scan(b""), store.position, store.next_offset) == ([], [], Position(), 0)
    store.take([(b"b", b"2"), record(1)], 2)
    assert store.complete()
    assert (list(store.items()), store.position) == ([(b"b", b"2")], position(1))
    assert store.scan(b"\x00") == [(b"\x00v2|b", b"")]


def test_keys_stay_in_order_however_many_come_and_go() -> None:
    numbers = [number * 7919 % 10_007 for number in range(10_007)]
    keys = Ordered()
    for number in numbers:
        keys.add(b"%05d" % number)
    for number in numbers[::2]:
        keys.remove(b"%05d" % number)
    expected = sorted(b"%05d" % number for number in numbers[1::2])
    assert list(keys.since(b"", including=True)) == expected
    assert list(keys.since(expected[99], including=True)) == expected[99:]
    assert list(keys.since(expected[99], including=False)) == expected[100:]


# --- what only a store on disk can do ------------------------------------------------------------


@pytest.fixture
def stores(tmp_path: Path) -> RocksStores:
    return RocksStores(tmp_path, 1)


def filled(stores: RocksStores, index: Index | None = None) -> None:
    store, discarded = stores.open(ORIGIN, index)
    store.take([(b"a", b"1"), record(4)], 12)
    assert store.complete()
    store.close()
    assert discarded == ""


def test_a_store_that_is_opened_again_stands_where_it_stood(stores: RocksStores) -> None:
    filled(stores, BY_VALUE)
    store, discarded = stores.open(ORIGIN, BY_VALUE)
    assert (list(store.items()), store.scan(b"\x00v")) == ([(b"a", b"1")], [(b"\x00v1|a", b"")])
    assert (store.position, store.next_offset, discarded) == (position(4), 12, "")
    store.close()


@pytest.mark.parametrize(
    "other", [Origin("other", "state", 3, 8), Origin("cluster", "other", 3, 8), Origin("cluster", "state", 3, 9)]
)
def test_the_store_of_another_log_is_thrown_away(tmp_path: Path, other: Origin) -> None:
    first = RocksStore(tmp_path, ORIGIN, None, Cache(1 << 20))
    first.take([(b"a", b"1"), record(4)], 12)
    first.close()
    store = RocksStore(tmp_path, other, None, Cache(1 << 20))
    assert "another log" in store.discarded
    assert (list(store.items()), store.position, store.next_offset) == ([], Position(), 0)
    store.close()


@pytest.mark.parametrize("torn", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_a_corrupted_store_is_thrown_away(tmp_path: Path, torn: str) -> None:
    stores = RocksStores(tmp_path, 1)
    filled(stores)
    for file in (tmp_path / "cluster" / "state" / "3").glob(torn):
        file.write_bytes(b"torn")
    store, discarded = stores.open(ORIGIN, None)
    assert discarded.startswith("it can't be read")
    assert (list(store.items()), store.position, store.next_offset) == ([], Position(), 0)
    store.close()


def test_damage_that_shows_only_when_it_is_read_is_not_taken_for_an_empty_store(tmp_path: Path) -> None:
    store = RocksStore(tmp_path, ORIGIN, None, Cache(1 << 20))
    store.take([(b"%06d" % number, b"%d" % number * 50) for number in range(20_000)], 20_000)
    store.close()
    (file,) = tmp_path.glob("*.sst")
    content = bytearray(file.read_bytes())
    content[1_000:200_000] = bytes(199_000)
    file.write_bytes(content)
    store = RocksStore(tmp_path, ORIGIN, None, Cache(1 << 20))
    with pytest.raises(BrokenStoreError):
        store.get(b"000100")
    with pytest.raises(BrokenStoreError):
        store.scan(b"0001")
    with pytest.raises(BrokenStoreError):
        list(store.items())
    store.wipe()
    assert list(store.items()) == []
    store.close()


def test_another_version_of_the_index_makes_its_entries_anew(stores: RocksStores) -> None:
    filled(stores, BY_VALUE)
    by_length = Index(2, lambda _: True, lambda key, value: (b"\x00l%d" % len(value) + key,))
    store, discarded = stores.open(ORIGIN, by_length)
    assert store.complete()
    assert (store.scan(b"\x00v"), store.scan(b"\x00l")) == ([], [(b"\x00l1a", b"")])
    assert (store.next_offset, discarded) == (12, "")
    store.close()


def test_an_index_that_was_not_finished_is_made_when_the_log_was_read(stores: RocksStores) -> None:
    store, _ = stores.open(ORIGIN, BY_VALUE)
    store.take([(b"a", b"1")], 1)
    store.close()
    store, _ = stores.open(ORIGIN, BY_VALUE)
    store.take([(b"a", b"2"), (b"b", b"1")], 3)
    assert store.complete()
    assert [key for key, _ in store.scan(b"\x00")] == [b"\x00v1|b", b"\x00v2|a"]
    store.close()


def test_a_large_index_is_made_in_parts(stores: RocksStores) -> None:
    store, _ = stores.open(ORIGIN, BY_VALUE)
    records = [(b"%06d" % number, b"1") for number in range(10_003)]
    store.take(records, len(records))
    parts = [store.complete() for _ in range(4)]
    assert parts == [False, False, True, True]
    assert [key for key, _ in store.scan(b"\x00v")] == [b"\x00v1|" + key for key, _ in records]
    store.close()


def test_where_a_stuck_process_holds_the_store_its_successor_takes_another(stores: RocksStores) -> None:
    filled(stores)
    stuck, _ = stores.open(ORIGIN, None)
    store, discarded = stores.open(ORIGIN, None)
    assert (list(store.items()), store.next_offset, discarded) == ([], 0, "")
    store.close()
    stuck.close()


def test_a_store_outside_the_log_or_too_old_for_it_is_unfit() -> None:
    store = MemoryStore()
    assert unfit(store, first=5, end=9, now=OLDEST * 2) == "", "an empty one begins at the beginning"
    store.take([record(1)], 7)
    old = store.position.now + OLDEST + 1
    assert unfit(store, first=5, end=9, now=old - 1) == ""
    assert "beginning" in unfit(store, first=8, end=9, now=0)
    assert "end" in unfit(store, first=5, end=6, now=0)
    assert "old" in unfit(store, first=5, end=9, now=old)
    assert unfit(store, first=5, end=7, now=old) == "", "the log has nothing more"
