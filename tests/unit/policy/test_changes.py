from services.policy.changes import changed

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
