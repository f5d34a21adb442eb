"""From files to the value of the core; warnings; the example policy."""

from pathlib import Path

import pytest

from services.policy.bundle import Bundle, read_folder
from services.policy.check import check, render
from services.policy.compile import compile_policy
from services.router.decision.model import (
    DAY,
    HOUR,
    MINUTE,
    Cap,
    Category,
    Defaults,
    DigestTimes,
    Lock,
    MessageClass,
    Over,
    Per,
    Plan,
    Preference,
    QuietPolicy,
    QuietTimes,
    Share,
    Value,
    Walk,
    Window,
)
from tests.support import policies

EXAMPLE = Path(__file__).parents[3] / "deploy" / "policy"


def test_the_files_become_one_value() -> None:
    policy = compile_policy(policies.whole())
    assert policy.tenant == "acme"
    assert policy.hash == policies.whole().hash
    assert policy.defaults == Defaults(
        locale="en",
        timezone="Europe/Berlin",
        channels=("email",),
        quiet_hours=QuietPolicy(QuietTimes(Window(1320, 420)), ("sms",), Over.HOLD, 0),
        dedup_window=24 * HOUR,
    )
    assert policy.categories == {
        "order": Category("order", "Orders", Value.INSTANT),
        "news": Category("news", "News", Value.OFF),
    }
    assert policy.locks == (Lock("news", "sms", "regulator"),)
    assert policy.caps == (
        Cap("mail-a-day", Per.CHANNEL, 3, 24 * HOUR, Over.DROP, where_channel="email", max_hold=24 * HOUR),
        Cap(
            "all-a-day",
            Per.CUSTOMER,
            6,
            24 * HOUR,
            Over.DEFER,
            reserve=((MessageClass.TRANSACTIONAL, 2),),
            max_hold=24 * HOUR,
        ),
    )
    assert [rule.name for rule in policy.rules] == ["order-news", "news", "nothing-else"]
    assert policy.walks == {"acme.order": Walk(policy.rules)}


def test_a_rule_has_all_that_its_keys_say() -> None:
    rule, other, last = compile_policy(policies.whole()).rules
    assert (rule.place, rule.on, rule.category, rule.template) == (
        "rules/10.yaml:2",
        ("acme.order",),
        "order",
        "order",
    )
    assert (rule.message_class, rule.plan) == (MessageClass.INFORMATIONAL, Plan(("email",)))
    assert (rule.expires_after, other.expires_after) == (4 * HOUR, 72 * HOUR)
    assert rule.respects_quiet_hours
    assert rule.when is not None
    assert rule.when.source == 'event.lifecycle != "point" && data.count >= 1'
    assert rule.who is not None
    assert rule.material is not None
    assert last.ignore
    assert last.on == ("*",)


def test_every_key_reaches_the_value() -> None:
    files = dict(policies.FILES)
    files["clarion.yaml"] = """\
tenant: acme
defaults:
  quiet_hours: {days: {sun: {start: "20:00", end: "09:30"}}, channels: [sms], over: reroute, release_spread: 15m}
  preferences: {channel: {gateway: off}, category: {news: instant}}
  dedup_window: 2d
  digest: {every: 1d, at: "18:30"}
segments: {golden: 'customer.attributes.plan == "gold"'}
attributes: {plan: string, since: date}
"""
    files["caps.yaml"] = (
        "caps:\n  - {name: one, per: subject, where: {category: order, class: critical, rule: news, channel: sms},"
        " limit: 2, window: 90s, over: defer, max_hold: 15m, exempt: [critical, marketing], reserve: {critical: 1}}\n"
    )
    files["rules/10.yaml"] = files["rules/10.yaml"].replace(
        "channels: {first: [ email ]}",
        "channels: {all: [email], order: fixed}\n    quiet_hours: ignore\n    continue: true\n    segment: golden"
        "\n    rollout: {percent: 12.5, salt: s1}\n    holdout: {percent: 1}\n    once: data.order"
        "\n    once_window: 30d\n    announce_transient: true\n    announce_always: true",
    )
    policy = compile_policy(Bundle({name: text.encode() for name, text in files.items()}))
    sunday = QuietTimes(None, (None,) * 6 + (Window(1200, 570),))
    assert policy.defaults == Defaults(
        quiet_hours=QuietPolicy(sunday, ("sms",), Over.REROUTE, 15 * MINUTE),
        preferences=(Preference("", "gateway", Value.OFF), Preference("news", "", Value.INSTANT)),
        dedup_window=48 * HOUR,
        digest=DigestTimes(DAY, 18 * 60 + 30),
    )
    assert policy.memory == 30 * DAY
    assert policy.caps == (
        Cap(
            name="one",
            per=Per.SUBJECT,
            limit=2,
            window=90 * 1_000_000,
            over=Over.DEFER,
            where_channel="sms",
            where_category="order",
            where_class=MessageClass.CRITICAL,
            where_rule="news",
            exempt=frozenset({MessageClass.CRITICAL, MessageClass.MARKETING}),
            reserve=((MessageClass.CRITICAL, 1),),
            max_hold=15 * MINUTE,
        ),
    )
    news = policy.rules[1]
    assert news.plan == Plan(("email",), all=True, fixed=True)
    assert news.go_on
    assert not news.respects_quiet_hours
    assert (news.rollout, news.holdout) == (Share(1250, "s1"), Share(100, "holdout|news"))
    assert (news.once_window, news.announce_transient, news.announce_always) == (30 * DAY, True, True)
    assert news.segment is not None
    assert news.once is not None
    assert (news.segment.source, news.once.source) == ('customer.attributes.plan == "gold"', "data.order")
    assert policy.rules_by_name == {"order-news": policy.rules[0], "news": news}


def test_event_types_check_their_data() -> None:
    kind = compile_policy(policies.whole()).event_types["acme.order"]
    assert kind.lifecycle
    assert kind.check({"order": "A1", "count": 1}) == ()
    assert kind.check({"order": "A1"}) == (("data", "'count' is missing"),)


def test_rules_run_in_the_order_of_file_names() -> None:
    bundle = policies.with_file(
        "rules/05.yaml",
        "rules:\n  - {name: early, on: acme.order, when: data.count > 5, category: news, class: marketing,"
        " channels: {first: email}, template: order}\n",
    )
    assert [rule.name for rule in compile_policy(bundle).rules] == ["early", "order-news", "news", "nothing-else"]


RULES = policies.FILES["rules/10.yaml"]


def warnings(bundle: Bundle) -> list[str]:
    report = check(bundle)
    assert report.mistakes == ()
    return [str(warning) for warning in report.warnings]


def test_a_rule_behind_one_that_takes_everything_is_warned_of() -> None:
    rules = policies.FILES["rules/10.yaml"]
    late = (
        "  - {name: late, on: acme.order, category: news, class: marketing, channels: {first: email}, template: order}"
    )
    late += "\n"
    bundle = policies.with_file("rules/10.yaml", rules.replace("  - name: nothing", late + "  - name: nothing"))
    expected = (
        "rules/10.yaml:19:5: rules[2]: rule late can never match: rule news (line 13 of 10.yaml) takes all its events"
    )
    assert warnings(bundle) == [expected]
    open_ended = rules.replace("    class: marketing", "    continue: true\n    class: marketing")
    assert (
        warnings(
            policies.with_file("rules/10.yaml", open_ended.replace("  - name: nothing", late + "  - name: nothing"))
        )
        == []
    )


def test_a_rule_that_asks_for_the_same_as_one_before_it_is_warned_of() -> None:
    news = RULES[RULES.index("  - name: news") : RULES.index("  - name: nothing")]
    when = "    when: data.count > 3\n    category: news"
    late = news.replace("name: news", "name: late").replace("    category: news", when.replace("> 3", ">  3"))
    news = news.replace("    category: news", when)
    rules = RULES[: RULES.index("  - name: news")] + news + late + RULES[RULES.index("  - name: nothing") :]
    assert warnings(policies.with_file("rules/10.yaml", rules)) == [
        (
            "rules/10.yaml:22:11: rules[2].when: rule late can never match: rule news (line 13 of 10.yaml) has the same"
            " 'on' and 'when'"
        )
    ]
    others = [
        rules.replace("data.count > 3", "data.count > 4", 1),
        rules.replace("    when: data.count > 3", "    continue: true\n    when: data.count > 3", 1),
    ]
    assert [warnings(policies.with_file("rules/10.yaml", each)) for each in others] == [[], []]


def test_a_rule_that_asks_for_a_lifecycle_its_type_has_not_is_warned_of() -> None:
    never = policies.changed("events/order.yaml", "lifecycle: true\n", "")
    assert warnings(never) == [
        (
            "rules/10.yaml:5:11: rules[0].when: rule order-news can never match: acme.order has no `lifecycle: true`,"
            " so all is 'point'"
        )
    ]
    rules = RULES.replace('event.lifecycle != "point"', 'event.lifecycle in ["point", "opened"]').encode()
    assert warnings(Bundle({**never.files, "rules/10.yaml": rules})) == []


def test_a_beginning_without_an_end_is_warned_of() -> None:
    rules = policies.FILES["rules/10.yaml"].replace('event.lifecycle != "point"', 'event.lifecycle == "opened"')
    assert warnings(policies.with_file("rules/10.yaml", rules)) == []
    open_only = rules.replace(
        "on: acme.order\n    category: news", 'on: acme.order\n    when: event.lifecycle == "point"\n    category: news'
    )
    assert warnings(policies.with_file("rules/10.yaml", open_only)) == [
        "rules/10.yaml:2:5: rules[0]: rule order-news tells that acme.order began, but no rule tells that it is over"
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        (
            "clarion.yaml",
            "channels: [sms]}",
            "channels: [sms, email]}",
            (
                "rules/10.yaml:12:20: rules[0].expires_after: rule order-news expires before quiet hours end: what"
                " comes at their beginning is never sent (they last up to 9 h)"
            ),
        ),
        (
            "caps.yaml",
            "caps:",
            "caps:\n  - {name: texts, per: channel, where: {channel: sms}, limit: 3, window: 24h, over: drop}",
            "caps.yaml:2:5: caps[0]: no rule makes a message that the cap texts counts",
        ),
        (
            "categories.yaml",
            'title: "Orders", default: instant',
            'title: "Orders", default: instant, required: true',
            None,
        ),
    ],
)
def test_what_probably_is_not_meant_is_warned_of(path: str, old: str, new: str, expected: str | None) -> None:
    assert warnings(policies.changed(path, old, new)) == ([expected] if expected else [])


def test_a_required_category_that_nobody_can_hear_is_warned_of() -> None:
    files = {name: text.encode() for name, text in policies.FILES.items()}
    files["categories.yaml"] = files["categories.yaml"].replace(b"instant}", b"instant, required: true}")
    files["rules/10.yaml"] = RULES.replace("first: [email]", "first: [gateway]").encode()
    (warning,) = warnings(Bundle(files))
    assert warning == (
        "categories.yaml:2:3: categories.order: the category 'order' is required, and its rules use none of the"
        " channels that customers have (email)"
    )


def test_what_nothing_uses_is_warned_of() -> None:
    assert warnings(policies.with_file("templates/spare/en.yaml", "headline: x\nwhat: '{{ data.anything }}'\n")) == [
        "templates/spare/en.yaml:1:1: no rule uses the template 'spare'"
    ]
    assert warnings(
        policies.changed("categories.yaml", "categories:", "categories:\n  more: {title: M, default: off}")
    ) == ["categories.yaml:2:3: categories.more: no rule has the category 'more'"]


@pytest.mark.parametrize("name", ["clarion.yaml", "rules/10-outages.yaml", "templates/offer/de.yaml"])
def test_the_example_policy_is_clean_and_can_be_broken(name: str) -> None:
    bundle = read_folder(EXAMPLE)
    assert render(check(bundle), bundle) == f"no mistakes, no warnings in {len(bundle.files)} files\n"
    assert compile_policy(bundle).hash == compile_policy(Bundle(dict(sorted(bundle.files.items(), reverse=True)))).hash
    broken = Bundle({**bundle.files, name: bundle.files[name] + b"\nnonsense: 1\n"})
    assert check(broken).mistakes
