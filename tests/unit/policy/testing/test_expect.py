"""What an expectation asks of a revision, and what is told when none is like it."""

import pytest

from services.policy.testing.expect import Checked
from services.policy.testing.run import run
from tests.unit.policy.testing.policies import DIGEST, ORDER, policy, written

ENTRIES = f"""
- {{at: 0m, event: {{id: a, source: shop, {ORDER}, audience: {{everyone: true}}}}}}
- {{at: 1m, feedback: {{customer: ana, channel: sms, outcome: REJECTED, of: a}}}}
- {{at: 2m, event: {{id: a, source: shop, {ORDER}, audience: {{everyone: true}}}}}}
- {{at: 14h, event: {{id: b, source: crm, {ORDER}, audience: {{customers: [ana]}}}}}}
"""


def checked(expected: str) -> list[Checked]:
    (lived,) = run(policy({"t": written(ENTRIES, expected)})).files
    return list(lived.checked)


@pytest.mark.parametrize(
    ("expectation", "passes"),
    [
        ("{customer: ana}", True),
        ("{customer: cem}", False),
        ("{event: a, outcome: DUPLICATE}", True),
        ("{customer: ana, event: a, outcome: DUPLICATE}", False),
        ("{event: shop/a, customer: ben}", True),
        ("{event: crm/b, customer: ben}", False),
        ("{rule: order}", True),
        ("{rule: outage-opened}", False),
        ("{customer: ana, at: 1m, channels: [email]}", True),
        ("{customer: ana, at: 1m, channels: [email, sms]}", False),
        ("{customer: ana, at: 2026-01-15T08:01:00Z}", True),
        ("{customer: ana, at: 61s}", False),
        ("{outcome: HOLD, reason: QUIET_HOURS}", True),
        ("{outcome: HOLD, reason: CAP}", False),
        ("{outcome: HOLD, channels: []}", True),
        ("{verdicts: {sms: CHANNEL_FAILED, email: ALLOWED}}", True),
        ("{verdicts: {sms: CHANNEL_FAILED, email: NO_ADDRESS}}", False),
        ("{verdicts: {push: ALLOWED}}", False),
        ("{step: 1, channels: [email]}", True),
        ("{step: 2}", False),
        ("{event: b, revision: 1, outcome: SEND}", True),
        ("{event: b, revision: 2}", False),
        ("{event: b, due: 22h}", True),
        ("{event: b, due: 22h1s}", False),
        ("{customer: ana, event: a, channel: sms, text: 'Order A. News of your order A.'}", True),
        ("{customer: ana, event: a, channel: sms, text: 'Order B'}", False),
        ("{customer: ben, event: a, channel: email, headline: Order A}", True),
        ("{customer: ben, event: a, channel: email, headline: Order B}", False),
        ("{customer: ben, event: a, channel: sms}", False),
        ('{customer: ben, event: a, channel: email, text: "News of your order A."}', True),
        ("{customer: ana, outcome: SEND, count: 3}", True),
        ("{customer: ana, outcome: SEND, count: 2}", False),
        ("{customer: ben, outcome: HOLD, count: 0}", True),
        ("{customer: ana, outcome: HOLD, count: 0}", False),
    ],
)
def test_an_expectation_holds_if_a_revision_has_all_that_it_names(expectation: str, passes: bool) -> None:
    known = "- {customer: cem, count: 0}" if "cem" not in expectation else ""
    text = written(
        ENTRIES + "- {at: 0m, event: {id: z, source: z, type: com.northwind.outage, subject: z,"
        " audience: {customers: [cem]}, data: {area: M, feeder: F, customers_affected: 0}}}",
        f"- {expectation}\n{known}",
    )
    (lived,) = run(policy({"t": text})).files
    assert lived.checked[0].passed is passes


def test_nothing_else_is_what_no_expectation_of_the_file_matched() -> None:
    all_but_one = (
        "- {customer: ana, nothing_else: true}\n- {customer: ana, event: a}\n- {customer: ana, event: b, revision: 0}"
    )
    first, *_ = checked(all_but_one)
    assert not first.passed
    assert [(one.decision.event.id if one.decision.event else "", one.decision.revision) for one in first.instead] == [
        ("b", 1)
    ]
    assert all(each.passed for each in checked(all_but_one.replace(", revision: 0", "")))


def test_nothing_else_can_be_about_an_event_and_about_everybody() -> None:
    found = checked(
        "- {customer: ana, event: a}\n- {customer: ana, event: a, nothing_else: true}\n- {nothing_else: true}"
    )
    assert [(each.passed, len(each.instead)) for each in found] == [(True, 0), (True, 0), (False, 4)]


def test_a_failed_expectation_matches_nothing_for_nothing_else() -> None:
    found = checked("- {customer: ben, outcome: HOLD}\n- {customer: ben, nothing_else: true}")
    assert [each.passed for each in found] == [False, False]


@pytest.mark.parametrize(
    ("expectation", "closest"),
    [
        # Customer and event first, then what differs least.
        ("{customer: ana, event: a, at: 1m, channels: [push]}", [("ana", "a", 1), ("ana", "a", 0)]),
        ("{customer: ana, event: b, outcome: STALE, at: 22h}", [("ana", "b", 1), ("ana", "b", 0)]),
        # Nothing of this event for the customer: what there is of the customer.
        ("{customer: ben, event: b, outcome: SEND}", [("ben", "a", 0)]),
        ("{event: a, outcome: STALE, step: 3}", [("ana", "a", 0), ("ben", "a", 0), ("ana", "a", 1)]),
    ],
)
def test_what_came_instead_is_what_is_most_like_it(expectation: str, closest: list[tuple[str, str, int]]) -> None:
    (found,) = checked(f"- {expectation}")
    assert not found.passed
    told = [
        (one.decision.customer, one.decision.event.id if one.decision.event else "", one.decision.revision)
        for one in found.instead
    ]
    assert told == closest


def test_of_a_wrong_text_the_real_one_is_told() -> None:
    (text,) = checked("- {customer: ana, event: a, channel: sms, text: Order B}")
    assert text.said == "Order A. News of your order A."
    (headline,) = checked("- {customer: ben, event: a, channel: email, headline: Order B}")
    assert headline.said == "headline: Order A"


def test_more_than_were_counted_are_told() -> None:
    (found,) = checked("- {customer: ana, outcome: HOLD, count: 0}")
    assert (found.matched, [one.decision.outcome.name for one in found.instead]) == (1, ["HOLD"])


def test_the_text_of_a_digest_is_that_of_all_its_messages() -> None:
    people = """\
  ana:
    addresses: {email: ana@example.org}
    preferences: [{category: order, channel: email, value: digest}]
"""
    entries = f"""
- {{at: 0m, event: {{id: a, source: shop, {ORDER}, audience: {{customers: [ana]}}}}}}
- {{at: 1m, event: {{id: b, source: shop, {ORDER}, audience: {{customers: [ana]}}}}}}
"""
    expected = """
- {customer: ana, event: a, at: 23h, channel: email, headline: 2 messages, text: "Order A Order A"}
- {customer: ana, event: b, at: 23h, channel: email, headline: 1 messages}
"""
    (lived,) = run(policy({"t": written(entries, expected, people)}, **DIGEST)).files
    assert [(each.passed, each.said) for each in lived.checked] == [(True, ""), (False, "headline: 2 messages")]
