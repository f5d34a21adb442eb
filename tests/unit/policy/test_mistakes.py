"""Each mistake of a policy, with its exact place and words."""

# ruff: noqa: E501 - the table holds what the check says, unbroken

import pytest

from services.policy.bundle import Bundle
from services.policy.check import check, render
from services.policy.compile import PolicyError, compile_policy
from tests.support import policies

# file, what stands there, what is written instead, what the check says
TABLE = [
    (
        "clarion.yaml",
        "tenant: acme",
        "tenat: acme",
        [
            "clarion.yaml:1:1: tenat: unknown key 'tenat' (did you mean 'tenant'?)",
        ],
    ),
    (
        "clarion.yaml",
        "locale: en",
        "locale: english",
        ["clarion.yaml:3:11: defaults.locale: 'english' is not a locale such as de or de-AT"],
    ),
    (
        "clarion.yaml",
        "Europe/Berlin",
        "Europe/Berlyn",
        ["clarion.yaml:4:13: defaults.timezone: 'Europe/Berlyn' is not a time zone (did you mean 'Europe/Berlin'?)"],
    ),
    (
        "clarion.yaml",
        "[email]",
        "[emial]",
        [
            "clarion.yaml:5:14: defaults.channels[0]: 'emial' is not one of push, sms, email, chat, webhook, inbox, gateway (did you mean 'email'?)"
        ],
    ),
    (
        "clarion.yaml",
        'end: "07:00"',
        'end: "22:00"',
        ["clarion.yaml:6:38: defaults.quiet_hours.end: start and end are the same"],
    ),
    (
        "clarion.yaml",
        'start: "22:00"',
        "start: 22",
        [
            'clarion.yaml:6:24: defaults.quiet_hours.start: must be text, not a number (times of day are quoted: "22:00")'
        ],
    ),
    (
        "clarion.yaml",
        'start: "22:00"',
        'start: "25:00"',
        ["clarion.yaml:6:24: defaults.quiet_hours.start: '25:00' is not a time of day such as \"22:00\""],
    ),
    (
        "clarion.yaml",
        "over: hold",
        "over: defer",
        ["clarion.yaml:6:53: defaults.quiet_hours.over: 'defer' is not one of hold, reroute, drop"],
    ),
    (
        "clarion.yaml",
        "category: news",
        "category: nwes",
        ["clarion.yaml:9:16: locks[0].category: unknown category 'nwes' (did you mean 'news'?)"],
    ),
    (
        "clarion.yaml",
        "since: date",
        "since: dat",
        [
            "clarion.yaml:7:35: attributes.since: 'dat' is not one of string, int, number, bool, date, timestamp (did you mean 'date'?)"
        ],
    ),
    (
        "clarion.yaml",
        "tenant: acme",
        "tenant: acme\nsegments: {gold: 'customer.attributes.paln == null'}",
        [
            "clarion.yaml:2:19: segments.gold: undefined field 'paln' in customer.attributes (did you mean 'plan'?)",
        ],
    ),
    (
        "clarion.yaml",
        "tenant: acme",
        "tenant: acme\ntenant: acme2",
        ["clarion.yaml:2:1: tenant: the key 'tenant' stands here twice (first on line 1)"],
    ),
    (
        "clarion.yaml",
        "  channels: [email]",
        "  channels: [email]\n  digest: {every: 2d}",
        ["clarion.yaml:6:19: defaults.digest.every: '2d' is not one of 1d, 1h"],
    ),
    (
        "categories.yaml",
        "default: off",
        "default: digest",
        ["categories.yaml:3:34: categories.news.default: 'digest' needs the template 'digest'"],
    ),
    (
        "categories.yaml",
        "default: off",
        "default: of",
        [
            "categories.yaml:3:34: categories.news.default: 'of' is not one of instant, digest, off (did you mean 'off'?)"
        ],
    ),
    ("categories.yaml", 'title: "News", ', "", ["categories.yaml:3:3: categories.news: 'title' is missing"]),
    ("caps.yaml", "limit: 3", "limit: 0", ["caps.yaml:2:70: caps[0].limit: must be at least 1"]),
    ("caps.yaml", "limit: 3", "limit: three", ["caps.yaml:2:70: caps[0].limit: must be a whole number, not text"]),
    (
        "caps.yaml",
        "over: drop",
        "over: rerout",
        ["caps.yaml:2:92: caps[0].over: 'rerout' is not one of drop, defer, reroute, digest (did you mean 'reroute'?)"],
    ),
    ("caps.yaml", "over: drop", "over: digest", ["caps.yaml:2:92: caps[0].over: 'digest' needs the template 'digest'"]),
    (
        "caps.yaml",
        "over: defer",
        "over: reroute",
        ["caps.yaml:3:67: caps[1].over: 'reroute' needs a cap whose 'per' or 'where' names channel"],
    ),
    (
        "caps.yaml",
        "transactional: 2",
        "transactional: 6",
        ["caps.yaml:3:83: caps[1].reserve: the reserves add up to 6, not less than the limit 6"],
    ),
    (
        "caps.yaml",
        "name: all-a-day",
        "name: mail-a-day",
        ["caps.yaml:3:12: caps[1].name: the cap name 'mail-a-day' is used twice"],
    ),
    (
        "caps.yaml",
        "24h, over: drop",
        "24 h, over: drop",
        ["caps.yaml:2:81: caps[0].window: '24 h' is not a duration such as 90s, 15m, 4h or 7d"],
    ),
    (
        "caps.yaml",
        "where: {channel: email}",
        "where: {category: ordr}",
        ["caps.yaml:2:56: caps[0].where.category: unknown category 'ordr' (did you mean 'order'?)"],
    ),
    (
        "caps.yaml",
        "where: {channel: email}",
        "where: {rule: order-new}",
        ["caps.yaml:2:52: caps[0].where.rule: unknown rule 'order-new' (did you mean 'order-news'?)"],
    ),
    (
        "events/order.yaml",
        "type: integer",
        "type: integr",
        [
            "events/order.yaml:10:19: data.properties.count.type: 'integr' is not one of string, integer, number, boolean, object, array, null"
        ],
    ),
    ("events/order.yaml", "type: acme.order", "type: 7", ["events/order.yaml:1:7: type: must be text, not a number"]),
    (
        "events/order.yaml",
        "format: date-time",
        "format: datetime",
        ["events/order.yaml:11:36: data.properties.due_at.format: this format is not known"],
    ),
    (
        "events/order.yaml",
        "required: [order, count]",
        "required: [order, cuont]",
        [
            "events/order.yaml:7:21: data.required[1]: 'cuont' is not in 'properties' (did you mean 'count'?)",
        ],
    ),
    (
        "events/order.yaml",
        "required: [name]",
        "required: [nme]",
        [
            "events/order.yaml:13:59: data.properties.items.items.required[0]: 'nme' is not in 'properties' (did you mean 'name'?)",
        ],
    ),
    (
        "events/order.yaml",
        "note:",
        "no-te:",
        ["events/order.yaml:12:12: data.properties.no-te: the field name 'no-te' can't be used in expressions"],
    ),
    (
        "events/order.yaml",
        "{type: string}\n    count",
        "{$ref: 'https://x.example/y'}\n    count",
        ["events/order.yaml:9:19: data.properties.order.$ref: a reference stays inside the schema (#/$defs/...)"],
    ),
    (
        "rules/10.yaml",
        "on: acme.order\n    when",
        "on: acme.ordr\n    when",
        ["rules/10.yaml:4:9: rules[0].on: unknown event type 'acme.ordr' (did you mean 'acme.order'?)"],
    ),
    (
        "rules/10.yaml",
        "category: order",
        "category: ordr",
        ["rules/10.yaml:7:15: rules[0].category: unknown category 'ordr' (did you mean 'order'?)"],
    ),
    (
        "rules/10.yaml",
        "template: order\n    material",
        "template: oder\n    material",
        ["rules/10.yaml:10:15: rules[0].template: unknown template 'oder' (did you mean 'order'?)"],
    ),
    (
        "rules/10.yaml",
        "class: informational",
        "class: urgent",
        [
            "rules/10.yaml:8:12: rules[0].class: 'urgent' is not one of critical, transactional, informational, marketing"
        ],
    ),
    (
        "rules/10.yaml",
        "first: [ email ]",
        "first: [email, email]",
        ["rules/10.yaml:17:31: rules[1].channels.first[1]: the channel 'email' is named twice"],
    ),
    (
        "rules/10.yaml",
        "{first: [ email ]}",
        "{first: [email], all: [email]}",
        ["rules/10.yaml:17:15: rules[1].channels: needs one of 'first' and 'all'"],
    ),
    (
        "rules/10.yaml",
        "first: [ email ]",
        "first: [email, smss]",
        [
            "rules/10.yaml:17:31: rules[1].channels.first[1]: 'smss' is not one of push, sms, email, chat, webhook, inbox, gateway (did you mean 'sms'?)",
        ],
    ),
    (
        "rules/10.yaml",
        "    category: news\n",
        "",
        [
            "rules/10.yaml:13:5: rules[1]: 'category' is missing (a rule that sends names it; one that does not says ignore)"
        ],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 4h\n    once: data.order",
        ["rules/10.yaml:13:5: rules[0].once: 'once_window' is missing"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 4h\n    once: data.count\n    once_window: 1d",
        ["rules/10.yaml:13:11: rules[0].once: gives int, not text"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 4h\n    rollout: {percent: 300}",
        ["rules/10.yaml:13:24: rules[0].rollout.percent: must be from 0 to 100, with at most two decimals"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 4h\n    holdout: {percent: 0.125}",
        ["rules/10.yaml:13:24: rules[0].holdout.percent: must be from 0 to 100, with at most two decimals"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 4h\n    segment: gold",
        ["rules/10.yaml:13:14: rules[0].segment: unknown segment 'gold'"],
    ),
    (
        "rules/10.yaml",
        "{first: [ email ]}",
        "[push, email]",
        ["rules/10.yaml:17:15: rules[1].channels: must be written {first: [push, email]}, not as a list"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 4h\n    rollout: 20",
        ["rules/10.yaml:13:14: rules[0].rollout: must be written {percent: 20}, not as a number"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        "expires_after: 24",
        ["rules/10.yaml:12:20: rules[0].expires_after: must be a duration such as 24h, not a number"],
    ),
    (
        "caps.yaml",
        "24h, over: drop",
        "24, over: drop",
        ["caps.yaml:2:81: caps[0].window: must be a duration such as 24h, not a number"],
    ),
    (
        "templates/order/en.yaml",
        'action: {label: "See it", url: "https://acme.example/{{ data.order }}"}',
        'action: "https://acme.example/"',
        ['templates/order/en.yaml:4:9: action: must be written {label: "...", url: "https://..."}, not as text'],
    ),
    (
        "rules/10.yaml",
        "name: news",
        "name: order-news",
        ["rules/10.yaml:13:11: rules[1].name: the rule name 'order-news' is used twice"],
    ),
    (
        "rules/10.yaml",
        "ignore: true",
        "ignore: true\n    template: order",
        ["rules/10.yaml:22:5: rules[2].template: a rule that ignores has no 'template'"],
    ),
    (
        "rules/10.yaml",
        'on: "*"\n    ignore: true',
        "on: acme.order\n    ignore: true",
        ['rules/10.yaml:19:5: rules[2]: the last rule must be `on: "*"` with `ignore: true` and nothing else'],
    ),
    (
        "rules/10.yaml",
        "expires_after",
        "expires_afer",
        ["rules/10.yaml:12:5: rules[0].expires_afer: unknown key 'expires_afer' (did you mean 'expires_after'?)"],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        "data.cuont >= 1",
        ["rules/10.yaml:5:41: rules[0].when: undefined field 'cuont' in data (did you mean 'count'?)"],
    ),
    (
        "rules/10.yaml",
        "event.lifecycle",
        "event.lifecicle",
        ["rules/10.yaml:5:11: rules[0].when: undefined field 'lifecicle' in event (did you mean 'lifecycle'?)"],
    ),
    (
        "rules/10.yaml",
        '"point"',
        '"pont"',
        [
            "rules/10.yaml:5:30: rules[0].when: 'pont' is not one of point, opened, updated, resolved, cancelled (did you mean 'point'?)"
        ],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        'data.count >= "1"',
        ["rules/10.yaml:5:52: rules[0].when: '>=' can't take (int, string)"],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        "data.count",
        ["rules/10.yaml:5:38: rules[0].when: '&&' can't take (bool, int)"],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        'data.note = "a = b" and not data.count => 1 OR data.count <> 2',
        [
            "rules/10.yaml:5:51: rules[0].when: use == to compare",
            "rules/10.yaml:5:61: rules[0].when: use && for 'and'",
            "rules/10.yaml:5:65: rules[0].when: use ! for 'not'",
            "rules/10.yaml:5:80: rules[0].when: use >= for 'at least'",
            "rules/10.yaml:5:85: rules[0].when: use || for 'or'",
            "rules/10.yaml:5:99: rules[0].when: use != for 'is not'",
        ],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        "data.note == late",
        [
            "rules/10.yaml:5:54: rules[0].when: unknown name 'late': a text needs quotes of its own, '\"late\"'",
        ],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        "data.note == None",
        ["rules/10.yaml:5:54: rules[0].when: unknown name 'None' (did you mean 'null'?)"],
    ),
    (
        "rules/10.yaml",
        "expires_after: 4h",
        'expires_after: 4h\n    once: "survey"\n    once_window: 1d',
        ["rules/10.yaml:13:12: rules[0].once: unknown name 'survey': a text needs quotes of its own, '\"survey\"'"],
    ),
    (
        "rules/10.yaml",
        "data.count >= 1",
        "data.count >=",
        ["rules/10.yaml:5:53: rules[0].when: syntax error: unexpected end"],
    ),
    (
        "rules/10.yaml",
        "customer.attributes.plan",
        "customer.attributes.pln",
        ["rules/10.yaml:6:10: rules[0].who: undefined field 'pln' in customer.attributes (did you mean 'plan'?)"],
    ),
    (
        "rules/10.yaml",
        "customer.attributes.plan",
        "costumer.attributes.plan",
        ["rules/10.yaml:6:10: rules[0].who: unknown name 'costumer' (did you mean 'customer'?)"],
    ),
    (
        "rules/10.yaml",
        "data.due_at != previous.due_at",
        "data.due_at != previous.due",
        ["rules/10.yaml:11:30: rules[0].material: undefined field 'due' in previous (did you mean 'due_at'?)"],
    ),
    (
        "rules/10.yaml",
        'who: customer.attributes.plan == "gold"',
        'who: >-\n      customer.locale == "de" &&\n      customer.attributes.pln == "gold"',
        ["rules/10.yaml:8:7: rules[0].who: undefined field 'pln' in customer.attributes (did you mean 'plan'?)"],
    ),
    (
        "rules/10.yaml",
        'when: event.lifecycle != "point" && data.count >= 1',
        "when: 'event.lifecycle != \"point\" && data.note == ''a'' && data.nte == \"b\"'",
        ["rules/10.yaml:5:64: rules[0].when: undefined field 'nte' in data (did you mean 'note'?)"],
    ),
    (
        "rules/10.yaml",
        'when: event.lifecycle != "point" && data.count >= 1',
        'when: data.items.exists(x, x.nme == "a")',
        ["rules/10.yaml:5:32: rules[0].when: undefined field 'nme' in data.items[] (did you mean 'name'?)"],
    ),
    (
        "rules/10.yaml",
        'when: event.lifecycle != "point" && data.count >= 1',
        "when: data.items.exists(x, data.items.exists(y, x.name == y.name))",
        ["rules/10.yaml:5:11: rules[0].when: a loop inside a loop is not allowed"],
    ),
    (
        "rules/10.yaml",
        'when: event.lifecycle != "point" && data.count >= 1',
        "when: previous.count == 1",
        ["rules/10.yaml:5:11: rules[0].when: unknown name 'previous'"],
    ),
    (
        "templates/order/en.yaml",
        'data.order }}"\nwhat',
        'data.ordr }}"\nwhat',
        ["templates/order/en.yaml:1:21: headline: 'data.ordr' is not in events/order.yaml (did you mean 'order'?)"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "data.note",
        ["templates/order/en.yaml:2:11: what: 'data.note' may be absent: ask first, {% if data.note %}"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "data.count | nmber",
        ["templates/order/en.yaml:2:22: what: unknown filter 'nmber' (did you mean 'number'?)"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "data.order | time",
        ["templates/order/en.yaml:2:22: what: the filter 'time' can't take text"],
    ),
    (
        "templates/order/en.yaml",
        "{{ headline }}",
        "{{ impact }}",
        ["templates/order/en.yaml:5:10: sms: unknown name 'impact'"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "'x' * 1000000",
        ["templates/order/en.yaml:2:8: what: 'mul' is not allowed in a template"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "range(9)",
        ["templates/order/en.yaml:2:8: what: 'call' is not allowed in a template"],
    ),
    (
        "templates/order/en.yaml",
        "{% endif %}",
        "",
        ["templates/order/en.yaml:3:55: next: syntax error: unexpected end of input, expected end of block"],
    ),
    (
        "templates/order/en.yaml",
        "https://acme.example",
        "javascript:alert(1)",
        ["templates/order/en.yaml:4:32: action.url: must begin with https:// and the name of the host, written out"],
    ),
    (
        "templates/order/en.yaml",
        "what:",
        "waht:",
        [
            "templates/order/en.yaml:2:1: waht: unknown key 'waht' (did you mean 'what'?)",
        ],
    ),
    (
        "templates/order/en.yaml",
        'headline: "Order',
        "headline: 3 #",
        ["templates/order/en.yaml:1:11: headline: must be text, not a number"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "customer.email",
        ["templates/order/en.yaml:2:11: what: 'customer.email' is not in customer"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "custmer.locale",
        ["templates/order/en.yaml:2:11: what: unknown name 'custmer' (did you mean 'customer'?)"],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "event.lifecycle | upper if event.lifecycle == 'open' else ''",
        [
            "templates/order/en.yaml:2:58: what: 'open' is not one of point, opened, updated, resolved, cancelled (did you mean 'opened'?)"
        ],
    ),
    (
        "templates/order/en.yaml",
        "data.count | number",
        "data.order | money",
        ["templates/order/en.yaml:2:22: what: the filter 'money' takes 1 argument"],
    ),
]


def said(bundle: Bundle) -> list[str]:
    return [str(mistake) for mistake in check(bundle).mistakes]


@pytest.mark.parametrize(("path", "old", "new", "expected"), TABLE)
def test_a_mistake_is_said_with_its_place(path: str, old: str, new: str, expected: list[str]) -> None:
    assert said(policies.changed(path, old, new)) == expected


def test_a_policy_with_a_mistake_is_not_compiled() -> None:
    with pytest.raises(PolicyError, match=r"rules/10.yaml:7:15: .*unknown category 'ordr'"):
        compile_policy(policies.changed("rules/10.yaml", "category: order", "category: ordr"))


def test_all_mistakes_come_at_once_sorted_by_place() -> None:
    files = dict(policies.FILES)
    files["rules/10.yaml"] = files["rules/10.yaml"].replace("data.count >= 1", "data.cuont >= 1")
    files["rules/10.yaml"] = files["rules/10.yaml"].replace("class: marketing", "class: markting")
    files["caps.yaml"] = files["caps.yaml"].replace("limit: 3", "limit: 0")
    files["templates/order/en.yaml"] = files["templates/order/en.yaml"].replace("data.count", "data.cuont")
    assert said(Bundle({name: text.encode() for name, text in files.items()})) == [
        "caps.yaml:2:70: caps[0].limit: must be at least 1",
        "rules/10.yaml:5:41: rules[0].when: undefined field 'cuont' in data (did you mean 'count'?)",
        "rules/10.yaml:16:12: rules[1].class: 'markting' is not one of critical, transactional, informational, marketing (did you mean 'marketing'?)",
        "templates/order/en.yaml:2:11: what: 'data.cuont' is not in events/order.yaml (did you mean 'count'?)",
    ]


def test_unknown_keys_hide_no_other_mistakes() -> None:
    files = dict(policies.FILES)
    files["clarion.yaml"] = (
        files["clarion.yaml"].replace("tenant:", "tenat:").replace("category: news", "catgory: nwes")
    )
    files["caps.yaml"] = files["caps.yaml"].replace("window", "widow", 1).replace("channel: email", "category: ordr")
    files["rules/10.yaml"] = (
        files["rules/10.yaml"]
        .replace("category: order", "categry: ordr\n    color: red")
        .replace("data.count >= 1", "data.cuont >= 1")
        .replace("material:", "mateial:")
        .replace("previous.due_at", "previous.deu_at")
    )
    files["templates/order/en.yaml"] = (
        files["templates/order/en.yaml"].replace("next:", "nxt:").replace("| time", "| tim")
    )
    assert said(Bundle({name: text.encode() for name, text in files.items()})) == [
        "caps.yaml:2:56: caps[0].where.category: unknown category 'ordr' (did you mean 'order'?)",
        "caps.yaml:2:73: caps[0].widow: unknown key 'widow' (did you mean 'window'?)",
        "clarion.yaml:1:1: tenat: unknown key 'tenat' (did you mean 'tenant'?)",
        "clarion.yaml:9:6: locks[0].catgory: unknown key 'catgory' (did you mean 'category'?)",
        "clarion.yaml:9:15: locks[0].category: unknown category 'nwes' (did you mean 'news'?)",
        "rules/10.yaml:5:41: rules[0].when: undefined field 'cuont' in data (did you mean 'count'?)",
        "rules/10.yaml:7:5: rules[0].categry: unknown key 'categry' (did you mean 'category'?)",
        "rules/10.yaml:7:14: rules[0].category: unknown category 'ordr' (did you mean 'order'?)",
        "rules/10.yaml:8:5: rules[0].color: unknown key 'color'",
        "rules/10.yaml:12:5: rules[0].mateial: unknown key 'mateial' (did you mean 'material'?)",
        "rules/10.yaml:12:29: rules[0].material: undefined field 'deu_at' in previous (did you mean 'due_at'?)",
        "templates/order/en.yaml:3:1: nxt: unknown key 'nxt' (did you mean 'next'?)",
        "templates/order/en.yaml:3:45: next: unknown filter 'tim' (did you mean 'trim'?)",
    ]


def test_an_unknown_key_beside_the_one_that_was_meant_does_not_replace_it() -> None:
    bundle = policies.changed("rules/10.yaml", "category: order", "category: order\n    categry: nothing")
    assert said(bundle) == [
        "rules/10.yaml:8:5: rules[0].categry: unknown key 'categry' (did you mean 'category'?)",
    ]


def test_a_rule_whose_meaning_is_guessed_makes_no_warnings() -> None:
    bundle = policies.changed("rules/10.yaml", "when: event", "only_if: event")
    report = check(bundle)
    assert [str(mistake) for mistake in report.mistakes] == [
        "rules/10.yaml:5:5: rules[0].only_if: unknown key 'only_if'"
    ]
    assert report.warnings == ()


def test_two_mistakes_of_one_expression_are_both_said() -> None:
    bundle = policies.changed("rules/10.yaml", "data.count >= 1", "data.cuont >= 1 && data.nte == null")
    assert said(bundle) == [
        "rules/10.yaml:5:41: rules[0].when: undefined field 'cuont' in data (did you mean 'count'?)",
        "rules/10.yaml:5:60: rules[0].when: undefined field 'nte' in data (did you mean 'note'?)",
    ]


def test_a_file_that_is_lost_does_not_make_more_mistakes() -> None:
    bundle = policies.changed("events/order.yaml", "type: acme.order", "type: [")
    assert [mistake.path for mistake in check(bundle).mistakes] == ["events/order.yaml"]
    assert said(policies.changed("clarion.yaml", "tenant: acme", "tenant: 3")) == [
        "clarion.yaml:1:9: tenant: must be text, not a number"
    ]


@pytest.mark.parametrize("path", ["clarion.yaml", "categories.yaml"])
def test_a_missing_file_is_a_mistake(path: str) -> None:
    assert said(policies.without(path)) == [f"{path}:1:1: the file is missing"]


def test_a_policy_without_rules_is_a_mistake() -> None:
    assert said(policies.without("rules/10.yaml")) == [
        'rules/:1:1: there is no rule; the last rule must be `on: "*"` with `ignore: true` and nothing else'
    ]


def test_a_template_without_the_default_locale_is_a_mistake() -> None:
    bundle = policies.changed("clarion.yaml", "locale: en", "locale: de")
    assert said(bundle) == ["templates/order/de.yaml:1:1: the wording in the default locale 'de' is missing"]


def test_a_file_in_a_wrong_place_is_a_mistake() -> None:
    found = said(policies.with_file("rule/10.yaml", "rules: []"))
    assert len(found) == 1
    assert found[0].startswith("rule/10.yaml:1:1: a policy has no such file (it has clarion.yaml, ")


def test_the_report_shows_the_line_with_carets() -> None:
    bundle = policies.changed("rules/10.yaml", "data.count >= 1", "data.cuont >= 1")
    assert render(check(bundle), bundle) == (
        "rules/10.yaml:5:41: rules[0].when: undefined field 'cuont' in data (did you mean 'count'?)\n"
        '     5 |     when: event.lifecycle != "point" && data.cuont >= 1\n'
        "       |                                         ^^^^^^^^^^\n"
        "1 mistake, no warnings in 6 files\n"
    )


def test_the_report_can_not_steer_a_terminal() -> None:
    bundle = policies.changed("rules/10.yaml", "category: order", 'category: "\\e[2Jx"')
    assert "\x1b" not in render(check(bundle), bundle)


def test_the_report_of_a_clean_policy_counts_its_files() -> None:
    assert render(check(policies.whole()), policies.whole()) == "no mistakes, no warnings in 6 files\n"


ENUM = policies.FILES["events/order.yaml"].replace("note: {type: string}", "note: {enum: [late, early]}")
ENUM = ENUM.replace(
    "name: {type: string}", "name: {type: string, enum: [cable, lamp]}, marks: {type: array, items: {enum: [new]}}"
)


def with_enum(path: str, old: str, new: str) -> Bundle:
    return Bundle({**policies.changed(path, old, new).files, "events/order.yaml": ENUM.encode()})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            'data.note == "lat"',
            "rules/10.yaml:5:54: rules[0].when: 'lat' is not one of late, early (did you mean 'late'?)",
        ),
        ('"soon" != data.note', "rules/10.yaml:5:41: rules[0].when: 'soon' is not one of late, early"),
        (
            'data.note in ["late", "erly"]',
            "rules/10.yaml:5:63: rules[0].when: 'erly' is not one of late, early (did you mean 'early'?)",
        ),
        (
            'data.items.exists(x, x.name == "lmp")',
            "rules/10.yaml:5:72: rules[0].when: 'lmp' is not one of cable, lamp (did you mean 'lamp'?)",
        ),
        ('data.items.exists(x, "old" in x.marks)', "rules/10.yaml:5:62: rules[0].when: 'old' is not one of new"),
    ],
)
def test_a_word_that_the_schema_does_not_list_is_a_mistake_in_a_condition(condition: str, expected: str) -> None:
    assert said(with_enum("rules/10.yaml", "data.count >= 1", condition)) == [expected]


def test_the_words_of_the_schema_can_be_asked_for() -> None:
    conditions = 'data.note in ["late", "early"] && data.order == "x" && data.items.exists(note, note.name == "lamp")'
    assert said(with_enum("rules/10.yaml", "data.count >= 1", conditions)) == []


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (
            "data.note == 'lat'",
            "templates/order/en.yaml:2:42: what: 'lat' is not one of late, early (did you mean 'late'?)",
        ),
        ("'soon' == data.note", "templates/order/en.yaml:2:29: what: 'soon' is not one of late, early"),
        ("data.note in ['late', 'x']", "templates/order/en.yaml:2:51: what: 'x' is not one of late, early"),
    ],
)
def test_a_word_that_the_schema_does_not_list_is_a_mistake_in_a_template(test: str, expected: str) -> None:
    asked = f"{{% if data.note and {test} %}}a{{% endif %}} parts"
    assert said(with_enum("templates/order/en.yaml", "{{ data.count | number }} parts", asked)) == [expected]


def test_types_that_share_a_field_share_the_words_of_all() -> None:
    files = {**with_enum("rules/10.yaml", "on: acme.order", "on: [acme.order, acme.other]").files}
    files["events/other.yaml"] = ENUM.replace("type: acme.order", "type: acme.other").replace("early", "never").encode()
    rules = files["rules/10.yaml"].decode()
    assert (
        said(Bundle({**files, "rules/10.yaml": rules.replace("data.count >= 1", 'data.note == "never"').encode()}))
        == []
    )
    assert said(
        Bundle({**files, "rules/10.yaml": rules.replace("data.count >= 1", 'data.note == "none"').encode()})
    ) == ["rules/10.yaml:5:54: rules[0].when: 'none' is not one of late, early, never"]
