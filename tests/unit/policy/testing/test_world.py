"""A timeline on the virtual clock: what comes first at one instant, and what is remembered between entries."""

from services.policy.compile import examine
from services.policy.testing.files import read
from services.policy.testing.moments import offset
from services.policy.testing.names import documents_of, names_of
from services.policy.testing.world import History, live
from tests.unit.policy.testing.policies import DIGEST, FILES, ORDER, OUTAGE, PEOPLE, policy, written

WISHES = """\
  ana:
    addresses: {email: ana@example.org}
    attributes: {feeder: F-17}
    preferences: [{category: order, channel: email, value: digest}]
"""


def lived(entries: str, people: str = PEOPLE, start: str = "09:00", **changes: str) -> tuple[History, int]:
    examined = examine(policy({"t": written(entries, "- {outcome: ERROR}", people, start)}, **changes))
    assert examined.mistakes == []
    timeline, mistakes = read(documents_of(examined)[0], names_of(examined))
    assert (timeline is not None, examined.policy is not None, mistakes) == (True, True, [])
    assert timeline is not None
    assert examined.policy is not None
    return live(timeline, examined.policy), timeline.start


def told(entries: str, people: str = PEOPLE, start: str = "09:00", **changes: str) -> list[str]:
    """Return each revision as `at customer event OUTCOME REASON channels`."""
    history, begin = lived(entries, people, start, **changes)
    assert history.faults == ()
    lines = []
    for happened in history.happened:
        decision = happened.decision
        assert decision.event is not None
        ended = [decision.outcome.name, *(send.channel for send in decision.sends)]
        if decision.reason.name not in (decision.outcome.name, "ALLOWED"):
            ended.insert(1, decision.reason.name)
        lines.append(" ".join([offset(decision.time, begin), decision.customer or "-", decision.event.id, *ended]))
    return lines


def order(at: str, name: str, audience: str = "{customers: [ana]}", source: str = "shop") -> str:
    return f"- {{at: {at}, event: {{id: {name}, source: {source}, {ORDER}, audience: {audience}}}}}"


def test_what_is_held_is_decided_when_it_is_due_and_the_clock_runs_until_nothing_waits() -> None:
    assert told(order("0m", "a"), start="23:00") == ["0m ana a HOLD QUIET_HOURS", "8h ana a SEND sms"]


def test_at_one_instant_due_timers_come_before_the_entries_and_these_in_order_of_the_file() -> None:
    entries = f"""
{order("0m", "held")}
{order("8h", "second")}
- {{at: 8h, profile: {{customer: ana, addresses: {{sms: null}}}}}}
{order("8h", "third")}
{order("1m", "earlier")}
"""
    assert told(entries, start="23:00") == [
        "0m ana held HOLD QUIET_HOURS",
        "1m ana earlier HOLD QUIET_HOURS",
        "8h ana held SEND sms",
        "8h ana earlier SEND sms",
        "8h ana second SEND sms",
        "8h ana third SEND email",
    ]


def test_members_of_an_audience_are_decided_in_order_of_their_names() -> None:
    everyone = order("0m", "a", "{everyone: true}")
    named = order("1m", "b", "{customers: [cem, ben, ana]}")
    selected = order("2m", "c", """{select: 'customer.attributes.feeder == "F-12"'}""")
    assert told(f"{everyone}\n{named}\n{selected}") == [
        "0m ana a SEND sms",
        "0m ben a SEND email",
        "1m ana b SEND sms",
        "1m ben b SEND email",
        "1m cem b SUPPRESSED NO_ADDRESS",
        "2m ben c SEND email",
    ]


def test_an_identity_is_remembered_within_the_window_for_each_key() -> None:
    again = [order("0m", "a"), order("1m", "a"), order("2m", "a", source="other"), order("1d", "a")]
    assert told("\n".join(again)) == ["0m ana a SEND sms", "1m - a DUPLICATE", "2m ana a SEND sms", "1d ana a SEND sms"]
    changed = order("1m", "a").replace("order: A", "order: B")
    assert told(f"{order('0m', 'a')}\n{changed}") == ["0m ana a SEND sms", "1m - a ERROR ID_REUSED"]
    other_key = order("1m", "a", "{customers: [ben]}")
    assert told(f"{order('0m', 'a')}\n{other_key}") == ["0m ana a SEND sms", "1m ben a SEND email"]


def test_what_ended_in_an_error_may_come_again() -> None:
    wrong = order("0m", "a").replace("order: A", "ordr: A")
    assert told(f"{wrong}\n{order('1m', 'a')}") == ["0m - a ERROR INVALID_DATA", "1m ana a SEND sms"]


def test_no_rule_is_the_events_own_record() -> None:
    entry = f"- {{at: 0m, event: {{id: a, source: oms, {OUTAGE}}}}}"
    history, _ = lived(entry)
    assert told(entry) == ["0m - a NO_RULE"]
    assert history.matched == {"nothing-else": 1}


def test_a_refusal_opens_the_next_channel_and_later_news_of_it_changes_nothing() -> None:
    entries = f"""
{order("0m", "a")}
- {{at: 1m, feedback: {{customer: ana, channel: sms, outcome: REJECTED, of: a}}}}
- {{at: 2m, feedback: {{customer: ana, channel: sms, outcome: REJECTED, of: shop/a, rule: order}}}}
- {{at: 3m, feedback: {{customer: ana, channel: email, outcome: DELIVERED, of: a}}}}
"""
    assert told(entries) == ["0m ana a SEND sms", "1m ana a SEND email"]
    history, start = lived(entries)
    assert [(offset(each.time, start), each.said.outcome.name) for each in history.found] == [
        ("1m", "REJECTED"),
        ("2m", "REJECTED"),
        ("3m", "DELIVERED"),
    ]


def test_feedback_is_about_the_latest_message() -> None:
    entries = f"""
{order("0m", "a")}
{order("1d", "a")}
- {{at: 25h, feedback: {{customer: ana, channel: sms, outcome: REJECTED, of: a}}}}
"""
    history, start = lived(entries)
    assert [offset(each.decision.time, start) for each in history.found] == ["1d"]


def test_feedback_about_a_message_that_was_not_sent_is_a_fault() -> None:
    entries = f"{order('0m', 'a')}\n- {{at: 1m, feedback: {{customer: ana, channel: email, outcome: REJECTED, of: a}}}}"
    history, _ = lived(entries)
    assert [(fault.line, fault.message) for fault in history.faults] == [
        (11, "no message about a has gone to ana by email until then")
    ]


def test_a_stop_holds_until_it_is_lifted() -> None:
    entries = f"""
- {{at: 0m, control: {{stop: {{rule: order}}}}}}
{order("1m", "a")}
- {{at: 2m, control: {{lift: stop-rule-order}}}}
{order("3m", "b")}
"""
    assert told(entries) == ["1m ana a SUPPRESSED STOPPED", "3m ana b SEND sms"]


def test_lifting_a_pause_releases_what_it_held_customer_by_customer() -> None:
    entries = f"""
- {{at: 0m, control: {{pause: {{category: order}}, name: wait}}}}
{order("1m", "a", "{customers: [ben, ana]}")}
{order("2m", "b")}
- {{at: 5m, control: {{lift: wait}}}}
"""
    assert told(entries) == [
        "1m ana a HOLD PAUSED",
        "1m ben a HOLD PAUSED",
        "2m ana b HOLD PAUSED",
        "5m ana a SEND sms",
        "5m ana b SEND sms",
        "5m ben a SEND email",
    ]


def test_a_pause_that_expires_releases_by_the_clock() -> None:
    entries = f"- {{at: 0m, control: {{pause: {{}}, expires_at: 10m}}}}\n{order('1m', 'a')}\n{order('10m', 'b')}"
    assert told(entries) == ["1m ana a HOLD PAUSED", "10m ana a SEND sms", "10m ana b SEND sms"]


def test_an_erasure_ends_what_waits_and_its_addresses_stay_out() -> None:
    entries = f"""
{order("0m", "a")}
- {{at: 1m, erase: {{customer: ana}}}}
- {{at: 2m, profile: {{customer: ana, addresses: {{sms: "+4915112345678", email: new@example.org}}}}}}
{order("9h", "b")}
"""
    assert told(entries, start="23:00") == [
        "0m ana a HOLD QUIET_HOURS",
        "1m ana a SUPPRESSED ADDRESS_SUPPRESSED",
        "9h ana b SEND email",
    ]


def test_a_digest_is_flushed_at_its_time_with_all_its_messages() -> None:
    history, start = lived(f"{order('0m', 'a')}\n{order('1m', 'b')}", WISHES, **DIGEST)
    flushed = history.happened[2:]
    assert [(offset(one.decision.time, start), one.decision.outcome.name) for one in flushed] == [("23h", "SEND")] * 2
    assert {one.decision.sends[0].send_id for one in flushed} == {flushed[0].digests[0].send_id}
    assert [item.event.id for item in flushed[0].digests[0].items] == ["a", "b"]


def test_feedback_about_a_digest_is_about_all_of_it() -> None:
    bounced = "- {at: 2d, feedback: {customer: ana, channel: email, outcome: REJECTED, of: a}}"
    capped = (
        FILES["caps.yaml"]
        .replace("limit: 6", "limit: 1")
        .replace("window: 24h, over: defer", "window: 72h, over: drop")
    )
    rest = capped.replace(", max_hold: 24h", "")
    entries = f"{order('0m', 'a')}\n{order('1m', 'b')}\n{bounced}\n{order('49h', 'c')}"
    with_place = told(entries, WISHES, **DIGEST, **{"caps.yaml": rest})
    without = told(entries.replace(bounced, ""), WISHES, **DIGEST, **{"caps.yaml": rest})
    assert with_place[-1] == "2d23h ana c SEND email"
    assert without[-1] == "2d23h ana c SUPPRESSED CAP_REACHED"


def test_a_patch_changes_the_customer_from_then_on() -> None:
    entries = f"""
{order("0m", "a")}
- {{at: 1m, profile: {{customer: ana, preferences: [{{category: order, value: off}}]}}}}
{order("2m", "b")}
"""
    assert told(entries) == ["0m ana a SEND sms", "2m ana b SUPPRESSED PREFERENCE_OFF"]
    history, start = lived(entries)
    (verdict, *_) = history.happened[1].decision.verdicts
    assert offset(verdict.preference_set, start) == "1m"
