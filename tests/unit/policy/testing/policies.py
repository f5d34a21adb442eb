"""The policy of the reference page, small, and its rule tests with something replaced."""

from collections.abc import Mapping

from services.policy.bundle import Bundle

FILES: Mapping[str, str] = {
    "clarion.yaml": """\
tenant: northwind
defaults:
  locale: en
  timezone: Europe/Berlin
  channels: [push, sms, email]
  quiet_hours: {start: "22:00", end: "07:00", channels: [sms, push], over: hold}
attributes: {feeder: string, contract: string}
""",
    "categories.yaml": """\
categories:
  outage: {title: "Power cuts", default: instant, required: true}
  order: {title: "Your orders", default: instant}
  offers: {title: "Offers", default: off}
""",
    "caps.yaml": """\
caps:
  - {name: sms-a-day, per: channel, where: {channel: sms}, limit: 3, window: 24h, over: reroute, exempt: [critical]}
  - {name: all-a-day, per: customer, limit: 6, window: 24h, over: defer, max_hold: 24h, exempt: [critical]}
""",
    "events/outage.yaml": """\
type: com.northwind.outage
owner: network-operations
description: A supply interruption, from first report to restoration.
lifecycle: true
data:
  type: object
  required: [area, feeder, customers_affected]
  properties:
    area: {type: string}
    feeder: {type: string}
    customers_affected: {type: integer}
    cause: {type: string}
""",
    "events/order.yaml": """\
type: com.northwind.order
owner: orders
description: Something about an order.
data:
  type: object
  required: [order]
  properties:
    order: {type: string}
""",
    "rules/10-outages.yaml": """\
rules:
  - name: outage-opened
    on: com.northwind.outage
    when: event.lifecycle == "opened" && data.customers_affected >= 1
    who: customer.attributes.feeder == data.feeder
    category: outage
    class: critical
    channels: {first: [sms, push, email]}
    template: outage
    expires_after: 4h
  - name: outage-updated
    on: com.northwind.outage
    when: event.lifecycle == "updated"
    who: customer.attributes.feeder == data.feeder
    category: outage
    class: informational
    channels: {first: [push, email]}
    template: outage
    material: data.cause != previous.cause
    expires_after: 1h
    quiet_hours: ignore
  - name: outage-over
    on: com.northwind.outage
    when: event.lifecycle == "resolved"
    category: outage
    class: transactional
    channels: {first: [sms, email]}
    template: outage
""",
    "rules/20-orders.yaml": """\
rules:
  - name: order
    on: com.northwind.order
    category: order
    class: transactional
    channels: {first: [sms, email]}
    template: order
    expires_after: 48h
""",
    "rules/90-rest.yaml": """\
rules:
  - name: nothing-else
    on: "*"
    ignore: true
""",
    "templates/outage/en.yaml": """\
headline: "Power cut in {{ data.area }}"
what: "The power in {{ data.area }} is out."
action: {label: "See the status", url: "https://status.northwind.example/{{ event.subject }}"}
sms: "Power cut in {{ data.area }}. {{ action.url }}"
""",
    "templates/order/en.yaml": """\
headline: "Order {{ data.order }}"
what: "News of your order {{ data.order }}."
""",
}

# The example of the reference page, word for word.
OUTAGE_NIGHT = """\
start: 2026-03-28T22:30:00+01:00            # the virtual clock; the night of the spring change
customers:
  ana:
    addresses: {sms: "+4915112345678", email: ana@example.org}
    locale: de
    timezone: Europe/Berlin
    channels: [sms, email]
    quiet_hours: {start: "22:00", end: "07:00"}
    preferences: [{category: order, channel: sms, value: off}, {category: offers, value: instant}]
    consents: [email]
    suppressed: [{channel: push, why: UNREGISTERED}]      # also snoozed_until
    attributes: {feeder: F-17}
timeline:
  - at: 0m
    event: {id: o1, source: oms, type: com.northwind.outage, subject: INC-7, lifecycle: opened, sequence: 1,
            audience: {everyone: true}, data: {area: Mitte, feeder: F-17, customers_affected: 120}}
  - {at: 20m, profile: {customer: ana, snoozed_until: 2026-03-29T12:00:00+02:00}}
  - {at: 25m, feedback: {customer: ana, channel: sms, outcome: REJECTED, of: o1}}
  - {at: 30m, control: {stop: {rule: outage-updated}, reason: "wrong data"}}
expect:
  - {customer: ana, event: o1, rule: outage-opened, at: 0m, outcome: SEND, reason: ALLOWED, channels: [sms]}
  - {customer: ana, event: o1, at: 25m, outcome: SEND, channels: [email], verdicts: {sms: CHANNEL_FAILED}}
  - {customer: ana, event: o1, at: 0m, channel: sms, text: "Power cut in Mitte. https://status.northwind.example/INC-7"}
  - {customer: ana, nothing_else: true}     # no other decision for this customer in the whole run
"""


DIGEST = {
    "templates/digest/en.yaml": """\
headline: "{{ items | length }} messages"
what: "{% for item in items %}{{ item.headline }} {% endfor %}"
"""
}


def policy(tests: Mapping[str, str] | None = None, **changes: str) -> Bundle:
    """Return the policy with test files (by name, without folder and ending) and files replaced (by their path)."""
    named = {f"tests/{name}.yaml": text for name, text in (tests or {}).items()}
    return Bundle({path: text.encode() for path, text in {**FILES, **changes, **named}.items()})


PEOPLE = """\
  ana:
    addresses: {sms: "+4915112345678", email: ana@example.org}
    attributes: {feeder: F-17}
  ben:
    addresses: {email: ben@example.org}
    attributes: {feeder: F-12}
"""
ORDER = "type: com.northwind.order, data: {order: A}"
OUTAGE = (
    "type: com.northwind.outage, subject: INC-7, data: {area: Mitte, feeder: F-17, customers_affected: 120},"
    " audience: {everyone: true}"
)


def written(entries: str, expected: str = "- {count: 0}", people: str = PEOPLE, start: str = "09:00") -> str:
    """Return a test file of a winter's day; entries and expectations are lines of YAML."""
    lines = "\n".join(f"  {line}" for line in entries.strip().splitlines())
    wanted = "\n".join(f"  {line}" for line in expected.strip().splitlines())
    return f"start: 2026-01-15T{start}:00+01:00\ncustomers:\n{people}timeline:\n{lines}\nexpect:\n{wanted}\n"
