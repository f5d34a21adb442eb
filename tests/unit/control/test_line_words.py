"""Refusals speak of the line that a person wrote, not of the message that was made from it."""

import pytest

from services.control.event_lines import Mistake, read_events
from services.control.line_words import as_in_the_line
from services.ingest.check import Refused, check_event
from services.policy.profiles import violations


@pytest.mark.parametrize(
    ("wire", "line"),
    [
        (
            ("audience.customers.ids", "must name 1 to 1000 customers, not 0"),
            ("audience.customers", "must name 1 to 1000 customers, not 0"),
        ),
        (("audience.customers.ids[0]", "is empty"), ("audience.customers[0]", "is empty")),
        (
            ("lifecycle", "must be POINT: the type is declared without a lifecycle"),
            ("lifecycle", "must be point: the type is declared without a lifecycle"),
        ),
        (
            ("severity", "must be INFO, MINOR, MAJOR or CRITICAL"),
            ("severity", "must be info, minor, major or critical"),
        ),
        (("expire_time", "must be an instant"), ("expirytime", "must be an instant")),
        (("data_content_type", "must be application/json"), ("datacontenttype", "must be application/json")),
        (("data.order", "must be TEXT"), ("data.order", "must be TEXT")),
        (("merge_patch", "must be a JSON object"), ("the line", "must be a JSON object")),
    ],
)
def test_the_words_of_the_wire_become_those_of_the_line(wire: tuple[str, str], line: tuple[str, str]) -> None:
    assert as_in_the_line(*wire) == line


def test_what_the_door_says_of_an_event_for_nobody_has_no_word_of_the_wire() -> None:
    ((_, event),) = read_events([b'{"id": "1", "source": "oms", "type": "t", "tenant": "northwind", "data": {}}'])
    assert not isinstance(event, tuple)
    refused = check_event(event, lambda _: None, "")
    assert isinstance(refused, Refused)
    assert any(".ids" in each.description for each in refused.violations)
    assert not any(
        ".ids" in word for each in refused.violations for word in as_in_the_line(each.field, each.description)
    )


def test_a_key_of_a_customer_that_is_nearly_right_is_hinted_at() -> None:
    ((field, description),) = violations(b'{"adresses": {}}')
    assert as_in_the_line(field, description) == (
        "adresses",
        "is not a key of a profile (did you mean addresses?)",
    )
    assert as_in_the_line("zzz", description) == ("zzz", "is not a key of a profile")


def test_a_customer_beside_the_audience_is_hinted_at() -> None:
    ((_, read),) = read_events([b'{"id": "1", "customer": "ana"}'])
    assert read == (
        Mistake(
            "INVALID_EVENT",
            "customer",
            'is not a key of an event: an event names its customer as "audience": {"customers": [ID]}',
        ),
    )
