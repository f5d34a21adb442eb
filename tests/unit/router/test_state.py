import pytest
from msgspec.structs import replace

from services.router.decision.model import HOUR, Customer, Identity, Lifecycle, Outcome
from services.router.state import State, identity_key
from tests.builders import NOON, World, cap, policy, quiet


def stored(state: State) -> dict[bytes, bytes]:
    """Apply the changes of a state to an empty store, as the processor does."""
    return {change.key: change.value for change in state.take_changes() if change.value is not None}


def take(state: State, before: Customer, after: Customer) -> None:
    state.put(before, after, state.changes_of(before, after))


def lived() -> Customer:
    """Someone with an admission, a subject, a hold and an open step."""
    world = World(policy(caps=(cap(limit=5),), defaults={"quiet_hours": quiet()}))
    world.event(lifecycle=Lifecycle.OPENED)
    world.now = NOON + 10 * HOUR
    world.event(lifecycle=Lifecycle.OPENED, subject="INC-8")
    assert [d.outcome for d in world.decisions] == [Outcome.SEND, Outcome.HOLD]
    assert world.customer.opens
    return replace(world.customer, profile=None)


def test_what_was_put_is_there_again_after_a_restart() -> None:
    before = State(())
    customer = lived()
    take(before, Customer("northwind", "ana"), customer)
    after = State(stored(before).items())
    assert after.customer("northwind", "ana") == customer
    assert after.timers.next_due() == customer.holds[0].due


def test_only_what_changed_is_written() -> None:
    state = State(())
    customer = lived()
    take(state, Customer("northwind", "ana"), customer)
    state.take_changes()
    take(state, customer, replace(customer, holds=()))
    assert [(change.key.split(b"|")[2], change.value) for change in state.take_changes()] == [(b"hold", None)]


def test_a_profile_is_kept_as_its_json_form() -> None:
    before = State(())
    before.put_document("northwind", "ana", {"addresses": {"email": "ana@example.org"}, "locale": "de"})
    after = State(stored(before).items())
    assert after.document("northwind", "ana") == {"addresses": {"email": "ana@example.org"}, "locale": "de"}
    found = after.customer("northwind", "ana").profile
    assert found is not None
    assert (found.locale, found.addresses[0].address) == ("de", "ana@example.org")


def test_identities_are_forgotten_in_order_of_age_within_the_budget() -> None:
    state = State(())
    keys = [identity_key("northwind", "ana", "oms", f"e{number}") for number in range(3)]
    for number, key in enumerate(keys):
        state.remember(key, Identity(b"hash", NOON + number))
    state.take_changes()
    state.forget_identities(NOON + 1, 1)
    assert [state.identity(key) is None for key in keys] == [True, False, False]
    state.forget_identities(NOON + 1, 10)
    assert [state.identity(key) is None for key in keys] == [True, True, False]
    assert [change.value for change in state.take_changes()] == [None, None]


def test_sources_and_ids_are_not_run_together() -> None:
    assert identity_key("t", "c", "a", "bc") != identity_key("t", "c", "ab", "c")


def test_a_record_of_an_unknown_kind_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        State([(b"northwind|ana|wish|1", b"")])


def test_a_hold_that_was_released_leaves_a_timer_behind_that_does_nothing() -> None:
    state = State(())
    customer = lived()
    take(state, Customer("northwind", "ana"), customer)
    take(state, customer, replace(customer, holds=()))
    assert state.timers.take_due(NOON + 48 * HOUR, 10) == [("northwind", "ana")]
    assert state.timers.next_due() is None
    assert state.holds == 0
