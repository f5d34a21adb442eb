"""The example policy: every wording can be written on every channel of its rules, in both languages."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from services.control.policies import example_folder
from services.policy.bundle import read_folder
from services.policy.compile import compile_policy
from services.policy.templates import compile_templates
from services.policy.testing.run import run

BUNDLE = read_folder(example_folder())
POLICY = compile_policy(BUNDLE)
TEMPLATES = compile_templates(BUNDLE)
ENDS = ("resolved", "cancelled")
OUTAGE = {"area": "Mitte", "feeder": "F-17", "customers_affected": 118}
CUT = {**OUTAGE, "cause": "a cable was cut in roadworks", "restore_at": "2026-03-29T05:00:00Z"}
WORKS = {
    "street": "Lindenstraße",
    "feeder": "F-17",
    "starts_at": "2026-04-20T06:00:00Z",
    "ends_at": "2026-04-20T10:00:00Z",
}
ORDER = {"order": "A1", "fixed_by": "2026-03-29T05:00:00Z"}
PAYMENT = {**ORDER, "problem": "payment_failed", "amount": "49.90", "currency": "EUR"}
BILL = {"bill": "2026-118", "amount": "63.20", "currency": "EUR", "refund_on": "2026-04-02"}
PRICES = {"change": "prices", "effective_on": "2026-05-01", "old_price": "31.40", "new_price": "29.90"}
USAGE = {"until": "2026-03-31", "kwh": 412, "usual_kwh": 205, "cost": "131.84", "currency": "EUR"}
OFFER = {"name": "Solar roof", "saving": "180.00", "currency": "EUR", "valid_until": "2026-04-30"}
# For each template the lifecycles it is for, and what its events may hold.
FACTS: Mapping[str, tuple[tuple[str, ...], tuple[Mapping[str, Any], ...]]] = {
    "outage_opened": (("opened",), (OUTAGE, CUT, {**OUTAGE, "customers_affected": 1})),
    "outage_updated": (("updated",), (OUTAGE, CUT)),
    "outage_resolved": (ENDS, (OUTAGE, CUT)),
    "works_announced": (("opened",), (WORKS, {**WORKS, "reason": "the cable is from 1961"})),
    "works_changed": (("updated",), (WORKS, {**WORKS, "reason": "the cable is from 1961"})),
    "works_over": (ENDS, (WORKS,)),
    "order_problem": (
        ("point",),
        ({**ORDER, "problem": "delayed"}, {**ORDER, "problem": "address_incomplete"}, PAYMENT),
    ),
    "billing_error": (("opened",), (BILL,)),
    "billing_settled": (("resolved",), (BILL,)),
    "billing_withdrawn": (("cancelled",), (BILL,)),
    "terms_changed": (("point",), ({**PRICES, "currency": "EUR"}, PRICES, {**PRICES, "change": "terms"})),
    "usage_rise": (("point",), (USAGE,)),
    "usage_month": (("point",), (USAGE,)),
    "offer": (("point",), (OFFER,)),
    "welcome": (("point",), ({"starts_on": "2026-05-01"},)),
    "anniversary": (("point",), ({"years": 1}, {"years": 5})),
    "outage_review": (("point",), ({"area": "Mitte", "ended_on": "2026-03-29"},)),
}


def cases() -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    for name, (lifecycles, facts) in FACTS.items():
        channels = sorted({channel for rule in POLICY.rules if rule.template == name for channel in rule.plan.channels})
        for lifecycle in lifecycles:
            for data in facts:
                for channel in channels:
                    yield name, channel, lifecycle, data


def test_every_template_is_tried() -> None:
    assert sorted({*FACTS, "digest"}) == sorted(TEMPLATES.names)


@pytest.mark.parametrize("locale", ["en", "de"])
def test_every_wording_can_be_written(locale: str) -> None:
    for name, channel, lifecycle, data in cases():
        event = {"subject": "INC-7", "lifecycle": lifecycle, "time": "2026-03-28T17:05:00Z"}
        customer = {"id": "ana", "locale": locale, "timezone": "Europe/Berlin"}
        content = TEMPLATES.render(name, channel, locale, {"event": event, "data": data, "customer": customer})
        assert content.locale == locale
        for hole in ("None", "  ", "..", " .", "{", "undefined"):
            assert hole not in content.text, (name, channel, content.text)
        if channel == "sms":
            assert len(content.text) <= 306, (name, content.text)  # two texts joined


def test_a_digest_can_be_written() -> None:
    event = {"subject": "W-3", "lifecycle": "opened", "time": "2026-03-28T17:05:00Z"}
    ana = {"customer": {"id": "ana", "locale": "en-GB", "timezone": "Europe/Berlin"}}
    items = [
        (name, {"event": event, "data": data, **ana})
        for name, data in (("welcome", {"starts_on": "2026-05-01"}), ("usage_month", USAGE))
    ]
    content = TEMPLATES.render_digest("email", "en-GB", items, ana)
    assert (content.headline, content.text) == (
        "News for you: 2 messages",
        """\
Welcome to Northwind
Your power comes from us from 1 May 2026. We end your old contract for you. \
Please send us your meter reading on 1 May 2026.
Send the reading: https://my.northwind.example/meter

Your month: 412 kWh, €131.84
Until 31 March 2026 you used 412 kWh this month. It costs €131.84. \
You don't have to do anything. It is in your next bill.
See every day: https://my.northwind.example/usage

Choose what comes together: https://my.northwind.example/messages

We put these together so that we write to you less often.
""",
    )


@pytest.mark.parametrize("locale", ["en", "de"])
def test_a_text_has_its_own_short_wording(locale: str) -> None:
    by_text = {rule.template for rule in POLICY.rules if "sms" in rule.plan.channels}
    files = {name: BUNDLE.files[f"templates/{name}/{locale}.yaml"].decode() for name in by_text - {"offer"}}
    assert [name for name, text in files.items() if "\nsms: " not in text] == []


def test_its_rule_tests_pass_and_reach_every_rule() -> None:
    report = run(BUNDLE)
    failed = {
        f"{one.timeline.path}:{each.expectation.line}": each.said
        for one in report.files
        for each in one.checked
        if not each.passed
    }
    assert failed == {}
    assert report.never == ()
    assert len(report.files) >= 25


def test_each_rule_test_says_first_what_it_shows() -> None:
    for path, content in BUNDLE.files.items():
        if path.startswith("tests/"):
            comment = content.decode().split("\n")[1]
            assert comment.startswith("# "), path
