"""A small policy as text, and the same with something replaced."""

from collections.abc import Mapping

from services.policy.bundle import Bundle

FILES: Mapping[str, str] = {
    "clarion.yaml": """\
tenant: acme
defaults:
  locale: en
  timezone: Europe/Berlin
  channels: [email]
  quiet_hours: {start: "22:00", end: "07:00", over: hold, channels: [sms]}
attributes: {plan: string, since: date}
locks:
  - {category: news, channel: sms, reason: "regulator"}
""",
    "categories.yaml": """\
categories:
  order: {title: "Orders", default: instant}
  news: {title: "News", default: off}
""",
    "caps.yaml": """\
caps:
  - {name: mail-a-day, per: channel, where: {channel: email}, limit: 3, window: 24h, over: drop}
  - {name: all-a-day, per: customer, limit: 6, window: 24h, over: defer, reserve: {transactional: 2}}
""",
    "events/order.yaml": """\
type: acme.order
owner: orders
description: Something about an order.
lifecycle: true
data:
  type: object
  required: [order, count]
  properties:
    order: {type: string}
    count: {type: integer}
    due_at: {type: string, format: date-time}
    note: {type: string}
    items: {type: array, items: {type: object, required: [name], properties: {name: {type: string}}}}
""",
    "rules/10.yaml": """\
rules:
  - name: order-news
    owner: orders
    on: acme.order
    when: event.lifecycle != "point" && data.count >= 1
    who: customer.attributes.plan == "gold"
    category: order
    class: informational
    channels: {first: [email]}
    template: order
    material: data.due_at != previous.due_at
    expires_after: 4h
  - name: news
    on: acme.order
    category: news
    class: marketing
    channels: {first: [ email ]}
    template: order
  - name: nothing-else
    on: "*"
    ignore: true
""",
    "templates/order/en.yaml": """\
headline: "Order {{ data.order }}"
what: "{{ data.count | number }} parts."
next: "{% if data.due_at %}By {{ data.due_at | time }}.{% endif %}"
action: {label: "See it", url: "https://acme.example/{{ data.order }}"}
sms: "{{ headline }} {{ action.url }}"
""",
}


def changed(path: str, old: str, new: str) -> Bundle:
    """Return the policy with a text of a file replaced; the text must be there."""
    text = FILES[path]
    assert old in text, f"{old!r} is not in {path}"
    return with_file(path, text.replace(old, new, 1))


def with_file(path: str, text: str | bytes) -> Bundle:
    """Return the policy with a file added or replaced."""
    content = text if isinstance(text, bytes) else text.encode()
    return Bundle({**{name: body.encode() for name, body in FILES.items()}, path: content})


def without(path: str) -> Bundle:
    """Return the policy without a file."""
    return Bundle({name: body.encode() for name, body in FILES.items() if name != path})


def whole() -> Bundle:
    """Return the policy as it is."""
    return Bundle({name: body.encode() for name, body in FILES.items()})
