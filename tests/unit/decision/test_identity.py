from services.router.decision import ids
from services.router.decision.model import DAY, HOUR, Decision, Identity, Lifecycle, Outcome, Reason
from tests.builders import NOON, World, customer, ended, event, event_type, one, policy


def test_an_event_is_taken_once() -> None:
    world = World(policy())
    assert ended(one(world.event(event()))) == ("SEND", "ALLOWED")
    assert ended(one(world.event(event()))) == ("DUPLICATE", "DUPLICATE")
    assert len(world.customer.admissions) == 1


def test_the_same_id_with_other_content_is_an_error() -> None:
    world = World(policy())
    world.event(event())
    assert ended(one(world.event(event(content_hash=b"other")))) == ("ERROR", "ID_REUSED")
    assert ended(one(world.event(event()))) == ("DUPLICATE", "DUPLICATE")


def test_the_records_of_two_duplicates_have_their_own_ids() -> None:
    world = World(policy())
    world.event(event())
    again, once_more = one(world.event(event())), one(world.event(event()))
    assert again.decision_id != once_more.decision_id
    assert (again.customer, again.rule_name) == ("", "")


def test_an_identity_is_remembered_for_the_window_and_not_prolonged() -> None:
    world = World(policy())
    world.event(event())
    world.later(DAY - 1)
    assert ended(one(world.event(event(time=world.now)))) == ("DUPLICATE", "DUPLICATE")
    world.later(1)
    assert ended(one(world.event(event(time=world.now)))) == ("SEND", "ALLOWED")


def test_the_dedup_window_is_the_policys() -> None:
    world = World(policy(defaults={"dedup_window": HOUR}))
    world.event(event())
    world.later(HOUR)
    assert ended(one(world.event(event()))) == ("SEND", "ALLOWED")


def test_an_event_that_ended_in_error_may_come_again() -> None:
    world = World(policy())
    refused = world.event(event(type="unheard-of"))
    assert ended(one(refused)) == ("ERROR", "UNKNOWN_TYPE")
    assert refused.identity is None
    assert ended(one(world.event(event(type="unheard-of")))) == ("ERROR", "UNKNOWN_TYPE")
    assert world.decisions[0].decision_id != world.decisions[1].decision_id
    assert ended(one(world.event(event()))) == ("SEND", "ALLOWED")


def test_an_event_that_was_taken_is_remembered() -> None:
    assert World(policy()).event(event()).identity == Identity(b"content", NOON)


def test_data_against_the_schema_is_an_error_that_says_where() -> None:
    refused = one(World(policy(types=(event_type(wrong=(("area", "is required"), ("n", "is no int"))),))).event())
    assert ended(refused) == ("ERROR", "INVALID_DATA")
    assert refused.detail == "area: is required; n: is no int"


def test_a_lifecycle_needs_a_type_that_has_one() -> None:
    plain = policy(types=(event_type(lifecycle=False),))
    assert ended(one(World(plain).event())) == ("ERROR", "INVALID_DATA")
    assert ended(one(World(plain).event(lifecycle=Lifecycle.POINT))) == ("SEND", "ALLOWED")


def test_a_duplicate_is_a_duplicate_even_if_the_policy_forgot_its_type() -> None:
    world = World(policy())
    world.event(event())
    world.policy = policy(types=(event_type("other"),))
    assert ended(one(world.event(event()))) == ("DUPLICATE", "DUPLICATE")


def test_an_event_past_its_expirytime_is_expired_as_a_whole_and_remembered() -> None:
    world = World(policy())
    expired = one(world.event(event(expiry=NOON)))
    assert ended(expired) == ("EXPIRED", "EXPIRED")
    assert (expired.customer, expired.rule) == ("", None)
    assert ended(one(world.event(event(expiry=NOON)))) == ("DUPLICATE", "DUPLICATE")
    assert ended(one(world.event(event(id="e2", expiry=NOON + 1)))) == ("SEND", "ALLOWED")


def test_a_refused_event_leaves_the_customer_as_he_was() -> None:
    ana = customer()
    for given in (event(type="unheard-of"), event(expiry=NOON)):
        assert World(policy(), ana).event(given).customer is ana


def test_the_record_of_an_event_as_a_whole_is_its_only_one() -> None:
    given = event(type="unheard-of")
    assert one(World(policy()).event(given)) == Decision(
        ids.record_id(given, NOON, (0, 1)),
        revision=0,
        step=0,
        terminal=True,
        outcome=Outcome.ERROR,
        reason=Reason.UNKNOWN_TYPE,
        time=NOON,
        customer="",
        event=given,
        first_seen=NOON,
        detail="the policy has no event type unheard-of",
        policy_hash="policy-1",
    )


def test_a_duplicate_is_recorded_with_when_the_event_was_first_seen() -> None:
    world = World(policy())
    world.event(event())
    world.later(HOUR)
    for given in (event(), event(content_hash=b"other")):
        again = one(world.event(given))
        assert (again.first_seen, again.time) == (NOON, NOON + HOUR)
        assert again.decision_id == ids.record_id(given, NOON, (0, world.events))


def test_what_is_wrong_with_an_event_whose_identity_was_forgotten_is_seen_now() -> None:
    world = World(policy())
    world.event(event())
    world.later(DAY).policy = policy(types=(event_type("other"),))
    assert one(world.event(event())).first_seen == NOON + DAY
