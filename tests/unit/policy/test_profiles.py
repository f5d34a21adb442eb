"""Changes of profiles: what is refused, how they merge, what the core sees."""

import json
from typing import Any

import pytest

from services.policy.profiles import merge, to_profile, violations
from services.router.decision.model import (
    DAY,
    Address,
    DigestTimes,
    Preference,
    Profile,
    QuietTimes,
    Suppression,
    Value,
    Window,
)

ANA: dict[str, Any] = {
    "addresses": {"sms": "+4915112345678", "email": "ana@example.org"},
    "locale": "de-AT",
    "timezone": "Europe/Vienna",
    "channels": ["sms", "email"],
    "quiet_hours": {"start": "22:00", "end": "07:00", "days": {"sat": {"start": "23:00", "end": "09:00"}}},
    "preferences": [{"category": "order", "channel": "sms", "value": "off"}, {"category": "offers", "value": "digest"}],
    "consents": ["email"],
    "suppressed": [{"channel": "push", "why": "UNREGISTERED"}],
    "snoozed_until": "2026-03-29T12:00:00+02:00",
    "digest": {"every": "1d", "at": "08:00"},
    "attributes": {"feeder": "F-17", "floors": 3, "solar": True},
}


def wrong(patch: Any) -> tuple[tuple[str, str], ...]:
    return violations(json.dumps(patch).encode())


def test_a_whole_profile_becomes_a_value() -> None:
    assert wrong(ANA) == ()
    assert to_profile("ana", merge({}, ANA)) == Profile(
        customer="ana",
        addresses=(Address("email", "ana@example.org"), Address("sms", "+4915112345678")),
        locale="de-AT",
        timezone="Europe/Vienna",
        channels=("sms", "email"),
        quiet_hours=QuietTimes(Window(1320, 420), (None, None, None, None, None, Window(1380, 540), None)),
        preferences=(Preference("order", "sms", Value.OFF), Preference("offers", "", Value.DIGEST)),
        consents=("email",),
        suppressed=(Suppression("push", "UNREGISTERED"),),
        snoozed_until=1_774_778_400_000_000,
        digest=DigestTimes(DAY, 8 * 60),
        attributes={"feeder": "F-17", "floors": 3, "solar": True},
    )


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"adresses": {}}, ("adresses", "is not a key of a profile")),
        ({"ana@example.org": 1}, ("*", "is not a key of a profile")),
        (
            {"addresses": {"fax": "1"}},
            ("addresses.fax", "is not one of push, sms, email, chat, webhook, inbox, gateway"),
        ),
        ({"addresses": {"email": "ana(at)secret"}}, ("addresses.email", "is not an email address")),
        (
            {"addresses": {"email": "ana@example.org\r\nBcc: x"}},
            ("addresses.email", "must not have control characters"),
        ),
        ({"addresses": {"sms": "0151 12345678"}}, ("addresses.sms", "is not a phone number such as +4915112345678")),
        ({"addresses": {"push": "x" * 3000}}, ("addresses.push", "must have 1 to 2048 characters")),
        ({"addresses": {"push": 3}}, ("addresses.push", "must be text")),
        ({"locale": "german"}, ("locale", "is not a locale such as de or de-AT")),
        ({"locale": 3}, ("locale", "must be text")),
        ({"timezone": "Europe/Berlyn"}, ("timezone", "is not a time zone")),
        ({"timezone": "../../etc/passwd"}, ("timezone", "is not a time zone")),
        ({"channels": ["email", "email"]}, ("channels", "names something twice")),
        ({"channels": "email"}, ("channels", "must be a list")),
        ({"quiet_hours": {"start": "24:00"}}, ("quiet_hours.start", 'is not a time of day such as "22:00"')),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, ("quiet_hours.end", "is the same as start")),
        (
            {"quiet_hours": {"days": {"sat": {"start": "09:00", "end": "09:00"}}}},
            ("quiet_hours.days.sat.end", "is the same as start"),
        ),
        ({"preferences": [{"value": "never"}]}, ("preferences[0].value", "is not one of instant, digest, off")),
        ({"preferences": [{"category": "x" * 300, "value": "off"}]}, ("preferences[0].category", "is too long")),
        ({"preferences": [{"value": "off"}] * 300}, ("preferences", "has more than 200 entries")),
        (
            {"suppressed": [{"channel": "sms", "why": "BORED"}]},
            ("suppressed[0].why", "is not one of COMPLAINT, HARD_BOUNCE, STOP, UNREGISTERED, ERASED"),
        ),
        ({"snoozed_until": "tomorrow"}, ("snoozed_until", "is not an instant such as 2026-03-28T22:30:00+01:00")),
        ({"attributes": {"a b": 1}}, ("attributes.*", "must be a name of letters, digits and '_'")),
        ({"attributes": {"a": [1]}}, ("attributes.a", "must be text, a number, or true or false")),
        ({"attributes": {"a": 1 << 63}}, ("attributes.a", "is too large")),
        ({"digest": {"every": "2d"}}, ("digest.every", "is not one of 1d, 1h")),
        ([], ("", "must be an object")),
    ],
)
def test_a_violation_names_the_field_and_no_value(patch: Any, expected: tuple[str, str]) -> None:
    assert wrong(patch) == (expected,)


@pytest.mark.parametrize(
    "patch",
    [b"{", b"\xff", b"[" * 100_000, b'{"attributes":' * 5_000, b'{"locale":"' + b"x" * 70_000 + b'"}'],
)
def test_what_is_no_json_or_too_much_is_one_violation(patch: bytes) -> None:
    assert len(violations(patch)) == 1


def test_null_removes_and_is_no_violation() -> None:
    patch = {"addresses": {"sms": None}, "quiet_hours": None, "attributes": {"feeder": None}, "locale": None}
    assert wrong(patch) == ()
    merged = merge(ANA, patch)
    profile = to_profile("ana", merged)
    assert profile.addresses == (Address("email", "ana@example.org"),)
    assert profile.quiet_hours is None
    assert profile.locale == ""
    assert "feeder" not in profile.attributes


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [  # examples of RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_merge_as_the_rfc_says(
    document: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = json.dumps(document)
    assert merge(document, patch) == expected
    assert json.dumps(document) == before


def test_what_a_merge_left_incomplete_counts_as_not_given() -> None:
    assert to_profile("ana", {"quiet_hours": {"start": "22:00"}}).quiet_hours is None
    assert (
        to_profile("ana", merge({"quiet_hours": {"end": "22:00"}}, {"quiet_hours": {"start": "22:00"}})).quiet_hours
        is None
    )
    assert to_profile("ana", {"digest": {"at": "08:00"}, "preferences": []}) == Profile("ana", digest=DigestTimes())
