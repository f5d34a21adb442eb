"""Generated policies for benchmarks: many rules, many event types, many rule tests.

The rules go to the event types in turn, or all to the first. A rule narrows by a condition on its event and by one on
its customer; of the rules of a type only the last matches the events of the benchmarks (amount 500).
"""

from collections.abc import Mapping

from services.policy.bundle import Bundle

AMOUNT = 500
_CLARION = """\
tenant: bench
defaults:
  locale: en
  timezone: Europe/Berlin
  channels: [sms, email]
  quiet_hours: {start: "22:00", end: "07:00", channels: [sms, email], over: hold, release_spread: 10m}
attributes: {feeder: string}
"""
_CATEGORIES = 'categories:\n  news: {title: "News", default: instant}\n'
_CAPS = """\
caps:
  - {name: sms-a-day, per: channel, where: {channel: sms}, limit: 3, window: 24h, over: reroute, exempt: [critical]}
  - {name: all-a-day, per: customer, limit: 200, window: 24h, over: defer, reserve: {transactional: 2}}
  - {name: one-subject, per: subject, limit: 5, window: 30m, over: drop}
"""
_TYPE = """\
type: bench.t{number}
owner: bench
description: One of many.
lifecycle: true
data:
  type: object
  required: [area, feeder, amount]
  properties: {{area: {{type: string}}, feeder: {{type: string}}, amount: {{type: integer}}, cause: {{type: string}}}}
"""
_RULE = """\
  - name: r{number}
    owner: bench
    description: Rule {number}.
    on: bench.t{kind}
    when: event.lifecycle in ["opened", "updated", "resolved"] && data.amount {compared}
    who: customer.attributes.feeder == data.feeder
    category: news
    class: informational
    channels: {{first: [sms, email]}}
    template: news
    expires_after: 24h
"""
_REST = 'rules:\n  - {name: nothing-else, on: "*", ignore: true}\n'
_TEMPLATE = """\
headline: "News from {{ data.area }}"
what: "It is {{ data.amount | number }}{% if data.cause %}: {{ data.cause }}{% endif %}."
"""
_TIMELINE = """\
start: 2026-11-18T10:00:00+01:00
customers:
  ana: {{addresses: {{sms: "+4915112345678", email: ana@example.org}}, attributes: {{feeder: F-17}}}}
timeline:
  - {{at: 0m, event: {{id: a, source: s, type: bench.t{kind}, subject: S, lifecycle: opened,
              audience: {{customers: [ana]}}, data: {{area: Mitte, feeder: F-17, amount: 500}}}}}}
  - {{at: 5m, event: {{id: b, source: s, type: bench.t{kind}, subject: S, lifecycle: resolved,
              audience: {{everyone: true}}, data: {{area: Mitte, feeder: F-17, amount: 500}}}}}}
expect:
  - {{customer: ana, event: a, outcome: SEND, channels: [sms]}}
  - {{customer: ana, event: b, outcome: SEND, reason: CLOSURE}}
  - {{customer: ana, nothing_else: true}}
"""


def bundle(rules: int, types: int = 40, first: int | None = None, timelines: int = 0) -> Bundle:
    """Return a policy of so many rules over so many event types, with so many rule tests.

    `first` is how many of the rules the first type has; else it has its share.
    """
    types = min(types, rules)
    kinds = [n % types if first is None else 0 if n < first else 1 + n % (types - 1) for n in range(rules)]
    last = {kind: number for number, kind in enumerate(kinds)}
    texts = [
        _RULE.format(number=n, kind=kind, compared=f">= {AMOUNT}" if last[kind] == n else f"< {n % AMOUNT}")
        for n, kind in enumerate(kinds)
    ]
    files: Mapping[str, str] = {
        "clarion.yaml": _CLARION,
        "categories.yaml": _CATEGORIES,
        "caps.yaml": _CAPS,
        "templates/news/en.yaml": _TEMPLATE,
        **{f"rules/{n:04}.yaml": "rules:\n" + "".join(texts[n : n + 100]) for n in range(0, rules, 100)},
        "rules/rest.yaml": _REST,
        **{f"events/t{n}.yaml": _TYPE.format(number=n) for n in range(types)},
        **{f"tests/t{n}.yaml": _TIMELINE.format(kind=n % types) for n in range(timelines)},
    }
    return Bundle({path: text.encode() for path, text in files.items()})
