from services.policy.changes import changed, erased
from services.policy.profiles import ERASED, to_profile, violations

OFF = {"category": "order", "value": "off"}
DAILY = {"channel": "email", "value": "instant"}


def test_a_new_wish_has_the_date_and_the_author_of_its_change() -> None:
    after = changed({"locale": "de"}, {"preferences": [OFF]}, 5, "grpc")
    assert after == {"locale": "de", "preferences": [{**OFF, "set_time": 5, "set_by": "grpc"}]}


def test_a_wish_that_stays_keeps_its_date() -> None:
    before = changed({}, {"preferences": [OFF]}, 5, "grpc")
    after = changed(before, {"preferences": [DAILY, OFF]}, 9, "console")
    assert after["preferences"] == [
        {**DAILY, "set_time": 9, "set_by": "console"},
        {**OFF, "set_time": 5, "set_by": "grpc"},
    ]


def test_a_wish_that_changed_has_the_date_of_the_change() -> None:
    before = changed({}, {"preferences": [OFF]}, 5, "grpc")
    after = changed(before, {"preferences": [{**OFF, "value": "instant"}]}, 9, "grpc")
    assert [wish["set_time"] for wish in after["preferences"]] == [9]


def test_taking_all_wishes_back_leaves_none() -> None:
    before = changed({}, {"preferences": [OFF], "suppressed": [{"channel": "sms", "why": "STOP"}]}, 5, "grpc")
    assert changed(before, {"preferences": None}, 9, "grpc").keys() == {"suppressed"}


def test_an_erased_address_is_never_used_again_whatever_is_put() -> None:
    before = {"addresses": {"email": "ana@example.org", "sms": "+4915112345678"}, "locale": "de"}
    left = erased("ana", before)
    assert "ana@example.org" not in str(left)
    assert "addresses" not in left
    patch = {"addresses": {"email": "ana@example.org", "sms": "+4915199999999"}, "suppressed": []}
    again = to_profile("ana", changed(left, patch, 8, "crm"))
    assert {(s.channel, s.why) for s in again.suppressed} == {("email", "ERASED")}
    twice = erased("ana", changed(left, patch, 8, "crm"))
    assert set(left[ERASED]) < set(twice[ERASED])


def test_no_change_reaches_the_marks_of_erased_addresses() -> None:
    assert violations(b'{"erased_addresses": []}') == (("erased_addresses", "is not a key of a profile"),)
