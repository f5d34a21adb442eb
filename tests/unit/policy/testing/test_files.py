"""What a test file may say, and where each mistake in it stands."""

import pytest

from services.policy.check import check
from services.policy.compile import examine
from services.policy.testing.files import read
from services.policy.testing.names import documents_of, names_of
from services.policy.testing.timeline import Changes, Erases, Finds, Happens, Lifts, Steers, Timeline
from services.router.decision.model import MINUTE, Control, ControlKind, Feedback, Lifecycle, Severity
from tests.unit.policy.testing.policies import ORDER, OUTAGE_NIGHT, policy, written


def timeline(text: str) -> Timeline:
    examined = examine(policy({"t": text}))
    found, mistakes = read(documents_of(examined)[0], names_of(examined))
    assert mistakes == []
    assert found is not None
    return found


def mistakes(text: str) -> list[str]:
    return [str(mistake).removeprefix("tests/t.yaml:") for mistake in check(policy({"t": text})).mistakes]


@pytest.mark.parametrize(
    ("was", "instead", "says"),
    [
        ("start: 2026-03-28T22:30:00+01:00", "start: soon", "1:8: start: this is not an instant such as"),
        ("22:30:00+01:00", "22:30:00", "1:8: start: '2026-03-28T22:30:00' has no offset from UTC: write it at the end"),
        ("at: 20m", "at: 2026-03-28T23:00:00", "17:10: timeline[1].at: '2026-03-28T23:00:00' has no offset from UTC"),
        ('"+4915112345678"', "+4915112345678", "4:22: customers.ana.addresses.sms: must be text: put it in quotes"),
        ("start: 2026", "begin: 2026", "1:1: begin: unknown key 'begin'"),
        (
            "email: ana@example.org",
            "emial: ana@example.org",
            "4:40: customers.ana.addresses.emial: is not one of push, sms, email, chat, webhook, inbox, gateway (did",
        ),
        ("+4915112345678", "0151", "4:22: customers.ana.addresses.sms: is not a phone number"),
        ("locale: de\n", "local: de\n", "5:5: customers.ana.local: is not a key of a profile (did you mean 'locale'?)"),
        ("Europe/Berlin\n", "Europe/Berlinn\n", "6:15: customers.ana.timezone: is not a time zone"),
        ("{category: order,", "{category: odrer,", "9:30: customers.ana.preferences[0].category: unknown category"),
        ("value: off}", "value: of}", "9:58: customers.ana.preferences[0].value: is not one of instant, digest, off"),
        ("why: UNREGISTERED", "why: GONE", "11:39: customers.ana.suppressed[0].why: is not one of COMPLAINT"),
        (
            "{feeder: F-17}\n",
            "{feedr: F-17}\n",
            "12:18: customers.ana.attributes.feedr: undeclared attribute 'feedr' (did",
        ),
        ("at: 0m\n", "at: -5m\n", "14:9: timeline[0].at: '-5m' lies before the start: an offset is not negative"),
        ("at: 20m", "at: 20 minutes", "17:10: timeline[1].at: '20 minutes' is neither an offset such as"),
        ("at: 20m", "at: 20", "17:10: timeline[1].at: must be text such as 25m, not a number"),
        ("at: 20m", "at: 2026-03-28T22:29:59+01:00", "17:10: timeline[1].at: lies before the start"),
        ("at: 20m, ", "", "17:5: timeline[1]: 'at' is missing"),
        ("com.northwind.outage", "com.northwind.outag", "15:40: timeline[0].event.type: unknown event type"),
        ("lifecycle: opened", "lifecycle: open", "15:89: timeline[0].event.lifecycle: 'open' is not one of"),
        (
            "sequence: 1",
            "seqence: 1",
            "15:97: timeline[0].event.seqence: unknown key 'seqence' (did you mean 'sequence'?)",
        ),
        ("{everyone: true}", "{everyone: false}", "16:34: timeline[0].event.audience.everyone: can only be true"),
        ("{everyone: true}", "{}", "16:23: timeline[0].event.audience: an audience is one of"),
        (
            "{everyone: true}",
            "{select: 'customer.attributes.feedr == \"F-17\"'}",
            "16:33: timeline[0].event.audience.select: undefined field 'feedr' in customer.attributes (did",
        ),
        ("profile: {customer: ana", "profile: {customer: ann", "17:35: timeline[1].profile.customer: unknown customer"),
        ("profile: {customer: ana, ", "profile: {", "17:15: timeline[1].profile: 'customer' is missing"),
        (
            "profile: {customer: ana",
            "profil: {customer: ana",
            "17:15: timeline[1].profil: unknown key 'profil' (did you",
        ),
        (
            "snoozed_until: 2026-03-29T",
            "snoozed_until: 2026-13-29T",
            "17:55: timeline[1].profile.snoozed_until: is not",
        ),
        ("outcome: REJECTED", "outcome: REJECT", "18:64: timeline[2].feedback.outcome: 'REJECT' is not one of"),
        ("of: o1}", "of: o2}", "18:78: timeline[2].feedback.of: no event 'o2' is in the timeline"),
        (
            "{stop: {rule: outage-updated}",
            "{stop: {rule: outage-update}",
            "19:38: timeline[3].control.stop.rule: unknown",
        ),
        (
            "{stop: {rule: outage-updated}",
            "{lift: stop-all",
            "19:31: timeline[3].control.lift: no control 'stop-all' is",
        ),
        ("{stop: {rule: outage-updated}, reason", "{reason", "19:24: timeline[3].control: a control is one of"),
        ("{customer: ana, event: o1, rule", "{custmer: ana, event: o1, rule", "21:6: expect[0].custmer: unknown key"),
        (
            "{customer: ana, event: o1, rule",
            "{customer: anna, event: o1, rule",
            "21:16: expect[0].customer: unknown cust",
        ),
        ("event: o1, rule", "event: o9, rule", "21:28: expect[0].event: no event 'o9' is in the timeline"),
        ("rule: outage-opened", "rule: outage-open", "21:38: expect[0].rule: unknown rule 'outage-open' (did you mean"),
        ("rule: outage-opened", "rule: nothing-else", "21:38: expect[0].rule: unknown rule 'nothing-else'"),
        ("outcome: SEND, reason", "outcome: SENT, reason", "21:70: expect[0].outcome: 'SENT' is not one of SEND, HOLD"),
        (
            "reason: ALLOWED",
            "reason: ALOWED",
            "21:84: expect[0].reason: 'ALOWED' is not a reason (did you mean 'ALLOWED'?)",
        ),
        ("channels: [sms]}", "channels: [smss]}", "21:104: expect[0].channels[0]: 'smss' is not one of push, sms"),
        (
            "outcome: SEND, reason: ALLOWED",
            "outcome: SEND, reason: NO_ADDRESS",
            "21:84: expect[0].reason: SEND never has the reason NO_ADDRESS, only ALLOWED, CLOSURE",
        ),
        (
            "customers_affected: 120",
            "customers_affected: many",
            "16:95: timeline[0].event.data.customers_affected: must be integer: this event is refused (INVALID_DATA)",
        ),
        (
            "feeder: F-17, customers_affected: 120",
            "customers_affected: 120",
            "16:47: timeline[0].event.data: 'feeder' is missing: this event is refused (INVALID_DATA), and no expect",
        ),
        ("{sms: CHANNEL_FAILED}", "{sms: FAILED}", "22:91: expect[1].verdicts.sms: 'FAILED' is not a reason"),
        ("channel: sms, text", "text", "23:5: expect[2]: 'channel' is missing: a text is the one that a channel shows"),
        ("nothing_else: true", "nothing_else: yes", "24:35: expect[3].nothing_else: can only be true"),
        (
            "nothing_else: true",
            "nothing_else: true, at: 0m",
            "24:41: expect[3].at: 'at' does not go with 'nothing_else'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(was: str, instead: str, says: str) -> None:
    assert was in OUTAGE_NIGHT
    found = mistakes(OUTAGE_NIGHT.replace(was, instead, 1))
    assert [line for line in found if line.startswith(says)], found


def test_data_that_breaks_its_schema_is_no_mistake_where_that_is_expected() -> None:
    event = "- {at: 0m, event: {id: a, source: s, type: com.northwind.order, audience: {customers: [ana]}, data: {}}}"
    assert len(mistakes(written(event, "- {event: a, outcome: DUPLICATE}"))) == 1
    assert mistakes(written(event, "- {event: a, outcome: ERROR, reason: INVALID_DATA}")) == []
    assert mistakes(written(event, "- {event: s/a, outcome: ERROR}")) == []
    assert len(mistakes(written(event, "- {event: a, reason: INVALID_DATA, count: 0}"))) == 1


def test_all_mistakes_are_told_at_once_in_order_of_place() -> None:
    text = (
        OUTAGE_NIGHT.replace("at: 20m", "at: 2026-03-28T22:00:00+01:00")
        .replace("of: o1", "of: o2")
        .replace("SEND, reason", "X, reason")
    )
    assert [line.split(":")[0] for line in mistakes(text)] == ["17", "18", "21"]


def test_an_entry_that_cannot_be_read_makes_one_mistake_and_not_ten() -> None:
    assert [line.split(":")[0] for line in mistakes(OUTAGE_NIGHT.replace("lifecycle: opened", "lifecycle: open"))] == [
        "15"
    ]


def test_a_file_without_expectations_says_nothing() -> None:
    text = OUTAGE_NIGHT[: OUTAGE_NIGHT.index("expect:")]
    assert mistakes(text) == ["1:1: 'expect' is missing"]
    assert mistakes(text + "expect: []\n") == ["20:9: expect: must not be empty"]


def test_an_entry_is_one_thing() -> None:
    both = written("- {at: 0m, erase: {customer: ana}, control: {stop: {}}}")
    assert mistakes(both)[0].startswith(
        "10:5: timeline[0]: an entry has one of event, profile, feedback, control, erase"
    )
    assert mistakes(written("- {at: 0m}"))[0].endswith("erase, and has none")


def test_customers_that_only_an_audience_names_can_be_spoken_of() -> None:
    text = written(
        f"- {{at: 0m, event: {{id: a, source: s, {ORDER}, audience: {{customers: [cem]}}}}}}",
        "- {customer: cem}",
    )
    assert mistakes(text) == []


def test_names_of_a_policy_with_mistakes_are_not_compared() -> None:
    broken = policy({"t": OUTAGE_NIGHT}, **{"rules/10-outages.yaml": "rules: 5\n"})
    assert {mistake.path for mistake in check(broken).mistakes} == {"rules/10-outages.yaml"}


def test_each_kind_of_entry_becomes_a_deed_at_an_instant() -> None:
    found = timeline(
        written(
            """
- at: 2m
  event: {id: a, source: s, type: com.northwind.outage, subject: I, lifecycle: updated, sequence: 3, severity: major,
          expirytime: 1h, audience: {select: 'customer.attributes.feeder == "F-17"'}, traceparent: x,
          data: {area: A, feeder: F, customers_affected: 1}}
- {at: 1m, profile: {customer: ana, locale: null}}
- {at: 3m, feedback: {customer: ana, channel: sms, outcome: BOUNCED, hard: true, of: s/a, rule: outage-updated}}
- {at: 3m, control: {pause: {category: order, class: marketing}, author: eve, reason: r, expires_at: 2h}}
- {at: 4m, control: {stop: {}, name: halt}}
- {at: 5m, control: {lift: pause-category-order-class-marketing}}
- {at: 6m, erase: {customer: ana}}
"""
        )
    )
    start = found.start
    assert [((entry.at - start) // MINUTE, type(entry.deed)) for entry in found.entries] == [
        (1, Changes),
        (2, Happens),
        (3, Finds),
        (3, Steers),
        (4, Steers),
        (5, Lifts),
        (6, Erases),
    ]
    patch, happens, finds, pause, stop, lift, _ = (entry.deed for entry in found.entries)
    assert patch == Changes("ana", {"locale": None})
    assert isinstance(happens, Happens)
    event = happens.event
    assert (event.time, event.accepted, event.expiry) == (start + 2 * MINUTE, start + 2 * MINUTE, start + 60 * MINUTE)
    assert (event.lifecycle, event.severity, event.sequence) == (Lifecycle.UPDATED, Severity.MAJOR, 3)
    assert (event.select, event.everyone, event.customers) == ('customer.attributes.feeder == "F-17"', False, ())
    assert happens.selector is not None
    assert finds == Finds("ana", "sms", Feedback.BOUNCED, "s/a", "outage-updated", hard=True)
    assert isinstance(pause, Steers)
    assert pause.control.name == "pause-category-order-class-marketing"
    assert pause.control.expires == start + 120 * MINUTE
    assert stop == Steers(Control("halt", ControlKind.STOP))
    assert lift == Lifts("pause-category-order-class-marketing")


def test_an_event_far_in_the_future_has_the_time_of_its_acceptance() -> None:
    kind = "type: com.northwind.order, data: {{order: A}}"
    text = f"- {{{{at: 0m, event: {{{{id: a, source: s, {kind}, {{}}audience: {{{{everyone: true}}}}}}}}}}}}"
    times = {}
    for stated in ("", "time: 4m, ", "time: 6m, ", "time: 2026-01-15T08:00:00+01:00, "):
        found = timeline(written(text.format(stated)))
        (deed,) = (entry.deed for entry in found.entries)
        assert isinstance(deed, Happens)
        times[stated[6:8]] = (deed.event.time - found.start) // MINUTE
    assert times == {"": 0, "4m": 4, "6m": 0, "20": -60}


def test_the_words_of_yaml_1_2_mean_themselves() -> None:
    found = timeline(OUTAGE_NIGHT)
    assert found.customers["ana"]["preferences"][0]["value"] == "off"
