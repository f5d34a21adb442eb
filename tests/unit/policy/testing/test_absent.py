"""Why a customer has no decision about an event."""

from services.policy.compile import examine
from services.policy.testing.absent import why_not
from services.policy.testing.files import read
from services.policy.testing.names import documents_of, names_of
from services.router.decision.model import Reason
from tests.unit.policy.testing.policies import ORDER, OUTAGE, policy, written


def why(event: str, customer: str) -> tuple[str, Reason, str] | None:
    examined = examine(policy({"t": written(f"- {{at: 0m, event: {{id: a, source: s, {event}}}}}")}))
    timeline, mistakes = read(documents_of(examined)[0], names_of(examined))
    assert timeline is not None
    assert examined.policy is not None
    assert mistakes == []
    found = why_not(timeline, examined.policy, "a", customer)
    if found is None:
        return None
    said, _, happened = found
    return said, happened.decision.reason, happened.decision.rules_tried[-1].why


def test_who_left_the_customer_out() -> None:
    assert why(f"{OUTAGE}, lifecycle: opened", "ben") == (
        "",
        Reason.NOT_IN_AUDIENCE,
        'who: customer.attributes.feeder == data.feeder (customer.attributes.feeder is "F-12", data.feeder is "F-17")',
    )


def test_the_selector_left_the_customer_out() -> None:
    select = "{select: 'customer.attributes.feeder == \"F-17\"'}"
    said = why(f"{ORDER}, audience: {select}", "ben")
    assert said is not None
    assert said[0] == (
        'the event\'s audience is customer.attributes.feeder == "F-17" (customer.attributes.feeder is "F-12")'
    )


def test_the_event_named_others() -> None:
    said = why(f"{ORDER}, audience: {{customers: [ana]}}", "ben")
    assert said is not None
    assert said[0] == "the event is for ana"


def test_nobody_knows_the_customer() -> None:
    said = why(f"{ORDER}, audience: {{everyone: true}}", "cem")
    assert said is not None
    assert said[:2] == ("nothing is known of this customer at northwind", Reason.NO_ADDRESS)


def test_there_is_nothing_to_ask_of_one_who_was_named() -> None:
    assert why(f"{ORDER}, audience: {{customers: [ana]}}", "ana") is None
