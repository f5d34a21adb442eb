"""The day: which events come for whom, in which order, at which hour before now.

New terms for everyone, an offer, the month's usage, a survey, errors in orders, a flicker that concerned nobody, a
power cut with its life from first report to restoration; and what goes wrong in real life: events that come twice, too
late, or broken.
Each event names one customer. Hours lie in the past such that nothing expires but what is meant to.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from services.common.clock import iso
from services.control.customers import (
    FEEDER,
    MANY_ORDERS,
    OFFERS_WANTED,
    ON_FEEDER,
    ORDER_OFF,
    TENANT,
    USAGE_MEASURED,
    DemoCustomer,
)
from services.router.decision.model import DAY, HOUR, MINUTE

CUT = "INC-7"
FLICKER = "INC-6"
_LATE = 141
_TWICE = (142, 143, 144)
_ORDERS_OF_ANYONE = range(136, 200)
_ORDERS_AT_NIGHT = range(118, 122)
_FIRST_ORDER = 4_700
_PROBLEMS = ("payment_failed", "address_incomplete", "delayed")


class Kind(StrEnum):
    """What an event of the day is about."""

    TERMS = "new terms"
    OFFER = "offer"
    USAGE = "usage of a month"
    REVIEW = "survey"
    REVIEW_AGAIN = "survey again"
    ORDER = "order error"
    FLICKER_OPENED = "flicker"
    FLICKER_OVER = "flicker over"
    CUT_OPENED = "power cut"
    CUT_NEWS = "power cut, a new time"
    CUT_NO_NEWS = "power cut, nothing new"
    CUT_OVER = "power is back"


class Happening(Struct, frozen=True):
    """One event of the day for one customer; `again`: it came before, `late`: it comes after its expiry."""

    kind: Kind
    customer: DemoCustomer
    line: Mapping[str, Any]
    again: bool = False
    late: bool = False

    @property
    def identity(self) -> tuple[str, str]:
        """Source and id."""
        return self.line["source"], self.line["id"]


def day(customers: Sequence[DemoCustomer], now: int) -> tuple[Happening, ...]:
    """Return all events of the day in the order in which they are published."""
    by_role = sorted(customers, key=lambda customer: customer.role)
    orders = list(_orders(by_role, now))
    return (
        *(_terms(customer, now) for customer in by_role),
        *(_offer(customer, now) for customer in by_role),
        *(_usage(customer, now) for customer in by_role if customer.role in USAGE_MEASURED),
        *(_review(Kind.REVIEW, customer, now - 400 * MINUTE) for customer in by_role if customer.role in ORDER_OFF),
        *(
            _review(Kind.REVIEW_AGAIN, customer, now - 390 * MINUTE)
            for customer in by_role
            if customer.role in ORDER_OFF
        ),
        *orders,
        *(Happening(each.kind, each.customer, each.line, again=True) for each in orders if _comes_twice(each, orders)),
        *_flicker(by_role, now),
        *_cut(by_role, now),
    )


def malformed(customers: Sequence[DemoCustomer], now: int) -> dict[str, Any]:
    """Return an event that the door must refuse: it lacks what its type demands, and has a wrong word."""
    line = dict(_order(customers[0], "4999", now, now).line)
    return {**line, "id": "4999-broken", "data": {"order": "4999", "problem": "gremlins"}}


def _terms(customer: DemoCustomer, now: int) -> Happening:
    data = {
        "change": "prices",
        "effective_on": iso(now + 45 * DAY)[:10],
        "old_price": "31.40",
        "new_price": "29.90",
        "currency": "EUR",
    }
    return _happening(Kind.TERMS, customer, f"terms-{customer.role:03}", "terms-2027", now - 8 * HOUR, data)


def _offer(customer: DemoCustomer, now: int) -> Happening:
    data = {"name": "Solar roof", "saving": "180.00", "currency": "EUR", "valid_until": iso(now + 30 * DAY)[:10]}
    return _happening(Kind.OFFER, customer, f"offer-{customer.role:03}", "", now - 7 * HOUR, data)


def _usage(customer: DemoCustomer, now: int) -> Happening:
    data = {"until": iso(now - DAY)[:10], "kwh": 190 + customer.role, "cost": "65.40", "currency": "EUR"}
    return _happening(Kind.USAGE, customer, f"usage-{customer.role:03}", "", now - 410 * MINUTE, data)


def _review(kind: Kind, customer: DemoCustomer, time: int) -> Happening:
    """Ask how we did in a power cut of yesterday."""
    data = {"area": "Mitte", "ended_on": iso(time - DAY)[:10]}
    return _happening(kind, customer, f"{kind.name.lower()}-{customer.role:03}", "", time, data)


def _orders(by_role: Sequence[DemoCustomer], now: int) -> Iterator[Happening]:
    number = _FIRST_ORDER
    for customer in by_role:
        for _ in range(_order_count(customer.role)):
            number += 1
            yield _order(customer, str(number), now - 6 * HOUR + (number - _FIRST_ORDER) * MINUTE, now)
    late = _order(by_role[_LATE], str(number + 1), now - 3 * HOUR, now)
    expired = {**late.line, "expirytime": iso(now - HOUR)}
    yield Happening(late.kind, late.customer, expired, late=True)


def _order_count(role: int) -> int:
    if role in MANY_ORDERS:
        return 3
    if role in ORDER_OFF or role in OFFERS_WANTED or role in _ORDERS_AT_NIGHT:
        return 1
    return 2 if role in _ORDERS_OF_ANYONE else 0


def _order(customer: DemoCustomer, number: str, time: int, now: int) -> Happening:
    data = {
        "order": number,
        "problem": _PROBLEMS[int(number) % len(_PROBLEMS)],
        "fixed_by": iso(now + DAY),
        "amount": "49.90",
        "currency": "EUR",
    }
    return _happening(Kind.ORDER, customer, number, f"order-{number}", time, data)


def _comes_twice(order: Happening, orders: Sequence[Happening]) -> bool:
    """Say whether a second copy of this order's error comes: the first one of some customers."""
    role = order.customer.role
    return role in _TWICE and order is next(each for each in orders if each.customer.role == role)


def _flicker(by_role: Sequence[DemoCustomer], now: int) -> Iterator[Happening]:
    """A fault that nobody noticed: reported with no customer affected, and reported over."""
    for kind, lifecycle, ago in (
        (Kind.FLICKER_OPENED, "opened", 180 * MINUTE),
        (Kind.FLICKER_OVER, "resolved", 179 * MINUTE),
    ):
        for customer in by_role:
            if not customer.on_feeder:
                data = {"area": "Wedding", "feeder": customer.feeder, "customers_affected": 0}
                yield _incident(kind, customer, FLICKER, lifecycle, now - ago, data)


def _cut(by_role: Sequence[DemoCustomer], now: int) -> Iterator[Happening]:
    """A power cut: opened, a new time, the same again, restored."""
    first = {"area": "Mitte", "feeder": FEEDER, "customers_affected": len(ON_FEEDER)}
    news = {**first, "cause": "a cable was cut in roadworks", "restore_at": iso(now + 20 * MINUTE)}
    life = (
        (Kind.CUT_OPENED, "opened", 70 * MINUTE, first),
        (Kind.CUT_NEWS, "updated", 50 * MINUTE, news),
        (Kind.CUT_NO_NEWS, "updated", 25 * MINUTE, {**news, "customers_affected": len(ON_FEEDER) - 1}),
        (Kind.CUT_OVER, "resolved", 2 * MINUTE, news),
    )
    for sequence, (kind, lifecycle, ago, data) in enumerate(life, 1):
        for customer in by_role:
            if customer.on_feeder:
                yield _incident(kind, customer, CUT, lifecycle, now - ago, data, sequence)


def _incident(
    kind: Kind,
    customer: DemoCustomer,
    subject: str,
    lifecycle: str,
    time: int,
    data: Mapping[str, Any],
    sequence: int = 0,
) -> Happening:
    found = _happening(kind, customer, f"{subject}-{lifecycle}-{sequence}-{customer.role:03}", subject, time, data)
    more: dict[str, Any] = {"lifecycle": lifecycle, "severity": "major"}
    return Happening(kind, customer, {**found.line, **more, **({"sequence": sequence} if sequence else {})})


_SOURCES = {
    Kind.TERMS: "crm",
    Kind.OFFER: "crm",
    Kind.USAGE: "metering",
    Kind.REVIEW: "care",
    Kind.REVIEW_AGAIN: "care",
    Kind.ORDER: "oms",
}
_TYPES = {
    Kind.TERMS: "com.northwind.policy.change",
    Kind.OFFER: "com.northwind.offer",
    Kind.USAGE: "com.northwind.usage.month",
    Kind.REVIEW: "com.northwind.outage.review",
    Kind.REVIEW_AGAIN: "com.northwind.outage.review",
    Kind.ORDER: "com.northwind.order.error",
}


def _happening(
    kind: Kind,
    customer: DemoCustomer,
    event_id: str,
    subject: str,
    time: int,
    data: Mapping[str, Any],
) -> Happening:
    line = {
        "specversion": "1.0",
        "id": event_id,
        "source": _SOURCES.get(kind, "scada"),
        "type": _TYPES.get(kind, "com.northwind.outage"),
        "tenant": TENANT,
        "time": iso(time),
        "audience": {"customers": [customer.id]},
        "data": data,
    }
    return Happening(kind, customer, {**line, "subject": subject} if subject else line)
