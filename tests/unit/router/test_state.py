"""The state of the router, on a store that takes over what is committed."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.common.processor.ports import Position
from services.common.processor.store import MemoryStore
from services.router.decision.model import DAY, HOUR, Customer, Identity, Lifecycle, Outcome, Subject, Told
from services.router.indexes import INDEX
from services.router.state import SWEEP_EVERY, Room, State, identity_key
from tests.builders import NOON, World, cap, policy, quiet


class Kept:
    """A state with its store; `commit` is what the processor does, `changelog` what Kafka would hold."""

    def __init__(self, cached: int = 100) -> None:
        self.store = MemoryStore(INDEX)
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.room = Room(cached)
        self.state = State(self.store, self.room)

    def commit(self) -> list[tuple[bytes, bytes | None]]:
        """Commit and return the new records of the changelog."""
        changes = self.state.changes()
        self.store.merge(changes, Position(), 0)
        self.state.committed()
        records = [(change.key, change.value) for change in changes if not change.local]
        self.changelog += records
        return records

    def put(self, before: Customer, after: Customer) -> None:
        self.state.put(before, after, self.state.changes_of(before, after))

    def opened_again(self) -> State:
        """Return a state on the same store, as after a restart."""
        return State(self.store)

    def restored(self) -> MemoryStore:
        """Return a store that was made from the changelog alone."""
        store = MemoryStore(INDEX)
        store.take(self.changelog, 0)
        assert store.complete()
        return store


@pytest.fixture
def kept() -> Kept:
    return Kept()


def lived() -> Customer:
    """Someone with an admission, a subject, a hold and an open step."""
    world = World(policy(caps=(cap(limit=5),), defaults={"quiet_hours": quiet()}))
    world.event(lifecycle=Lifecycle.OPENED)
    world.now = NOON + 10 * HOUR
    world.event(lifecycle=Lifecycle.OPENED, subject="INC-8")
    assert [d.outcome for d in world.decisions] == [Outcome.SEND, Outcome.HOLD]
    assert world.customer.opens
    return replace(world.customer, profile=None)


ANA = Customer("northwind", "ana")


def test_what_was_put_is_there_again_after_a_restart(kept: Kept) -> None:
    customer = lived()
    kept.put(ANA, customer)
    kept.commit()
    after = kept.opened_again()
    assert after.customer("northwind", "ana") == customer
    assert (after.timers.next_due(), after.holds) == (customer.holds[0].due, 1)


def test_only_what_changed_is_written(kept: Kept) -> None:
    customer = lived()
    kept.put(ANA, customer)
    kept.commit()
    kept.put(customer, replace(customer, holds=()))
    assert [(key.split(b"|")[2], value) for key, value in kept.commit()] == [(b"hold", None)]


def test_a_profile_is_kept_as_its_json_form(kept: Kept) -> None:
    kept.state.put_document("northwind", "ana", {"addresses": {"email": "ana@example.org"}, "locale": "de"})
    kept.commit()
    after = kept.opened_again()
    assert after.document("northwind", "ana") == {"addresses": {"email": "ana@example.org"}, "locale": "de"}
    found = after.customer("northwind", "ana").profile
    assert found is not None
    assert (found.locale, found.addresses[0].address) == ("de", "ana@example.org")


def test_what_is_not_committed_counts_in_the_pass_and_in_no_other(kept: Kept) -> None:
    customer = lived()
    kept.put(ANA, customer)
    kept.state.put_document("northwind", "ana", {"attributes": {"plan": "gold"}})
    assert kept.state.timers.take_due(NOON + 48 * HOUR, 10) == [("northwind", "ana")]
    assert kept.state.with_attribute("northwind", "plan", "gold", "", 10) == ["ana"]
    again = kept.opened_again()
    assert again.customer("northwind", "ana") == ANA
    assert (again.timers.next_due(), again.customers("northwind", "", 10)) == (None, [])


def test_a_customer_who_changed_is_not_forgotten_before_the_commit() -> None:
    kept = Kept(cached=1)
    customer = lived()
    kept.put(ANA, customer)
    for number in range(5):
        kept.state.customer("northwind", f"c{number}")
    assert kept.state.customer("northwind", "ana") is customer
    kept.commit()
    kept.state.customer("northwind", "bob")
    kept.commit()
    found = kept.state.customer("northwind", "ana")
    assert found == customer
    assert found is not customer, "read again"


def test_partitions_share_the_room_for_customers() -> None:
    room = Room(4)
    state, other = State(MemoryStore(INDEX), room), State(MemoryStore(INDEX), room)

    def asked_again() -> list[bool]:
        """Ask for four customers, the last one first, commit; tell which of them were kept from before."""
        before = dict(state._customers)
        found = [state.customer("northwind", f"c{number}") for number in reversed(range(4))]
        state.committed()
        return [customer is before.get(("northwind", customer.id)) for customer in found]

    assert [asked_again(), asked_again()] == [[False] * 4, [False, False, True, True]]
    other.close()
    assert [asked_again(), asked_again()] == [[False, False, True, True], [True] * 4]


def test_a_customer_with_many_records_and_identities_is_read_whole(kept: Kept) -> None:
    for number in range(300):
        kept.state.remember(identity_key("northwind", "ana", "oms", f"e{number}"), Identity(b"hash", NOON))
    subjects = {("oms", f"INC-{n}"): Subject("oms", f"INC-{n}", n) for n in range(150)}
    customer = replace(lived(), subjects=subjects)
    kept.put(ANA, customer)
    kept.put(Customer("northwind", "anaa"), replace(lived(), id="anaa"))
    kept.commit()
    assert kept.opened_again().customer("northwind", "ana") == customer


def test_state_of_the_first_version_can_be_read() -> None:
    event = {"tenant": "northwind", "source": "oms", "id": "e1", "type": "outage", "subject": "INC-7", "time": 1}
    event |= {"lifecycle": 2, "sequence": None, "severity": 1, "expiry": None, "customers": ["ana"], "data": {}}
    event |= {"content_hash": b"hash", "accepted": 1}
    step = {"decision_id": b"\x01", "revision": 1, "step": 0, "rule": "outage", "first_seen": 1, "first_held": 0}
    step |= {"expires": 9, "message_class": 3, "failed_channels": [], "event": event}
    told = {"send_id": b"\x02", "channel": "email", "time": 5}
    written = {
        b"profile|": {"locale": "de", "attributes": {"plan": "gold"}},
        b"identity|" + b"0" * 40: {"content_hash": b"hash", "first_seen": 7},
        b"admission|01-0": {
            "time": 5,
            "decision_id": b"\x01",
            "channels": ["email"],
            "category": "outage",
            "message_class": 3,
            "rule": "outage",
            "subject": "INC-7",
        },
        b"subject|3:oms|INC-7": {"source": "oms", "subject": "INC-7", "told": [told], "last_event_time": 5},
        b"hold|01": {**step, "due": 8, "reason": 3},
        b"open|02": {**step, "send_id": b"\x02", "channel": "email"},
    }
    store = MemoryStore(INDEX)
    store.take([(b"northwind|ana|" + name, msgspec.msgpack.encode(value)) for name, value in written.items()], 6)
    state = State(store)
    found = state.customer("northwind", "ana")
    counts = (len(found.admissions), len(found.subjects), len(found.holds), len(found.opens), state.holds)
    assert (counts, found.profile is not None and found.profile.locale) == ((1, 1, 1, 1, 1), "de")
    assert state.identity(b"northwind|ana|identity|" + b"0" * 40) == Identity(b"hash", 7)
    assert state.timers.take_due(8, 1) == [("northwind", "ana")]
    assert state.concerned("northwind", "oms", "INC-7", "", 1) == ["ana"]
    assert state.with_attribute("northwind", "plan", "gold", "", 1) == ["ana"]


# --- identities ----------------------------------------------------------------------------------


def test_identities_are_forgotten_in_order_of_age_within_the_budget(kept: Kept) -> None:
    state = kept.state
    keys = [identity_key("northwind", "ana", "oms", f"e{number}") for number in range(3)]
    for number, key in enumerate(keys):
        state.remember(key, Identity(b"hash", NOON + number))
    kept.commit()
    state.forget_identities(NOON + 1, 1)
    assert [state.identity(key) is None for key in keys] == [True, False, False]
    state.forget_identities(NOON + 1, 10)
    assert [state.identity(key) is None for key in keys] == [True, True, False]
    assert [value for _, value in kept.commit()] == [None, None]
    assert [state.identity(key) is None for key in keys] == [True, True, False]


def test_an_identity_that_was_seen_anew_has_its_new_age(kept: Kept) -> None:
    key = identity_key("northwind", "ana", "oms", "e1")
    kept.state.remember(key, Identity(b"hash", NOON))
    kept.commit()
    kept.state.remember(key, Identity(b"hash", NOON + DAY))
    kept.commit()
    kept.state.forget_identities(NOON + HOUR, 10)
    assert kept.state.identity(key) == Identity(b"hash", NOON + DAY)
    kept.state.forget_identities(NOON + DAY, 10)
    assert kept.state.identity(key) is None


def test_sources_and_ids_are_not_run_together() -> None:
    assert identity_key("t", "c", "a", "bc") != identity_key("t", "c", "ab", "c")


def test_a_record_of_an_unknown_kind_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        MemoryStore(INDEX).take([(b"northwind|ana|wish|1", b"")], 1)
    with pytest.raises(ValueError, match="not ours"):
        MemoryStore(INDEX).take([(b"northwind|ana", b"")], 1)


# --- timers --------------------------------------------------------------------------------------


def held(customer: str, *dues: int) -> Customer:
    hold = lived().holds[0]
    holds = tuple(replace(hold, decision_id=b"%d-%d" % (n, due), due=due) for n, due in enumerate(dues))
    return Customer("northwind", customer, holds=holds)


def test_timers_come_in_order_of_time_each_customer_once(kept: Kept) -> None:
    for customer in (held("ana", 30, 10), held("bob", 20), held("eve", 40)):
        kept.put(Customer("northwind", customer.id), customer)
    kept.commit()
    timers = kept.state.timers
    assert (timers.next_due(), kept.state.holds) == (10, 4)
    assert timers.take_due(30, 10) == [("northwind", "ana"), ("northwind", "bob")]
    assert timers.take_due(30, 1) == [("northwind", "ana")]
    assert timers.take_due(5, 10) == []


def test_a_hold_that_was_released_leaves_no_timer_behind(kept: Kept) -> None:
    customer = lived()
    kept.put(ANA, customer)
    kept.commit()
    kept.put(customer, replace(customer, holds=()))
    assert kept.state.timers.take_due(NOON + 48 * HOUR, 10) == []
    assert (kept.state.timers.next_due(), kept.state.holds) == (None, 0)


def test_a_timer_before_all_others_is_found_though_the_first_was_found_before(kept: Kept) -> None:
    kept.put(Customer("northwind", "bob"), held("bob", 1_000))
    kept.commit()
    assert kept.state.timers.next_due() == 1_000
    kept.put(ANA, held("ana", 10))
    kept.commit()
    assert kept.state.timers.next_due() == 10


def test_who_is_postponed_comes_later_and_the_others_now(kept: Kept) -> None:
    for name, due in (("ana", 10), ("bob", 20)):
        kept.put(Customer("northwind", name), held(name, due))
    kept.commit()
    timers = kept.state.timers
    timers.postpone(("northwind", "ana"), 100)
    assert (timers.next_due(), timers.take_due(50, 10)) == (20, [("northwind", "bob")])
    timers.postpone(("northwind", "bob"), 70)
    assert (timers.next_due(), timers.take_due(60, 10)) == (70, [])
    assert timers.take_due(100, 10) == [("northwind", "ana"), ("northwind", "bob")]


# --- whom something is about ---------------------------------------------------------------------


def test_customers_come_in_pages_in_one_order(kept: Kept) -> None:
    names = ["a", "a-b", "a~", "ab", "b", "é"]
    for name in reversed(names):
        kept.state.put_document("northwind", name, {"attributes": {"plan": "gold"}})
    kept.state.put_document("other", "zoe", {})
    kept.commit()
    in_order = sorted(names, key=lambda name: f"{name}|".encode())
    gold = partial(kept.state.with_attribute, "northwind", "plan", "gold")
    for page in (partial(kept.state.customers, "northwind"), gold):
        found: list[str] = []
        while part := page(found[-1] if found else "", 2):
            found += part
        assert found == in_order


@pytest.mark.parametrize(
    ("kept_as", "asked", "same"),
    [
        ("gold", "gold", True),
        ("gold", "gol", False),
        (1, 1.0, True),
        (1, "1", False),
        (1, True, False),
        (0.5, 0.5, True),
        (True, True, True),
    ],
)
def test_attributes_are_found_by_values_that_are_equal(kept: Kept, kept_as: Any, asked: Any, same: bool) -> None:
    kept.state.put_document("northwind", "ana", {"attributes": {"plan": kept_as}})
    assert kept.state.with_attribute("northwind", "plan", asked, "", 10) == (["ana"] if same else [])


def test_a_changed_attribute_is_found_by_its_new_value_only(kept: Kept) -> None:
    kept.state.put_document("northwind", "ana", {"attributes": {"plan": "gold", "city": "Ulm"}})
    kept.commit()
    kept.state.put_document("northwind", "ana", {"attributes": {"plan": "tin"}})
    for _ in range(2):
        found = [
            kept.state.with_attribute("northwind", name, value, "", 10)
            for name, value in (("plan", "gold"), ("plan", "tin"), ("city", "Ulm"))
        ]
        assert found == [[], ["ana"], []]
        kept.commit()


def test_who_was_told_or_has_a_hold_is_concerned_once(kept: Kept) -> None:
    hold = lived().holds[0]
    subject = next(iter(lived().subjects.values()))
    source, about = subject.source, subject.subject
    hold = replace(hold, event=replace(hold.event, source=source, subject=about))
    told = {(source, about): subject}
    kept.put(ANA, replace(ANA, subjects=told, holds=(hold, replace(hold, decision_id=b"another"))))
    bob, eve = Customer("northwind", "bob"), Customer("northwind", "eve")
    kept.put(bob, replace(bob, subjects={(source, about): replace(subject, told=())}))
    kept.put(eve, replace(eve, holds=(hold,)))
    kept.commit()
    assert kept.state.concerned("northwind", source, about, "", 10) == ["ana", "eve"]
    assert kept.state.concerned("northwind", source, about, "", 1) == ["ana"]
    assert kept.state.concerned("northwind", source, about, "ana", 10) == ["eve"]
    assert kept.state.concerned("northwind", source, "INC-0", "", 10) == []


def test_who_was_told_of_the_end_is_concerned_no_more(kept: Kept) -> None:
    told = Subject("oms", "INC-7", told=(Told(b"send", "email", NOON),), last_event_time=NOON)
    kept.put(ANA, replace(ANA, subjects={("oms", "INC-7"): told}))
    kept.commit()
    before = kept.state.customer("northwind", "ana")
    kept.put(before, replace(before, subjects={("oms", "INC-7"): replace(told, told=(), closed=told.told)}))
    assert kept.state.concerned("northwind", "oms", "INC-7", "", 10) == []


# --- what no longer matters ----------------------------------------------------------------------


def test_every_customer_is_swept_once_in_a_while_in_portions(kept: Kept) -> None:
    for name in ("ana", "bob", "eve"):
        kept.put(Customer("northwind", name), held(name, 10))
    kept.commit()
    swept = [[customer.id for customer in kept.state.sweep(NOON, 2)] for _ in range(3)]
    assert swept == [["ana", "bob"], ["eve"], []]
    assert kept.state.sweep(NOON + SWEEP_EVERY - 1, 2) == []
    assert [customer.id for customer in kept.state.sweep(NOON + SWEEP_EVERY, 2)] == ["ana", "bob"]


# --- two ways to the same ------------------------------------------------------------------------

_documents = st.fixed_dictionaries(
    {}, optional={"plan": st.sampled_from(["gold", "tin", 1, True]), "city": st.sampled_from(["Ulm", "a|b"])}
)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["ana", "bob"]),
        st.one_of(
            st.tuples(st.just("profile"), _documents),
            st.tuples(st.just("holds"), st.lists(st.integers(0, 3), unique=True, max_size=3)),
            st.tuples(st.just("told"), st.lists(st.integers(0, 2), unique=True, max_size=2)),
            st.tuples(st.just("known"), st.lists(st.integers(0, 2), unique=True, max_size=2)),
            st.tuples(st.just("identity"), st.integers(0, 3)),
            st.tuples(st.just("forget"), st.integers(0, 30)),
            st.tuples(st.just("commit"), st.none()),
        ),
    ),
    max_size=30,
)


def _subjects(numbers: Iterable[int], *, told: bool) -> Mapping[tuple[str, str], Subject]:
    messages = (Told(b"send", "email", NOON),) if told else ()
    return {("oms", f"S{n}"): Subject("oms", f"S{n}", n, messages, last_event_time=NOON) for n in numbers}


@given(_steps)
def test_a_store_that_took_commits_equals_one_made_from_the_changelog(steps: list[tuple[str, tuple[str, Any]]]) -> None:
    kept = Kept(cached=1)
    for at, (name, (what, value)) in enumerate(steps):
        before = kept.state.customer("northwind", name)
        match what:
            case "profile":
                kept.state.put_document("northwind", name, {"attributes": value})
            case "holds":
                kept.put(before, replace(before, holds=held(name, *value).holds))
            case "told" | "known":
                kept.put(before, replace(before, subjects=_subjects(value, told=what == "told")))
            case "identity":
                kept.state.remember(identity_key("northwind", name, "oms", f"e{value}"), Identity(b"hash", at))
            case "forget":
                kept.state.forget_identities(value, 2)
            case _:
                kept.commit()
    kept.commit()
    assert kept.store.scan(b"") == kept.restored().scan(b"")
    assert kept.state.holds == kept.opened_again().holds
