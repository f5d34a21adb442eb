"""The commands about policies, as a product team uses them; none needs Kafka."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from services.control.__main__ import main
from services.control.commands_policy import policy_app
from services.control.errors import ClarionError
from services.policy.bundle import Bundle
from tests.unit.policy.testing.policies import DIGEST, OUTAGE_NIGHT, policy, written
from tests.unit.policy.testing.policies import ORDER as A_ORDER

EVENT = {
    "id": "o1",
    "source": "oms",
    "type": "com.northwind.outage",
    "subject": "INC-7",
    "lifecycle": "opened",
    "audience": {"everyone": True},
    "data": {"area": "Mitte", "feeder": "F-17", "customers_affected": 120},
}
ORDER = {"id": "4711", "source": "shop", "type": "com.northwind.order", "data": {"order": "A"}}
ANA = {"customer": "ana", "addresses": {"email": "ana@example.org", "sms": "+4915112345678"}, "locale": "en"}
AT = "2026-01-15T23:00:00+01:00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return put(tmp_path / "policy", policy({"outage_night": OUTAGE_NIGHT}))


def put(folder: Path, bundle: Bundle) -> Path:
    for path, content in bundle.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def clarion(*arguments: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(policy_app, [str(each) for each in arguments], input=stdin)


def written_to(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["check", "test", "explain", "preview", "show", "diff", "activate"])
def test_every_policy_command_has_help_with_an_example(name: str) -> None:
    found = clarion(name, "--help")
    assert found.exit_code == 0
    assert f"Example: clarion policy {name} " in found.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("test",),
        ("explain", "DIR"),
        ("preview", "DIR"),
        ("show",),
        ("diff", "DIR"),
        ("explain", "DIR", "--event", "-", "--customer", "-"),
        ("explain", "DIR", "--event", "/nowhere.json", "--customer", "-"),
        ("preview", "DIR", "order", "--data", "-", "--event", "-"),
    ],
)
def test_wrong_usage_ends_with_2(folder: Path, arguments: tuple[str, ...]) -> None:
    assert clarion(*(str(folder) if each == "DIR" else each for each in arguments)).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [("test",), ("show",), ("preview", "order"), ("explain", "--event", "-", "--customer", __file__)]
)
def test_a_folder_that_is_not_there_is_one_line(arguments: tuple[str, ...]) -> None:
    name, *rest = arguments
    found = clarion(name, "/nowhere", *rest)
    assert (found.exit_code, str(found.exception)) == (1, "/nowhere is not a folder")
    assert isinstance(found.exception, ClarionError)


# --- test ------------------------------------------------------------------------------------------


def test_tests_that_pass_are_dots_with_their_coverage(folder: Path) -> None:
    found = clarion("test", folder)
    assert (found.exit_code, found.stdout) == (
        0,
        """\
tests/outage_night.yaml  ....

rule            matched    sent    held  suppressed  ended otherwise
outage-opened         1       2       0           0                0
outage-updated    never
outage-over       never
order             never
nothing-else      never

4 passed, none failed in 1 file
coverage: 1 of 5 rules matched; never: outage-updated, outage-over, order, nothing-else
""",
    )


def test_a_failure_says_what_was_expected_what_came_and_why(folder: Path) -> None:
    put(folder, policy({"wrong": OUTAGE_NIGHT.replace("channels: [sms]}", "channels: [email]}")}))
    found = clarion("test", folder, "tests/wrong.yaml")
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert lines[0] == "tests/wrong.yaml  F..."
    assert lines[2:7] == [
        "FAILED tests/wrong.yaml:21  ana, event o1, rule outage-opened, at 0m",
        "  expected  SEND ALLOWED by email",
        "  got       SEND ALLOWED by sms at 0m (ana, o1, outage-opened)",
        "            SEND ALLOWED by email at 25m, step 1 (ana, o1, outage-opened)",
        (
            "  because   oms/o1  com.northwind.outage about INC-7 (opened)"
            "  accepted 2026-03-28 22:30:00.000 (virtual clock)"
        ),
    ]
    assert "              -> refused for good by sms 22:55:00.000" in lines
    assert "3 passed, 1 failed in 1 file" in lines


def test_a_failure_about_one_who_was_left_out_says_which_condition(folder: Path) -> None:
    text = written(
        """- {at: 0m, event: {id: a, source: s, type: com.northwind.outage, subject: I, lifecycle: opened,
             audience: {everyone: true}, data: {area: M, feeder: F-17, customers_affected: 1}}}""",
        "- {customer: ben, event: a, outcome: SEND}",
    )
    put(folder, policy({"left": text}))
    found = clarion("test", folder, folder / "tests" / "left.yaml")
    assert 'who: customer.attributes.feeder == data.feeder (customer.attributes.feeder is "F-12"' in found.stdout
    put(folder, policy({"left": text.replace("{everyone: true}", "{customers: [ana]}")}))
    found = clarion("test", folder, folder / "tests" / "left.yaml")
    assert "because   ben does not belong to the audience: the event is for ana" in found.stdout


def test_a_wrong_text_shows_the_real_one(folder: Path) -> None:
    put(folder, policy({"outage_night": OUTAGE_NIGHT.replace('INC-7"}', 'INC-8"}')}))
    lines = clarion("test", folder).stdout.splitlines()
    assert "  expected  text on sms: Power cut in Mitte. https://status.northwind.example/INC-8" in lines
    assert "  it says   Power cut in Mitte. https://status.northwind.example/INC-7" in lines


def test_a_fault_of_the_timeline_fails_the_file(folder: Path) -> None:
    put(
        folder,
        policy({"outage_night": OUTAGE_NIGHT.replace("channel: sms, outcome: REJ", "channel: push, outcome: REJ")}),
    )
    found = clarion("test", folder)
    assert found.exit_code == 1
    assert "FAILED tests/outage_night.yaml:18  no message about o1 has gone to ana by push until then" in found.stdout


def test_results_for_programs(folder: Path, tmp_path: Path) -> None:
    put(folder, policy({"outage_night": OUTAGE_NIGHT.replace("reason: ALLOWED", "reason: CLOSURE")}))
    found = clarion("test", folder, "--json", "--junit", tmp_path / "junit.xml")
    assert found.exit_code == 1
    facts = json.loads(found.stdout)
    assert (facts["tenant"], facts["passed"], facts["never"][0]) == ("northwind", False, "outage-updated")
    (file,) = facts["files"]
    failed = file["expectations"][0]
    assert (failed["line"], failed["passed"], failed["expected"]) == (21, False, "SEND CLOSURE by sms")
    assert failed["instead"][0] == {
        "customer": "ana",
        "event": "oms/o1",
        "rule": "outage-opened",
        "at": "2026-03-28T21:30:00Z",
        "outcome": "SEND",
        "reason": "ALLOWED",
        "channels": ["sms"],
        "verdicts": {"push": "NO_ADDRESS", "sms": "ALLOWED"},
        "step": 0,
        "revision": 0,
        "due": None,
        "next_free": [],
    }
    assert failed["because"].startswith("oms/o1  com.northwind.outage about INC-7 (opened)")
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("tests/outage_night.yaml", "4", "1")
    assert [case.get("name") for case in suite][:2] == [
        "line 21: ana, event o1, rule outage-opened, at 0m",
        "line 22: ana, event o1, at 25m",
    ]
    assert [len(case) for case in suite] == [1, 0, 0, 0]
    assert suite[0][0].get("message") == "expected SEND CLOSURE by sms"


@pytest.mark.parametrize(
    ("changed", "arguments", "says"),
    [
        ({"tests/outage_night.yaml": "start: now\n"}, (), "tests/outage_night.yaml:1:8: start: this is not an instant"),
        ({"caps.yaml": "caps: 5\n"}, (), "caps.yaml:1:7: caps: must be a list"),
        ({}, ("tests/other.yaml",), "tests/other.yaml is no test of "),
        ({}, ("caps.yaml",), "caps.yaml is no test of "),
    ],
)
def test_what_cannot_be_run_says_why(
    folder: Path, changed: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    put(folder, Bundle({path: text.encode() for path, text in changed.items()}))
    found = clarion("test", folder, *arguments)
    assert found.exit_code == 1
    assert isinstance(found.exception, ClarionError)
    assert says in str(found.exception)


def test_a_policy_without_tests_says_so(tmp_path: Path) -> None:
    found = clarion("test", put(tmp_path, policy()))
    assert str(found.exception) == f"{tmp_path} has no tests: write tests/NAME.yaml"


# --- explain ---------------------------------------------------------------------------------------


def test_explain_tells_the_story_to_its_end_and_the_messages(folder: Path, tmp_path: Path) -> None:
    ana = written_to(tmp_path / "ana.json", ANA)
    found = clarion("explain", folder, "--event", "-", "--customer", ana, "--at", AT, stdin=json.dumps(ORDER))
    assert found.exit_code == 0, found.stdout
    lines = found.stdout.splitlines()
    assert lines[0] == "shop/4711  com.northwind.order  accepted 2026-01-15 23:00:00.000 (virtual clock)"
    assert any(line.startswith("  -> HOLD QUIET_HOURS until 2026-01-16 07:00:00") for line in lines)
    assert any(line.startswith("  -> SEND by sms (ALLOWED), decided 2026-01-16 07:00:00.000") for line in lines)
    assert "\n".join(lines[lines.index("sms, order (sent):") :]) == (
        "sms, order (sent):\n  Order A. News of your order A.\n\n"
        "email, order (not sent):\n  Order A\n\n  News of your order A."
    )


def test_explain_says_what_left_a_customer_out(folder: Path, tmp_path: Path) -> None:
    event, ana = written_to(tmp_path / "event.json", EVENT), written_to(tmp_path / "ana.json", ANA)
    found = clarion("explain", folder, "--event", event, "--customer", ana, "--at", AT)
    assert "who: customer.attributes.feeder == data.feeder (customer.attributes.feeder is absent" in found.stdout
    assert "no record is kept of this: the event's audience finds customers, it does not name them" in found.stdout
    others = written_to(tmp_path / "others.json", {**ORDER, "audience": {"customers": ["ben"]}})
    found = clarion("explain", folder, "--event", others, "--customer", ana, "--at", AT)
    assert "not decided for ana: the event is for ben" in found.stdout


def test_explain_of_an_event_that_is_refused_fails(folder: Path, tmp_path: Path) -> None:
    event = written_to(tmp_path / "event.json", {**ORDER, "data": {}})
    found = clarion("explain", folder, "--event", event, "--customer", written_to(tmp_path / "ana.json", ANA))
    assert found.exit_code == 1
    assert "INVALID_DATA" in found.stdout


def test_explain_takes_one_event(folder: Path, tmp_path: Path) -> None:
    ana, lines = written_to(tmp_path / "ana.json", ANA), f"{json.dumps(ORDER)}\n{json.dumps(EVENT)}\n"
    found = clarion("explain", folder, "--event", "-", "--customer", ana, stdin=lines)
    assert (found.exit_code, str(found.exception)) == (1, "stdin: one event, please: this has 2 lines of JSON")
    spread = json.dumps({"id": "a", **ORDER}, indent=2)
    assert clarion("explain", folder, "--event", "-", "--customer", ana, "--at", AT, stdin=spread).exit_code == 0


def test_explain_for_a_customer_whom_the_event_does_not_name_tells_of_every_rule(folder: Path, tmp_path: Path) -> None:
    rules = (folder / "rules/20-orders.yaml").read_text(encoding="utf-8")
    both = rules.replace("template", "continue: true\n    template") + rules.removeprefix("rules:\n")
    (folder / "rules/20-orders.yaml").write_text(both.replace("name: order", "name: too", 1), encoding="utf-8")
    event = written_to(tmp_path / "event.json", {**ORDER, "audience": {"customers": ["ben"]}})
    ana = written_to(tmp_path / "ana.json", ANA)
    noon = "2026-01-15T12:00:00+01:00"
    found = clarion("explain", folder, "--event", event, "--customer", ana, "--at", noon, "--json")
    facts = json.loads(found.stdout)
    assert [(each["rule"], each["outcome"]) for each in facts["decisions"]] == [("too", "SEND"), ("order", "SEND")]
    assert "not decided for ana: the event is for ben" in facts["note"]


def test_explain_gives_the_facts(folder: Path, tmp_path: Path) -> None:
    event = written_to(tmp_path / "event.json", {**ORDER, "time": AT})
    ana = written_to(tmp_path / "ana.json", ANA)
    facts = json.loads(clarion("explain", folder, "--event", event, "--customer", ana, "--json").stdout)
    assert [(each["outcome"], each["reason"]) for each in facts["decisions"]] == [
        ("HOLD", "QUIET_HOURS"),
        ("SEND", "ALLOWED"),
    ]
    assert facts["decisions"][0]["decided"] == 1_768_514_400_000_000
    assert [(each["channel"], each["used"]) for each in facts["messages"]] == [("sms", True), ("email", False)]


@pytest.mark.parametrize(
    ("event", "customer", "at", "says"),
    [
        ({**ORDER, "type": "x"}, ANA, AT, "event.json:1:42: type: unknown event type 'x'"),
        ({**ORDER, "typ": "x"}, ANA, AT, "unknown key 'typ' (did you mean 'type'?)"),
        (ORDER, {"addresses": {}}, AT, "ana.json:1:1: 'customer' is missing"),
        (ORDER, {**ANA, "local": "de"}, AT, "local: is not a key of a profile (did you mean 'locale'?)"),
        (ORDER, ANA, "noon", "--at: this is not an instant such as"),
        ({**ORDER, "time": "noon"}, ANA, "", "time: this is not an instant such as"),
    ],
)
def test_explain_names_what_is_wrong_with_its_files(
    folder: Path, tmp_path: Path, event: object, customer: object, at: str, says: str
) -> None:
    files = written_to(tmp_path / "event.json", event), written_to(tmp_path / "ana.json", customer)
    when = ["--at", at] if at else []
    found = clarion("explain", folder, "--event", files[0], "--customer", files[1], *when)
    assert found.exit_code == 1
    assert isinstance(found.exception, ClarionError)
    assert says in str(found.exception)


# --- preview ---------------------------------------------------------------------------------------


def test_preview_makes_data_up_for_each_channel_of_the_rules(folder: Path) -> None:
    found = clarion("preview", folder, "order")
    assert (found.exit_code, found.stdout) == (
        0,
        """\
order, en, sms (com.northwind.order)
  Order order. News of your order order.

order, en, email (com.northwind.order)
  Order order

  News of your order order.

order, en, sms (com.northwind.order, only what is required)
  Order x. News of your order x.

order, en, email (com.northwind.order, only what is required)
  Order x

  News of your order x.
""",
    )


def test_preview_of_the_digest_has_a_message_of_each_rule_that_may_get_into_one(folder: Path) -> None:
    put(folder, policy({}, **DIGEST))
    found = clarion("preview", folder, "digest", "--channel", "email")
    assert found.stdout.splitlines()[1] == "  1 messages"
    assert "  Order order" in found.stdout
    assert "Power cut" not in found.stdout


def test_preview_takes_channels_locales_data_and_events(folder: Path, tmp_path: Path) -> None:
    data = written_to(tmp_path / "data.json", {"order": "4711"})
    found = clarion("preview", folder, "order", "--channel", "push", "--locale", "de", "--data", data, "--json")
    assert json.loads(found.stdout) == [
        {
            "template": "order",
            "type": "com.northwind.order",
            "least": False,
            "locale": "de",
            "channel": "push",
            "wording": "en",
            "headline": "Order 4711",
            "text": "Order 4711. News of your order 4711.",
            "why_not": "",
        }
    ]
    event = written_to(tmp_path / "event.json", EVENT)
    found = clarion("preview", folder, "outage", "--channel", "sms", "--event", event)
    assert found.stdout.splitlines()[1] == "  Power cut in Mitte. https://status.northwind.example/INC-7"


def test_preview_of_data_that_lacks_something_fails(folder: Path) -> None:
    found = clarion("preview", folder, "order", "--channel", "sms", "--data", "-", stdin="{}")
    assert (found.exit_code, str(found.exception)) == (1, "stdin: data: 'order' is missing (com.northwind.order)")


def test_preview_of_an_event_whose_data_breaks_the_schema_names_the_field(folder: Path) -> None:
    data = {"area": "Mitte", "feeder": "F-17", "customers_affected": "many"}
    wrong = json.dumps({**EVENT, "data": data})
    found = clarion("preview", folder, "outage", "--event", "-", stdin=wrong)
    expected = "stdin: data.customers_affected: must be integer (com.northwind.outage)"
    assert (found.exit_code, str(found.exception)) == (1, expected)


def test_preview_says_whose_wording_stands_in(folder: Path) -> None:
    found = clarion("preview", folder, "order", "--channel", "sms", "--locale", "fr")
    says = "order, fr (no wording of its own: that of en), sms (com.northwind.order)"
    assert found.stdout.splitlines()[0] == says


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ordr",), "the policy has no template 'ordr' (did you mean 'order'?)"),
        (("order", "--channel", "fax"), "'fax' is not one of push, sms"),
        (("order", "--locale", "klingon"), "'klingon' is not a locale"),
    ],
)
def test_preview_names_what_it_does_not_know(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    found = clarion("preview", folder, *arguments)
    assert found.exit_code == 1
    assert says in str(found.exception)


# --- show ------------------------------------------------------------------------------------------


def test_show_tells_every_part_of_a_policy(folder: Path) -> None:
    lines = clarion("show", folder).stdout.splitlines()
    for line in (
        "  quiet hours 22:00 to 07:00 on sms and push: messages wait for the end",
        '  outage "Power cuts": instant; required: nobody can switch it off',
        (
            "  sms-a-day: at most 3 of channel sms within 24h for each customer and channel;"
            " what is over it takes the next channel; critical passes and counts"
        ),
        "  2. outage-updated (rules/10-outages.yaml:11)",
        "     to customers with customer.attributes.feeder == data.feeder",
        "     class informational, category outage, template outage, the first of push and email",
        "     updates only if data.cause != previous.cause",
        "     makes no message",
        "  outage: en",
    ):
        assert line in lines


def test_show_tells_every_special_of_a_rule(folder: Path) -> None:
    special = """\
rules:
  - name: order
    on: com.northwind.order
    category: order
    class: transactional
    channels: {all: [sms, email], order: fixed}
    template: order
    segment: gold
    once: data.order
    once_window: 7d
    rollout: {percent: 25}
    holdout: {percent: 5}
    announce_always: true
    continue: true
"""
    tenant = (folder / "clarion.yaml").read_text() + (
        "segments: {gold: 'customer.attributes.contract == \"gold\"'}\n"
        'locks: [{category: offers, channel: sms, reason: "regulator"}]\n'
    )
    put(folder, Bundle({"rules/20-orders.yaml": special.encode(), "clarion.yaml": tenant.encode()}))
    found = clarion("show", folder)
    assert found.exit_code == 0, found.exception
    for line in (
        "     to the segment gold",
        "all of sms and email, in this order",
        "     once for each data.order within 7d",
        "     only for 25 % of the customers (rollout)",
        "     never for 5 % of the customers (holdout)",
        "     tells the end also to those who were never told",
        "     the rules after it are tried too",
        "  gold: customer.attributes.contract",
        "  offers never goes by sms: regulator",
    ):
        assert line in found.stdout


def test_show_gives_the_facts_as_they_are_written(folder: Path) -> None:
    facts = json.loads(clarion("show", folder, "--json").stdout)
    assert facts["rules"][3] == {
        "name": "order",
        "place": "rules/20-orders.yaml:2",
        "on": "com.northwind.order",
        "category": "order",
        "class": "transactional",
        "channels": {"first": ["sms", "email"]},
        "template": "order",
        "expires_after": "48h",
    }
    assert facts["templates"]["order"]["en"]["headline"] == "Order {{ data.order }}"


# --- diff ------------------------------------------------------------------------------------------


def test_a_policy_does_not_differ_from_itself(folder: Path) -> None:
    found = clarion("diff", folder, folder)
    assert (found.exit_code, found.stdout) == (
        0,
        "the policies say the same\n\n1 test timeline under both policies: every decision is the same\n",
    )


def test_diff_says_what_is_written_and_what_is_decided_otherwise(folder: Path, tmp_path: Path) -> None:
    rules = (
        (folder / "rules" / "10-outages.yaml").read_text().replace("first: [sms, push, email]", "first: [push, email]")
    )
    caps = (
        "caps:\n"
        "  - {name: all-a-day, per: customer, limit: 5, window: 24h, over: defer, max_hold: 24h, exempt: [critical]}\n"
        "  - {name: mail, per: channel, where: {channel: email}, limit: 9, window: 24h, over: drop}\n"
    )
    changes = {
        "rules/10-outages.yaml": rules,
        "caps.yaml": caps,
        "templates/order/de.yaml": 'headline: "Bestellung {{ data.order }}"\nwhat: "Neues."\n',
    }
    other = put(tmp_path / "other", policy({}, **changes))
    found = clarion("diff", folder, other)
    assert found.exit_code == 1
    assert (
        found.stdout
        == """\
cap sms-a-day removed
cap all-a-day limit: 6 -> 5
cap mail added
rule outage-opened channels.first: ["sms","push","email"] -> ["push","email"]
template order/de added

1 test timeline under both policies: 2 decisions are different
  tests/outage_night.yaml  ana, oms/o1, outage-opened, at 0m: SEND ALLOWED by sms -> SEND ALLOWED by email
  tests/outage_night.yaml  ana, oms/o1, outage-opened, at 25m: SEND ALLOWED by email -> no decision
"""
    )
    facts = json.loads(clarion("diff", folder, other, "--json").stdout)
    assert (facts["differs"], len(facts["changes"]), facts["decisions"][1]["after"]) == (True, 5, "")


def test_diff_tells_when_only_the_time_is_another(folder: Path, tmp_path: Path) -> None:
    night = written(
        f"- {{at: 0m, event: {{id: a, source: s, {A_ORDER}, audience: {{customers: [ana]}}}}}}",
        "- {customer: ana}",
        start="23:00",
    )
    other = put(tmp_path / "other", policy({"night": night}))
    tenant = (other / "clarion.yaml").read_text().replace('end: "07:00"', 'end: "08:00"')
    put(other, Bundle({"clarion.yaml": tenant.encode()}))
    lines = clarion("diff", folder, other).stdout.splitlines()
    whose = "  tests/night.yaml  ana, s/a, order"
    assert lines[0] == "defaults quiet_hours.end: 07:00 -> 08:00"
    assert lines[2:] == [
        "2 test timelines under both policies: 2 decisions are different",
        f"{whose}, at 0m: HOLD QUIET_HOURS until 8h -> HOLD QUIET_HOURS until 9h",
        f"{whose}, at 8h: SEND ALLOWED by sms -> SEND ALLOWED by sms at 9h",
    ]


def test_diff_tells_of_order(folder: Path, tmp_path: Path) -> None:
    orders = (folder / "rules" / "20-orders.yaml").read_text()
    other = put(
        tmp_path / "other", policy({}, **{"rules/05-orders.yaml": orders, "rules/20-orders.yaml": "rules: []\n"})
    )
    (moved, *rest) = clarion("diff", folder, other).stdout.splitlines()
    assert moved == "rule order moved: it came after outage-over, now it comes first"
    assert rest[0] == ""


def test_diff_under_a_policy_that_is_not_right_is_an_error(folder: Path, tmp_path: Path) -> None:
    wrong = put(tmp_path / "wrong", policy({}, **{"caps.yaml": "caps: 5\n"}))
    found = clarion("diff", folder, wrong)
    assert found.exit_code == 1
    assert "caps.yaml:1:7: caps: must be a list" in str(found.exception)


def test_an_error_is_one_line_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["clarion", "policy", "show", "/nowhere"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr()) == (1, ("", "clarion: /nowhere is not a folder\n"))
