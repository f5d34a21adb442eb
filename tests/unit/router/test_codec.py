from collections.abc import Mapping

import msgspec
import pytest

from clarion.v1 import profile_pb2
from services.common.processor.ports import Record
from services.router import codec
from services.router.decision.model import Lifecycle, Severity

HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "o1",
    "ce_source": "oms",
    "ce_type": "order.error",
    "ce_subject": "4711",
    "ce_tenant": "northwind",
    "ce_audience": '{"customers":["ana"]}',
    "content-type": "application/json; charset=utf-8",
}
APPENDED = 1_790_000_000_000_000


def record(
    value: bytes = b'{"order":"4711"}',
    key: bytes | None = None,
    change: Mapping[str, str | None] | None = None,
    **headers: str | None,
) -> Record:
    changed = {name.replace("__", "-"): text for name, text in {**headers, **(change or {})}.items()}
    texts: Mapping[str, str | None] = {**HEADERS, **changed}
    found = tuple((name, text.encode()) for name, text in texts.items() if text is not None)
    return Record("events", 3, 7, APPENDED, key, value, found)


def test_an_event_without_time_happened_when_the_broker_took_it() -> None:
    assert codec.event(record(), "").time == APPENDED


def test_an_event_from_the_far_future_happened_when_the_broker_took_it() -> None:
    assert codec.event(record(ce_time="2099-01-01T00:00:00Z"), "").time == APPENDED


def test_times_of_any_zone_are_instants() -> None:
    event = codec.event(record(ce_time="2026-03-29T03:30:00.000001+02:00", ce_expirytime="2026-03-29T01:30:00Z"), "")
    assert (event.time, event.expiry) == (1_774_747_800_000_001, 1_774_747_800_000_000)


def test_words_become_enums_and_have_defaults() -> None:
    plain = codec.event(record(), "")
    said = codec.event(record(ce_lifecycle="resolved", ce_severity="major", ce_sequence="-3"), "")
    assert (plain.lifecycle, plain.severity, plain.sequence) == (Lifecycle.POINT, Severity.INFO, None)
    assert (said.lifecycle, said.severity, said.sequence) == (Lifecycle.RESOLVED, Severity.MAJOR, -3)


def test_without_an_audience_the_key_names_the_customer() -> None:
    assert codec.event(record(key=b"northwind|ben", ce_audience=None), "").customers == ("ben",)


def test_the_default_tenant_is_for_events_that_name_none() -> None:
    assert codec.event(record(ce_tenant=None), "northwind").tenant == "northwind"


def test_a_header_without_value_is_no_header() -> None:
    given = record()
    more = msgspec.structs.replace(given, headers=(*given.headers, ("ce_time", None)))
    assert codec.event(more, "").time == APPENDED


@pytest.mark.parametrize("seconds", [-1, 2**62, 253_402_300_800])
def test_an_absurd_acceptance_of_a_change_is_that_of_the_broker(seconds: int) -> None:
    change = profile_pb2.Change(tenant="northwind", customer="ana", merge_patch=b"{}")
    change.accept_time.seconds = seconds
    given = Record("changes", 3, 7, APPENDED, b"northwind|ana", change.SerializeToString())
    assert codec.change(given).accepted == APPENDED


def test_names_of_headers_have_a_limit() -> None:
    given = record()
    greedy = tuple((f"{number:0900}", b"") for number in range(20))
    with pytest.raises(codec.PoisonError, match="names of the headers"):
        codec.event(msgspec.structs.replace(given, headers=(*given.headers, *greedy)), "")


def test_header_names_are_taken_in_any_case() -> None:
    given = record()
    shouted = msgspec.structs.replace(given, headers=tuple((name.upper(), value) for name, value in given.headers))
    assert codec.event(shouted, "").content_hash == codec.event(given, "").content_hash


def test_the_same_content_has_the_same_hash_however_it_is_written() -> None:
    one = codec.event(record(b'{"order":"4711","amount":1}', clarion__door="grpc"), "")
    other = codec.event(record(b'{ "amount": 1, "order": "\\u0034711" }', ce_time="2026-01-01T00:00:00Z"), "")
    assert one.content_hash == other.content_hash


@pytest.mark.parametrize(
    "change",
    [
        {"ce_type": "other"},
        {"ce_subject": "4712"},
        {"ce_lifecycle": "opened"},
        {"ce_sequence": "1"},
        {"ce_severity": "major"},
        {"ce_audience": '{"customers":["ben"]}'},
        {"ce_audience": '{"customers":["ana","ben"]}'},
        {"ce_audience": '{"everyone":true}'},
        {"ce_audience": '{"select":"true"}'},
    ],
)
def test_other_content_has_another_hash(change: dict[str, str]) -> None:
    assert codec.event(record(change=change), "").content_hash != codec.event(record(), "").content_hash


def test_the_same_list_in_another_order_is_the_same_audience() -> None:
    one = codec.event(record(ce_audience='{"customers":["ana","ben"]}'), "")
    other = codec.event(record(ce_audience='{"customers":["ben","ana"]}'), "")
    assert (one.content_hash, one.customers) == (other.content_hash, ("ana", "ben"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ce_specversion": None}, "ce_specversion is not 1.0"),
        ({"ce_id": None}, "ce_id is missing"),
        ({"ce_source": ""}, "ce_source is missing"),
        ({"ce_type": "x" * 257}, "ce_type has 257 bytes"),
        ({"ce_subject": "a\u202eb"}, "text direction"),
        ({"ce_tenant": None}, "tenant is missing"),
        ({"ce_tenant": "North Wind"}, "the tenant must be"),
        ({"ce_audience": None}, "no audience"),
        ({"ce_audience": '{"everyone":false}'}, "an audience is"),
        ({"ce_audience": '{"everyone":true,"select":"true"}'}, "an audience is"),
        ({"ce_audience": '{"select":" "}'}, "an audience is"),
        ({"ce_audience": '{"customers":["ana",7]}'}, "an audience is"),
        ({"ce_audience": '{"customers":[]}'}, "names 1 to 1000 customers"),
        ({"ce_audience": '{"customers":["ana","ben","ana"]}'}, "names a customer twice"),
        ({"ce_audience": '{"customers":["a|b"]}'}, '"|"'),
        ({"ce_audience": "ana"}, "the audience is not JSON"),
        ({"ce_lifecycle": "begun"}, "ce_lifecycle is none of point, opened"),
        ({"ce_severity": "bad"}, "ce_severity is none of"),
        ({"ce_sequence": "one"}, "not a whole number"),
        ({"ce_sequence": "1_000"}, "not a whole number"),
        ({"ce_sequence": str(2**63)}, "64 bits"),
        ({"ce_expirytime": "9999-12-31T23:59:59-14:00"}, "from 1970 to 9999"),
        ({"ce_time": "0001-01-01T00:00:00+14:00"}, "from 1970 to 9999"),
        ({"ce_time": "yesterday"}, "ce_time is not an RFC 3339 time"),
        ({"ce_time": "2026-01-01T00:00:00"}, "ce_time has no zone"),
        ({"content__type": "text/plain"}, "application/json"),
    ],
)
def test_a_bad_header_is_named(change: dict[str, str | None], says: str) -> None:
    with pytest.raises(codec.PoisonError, match=says):
        codec.event(record(change=change), "")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"\xff\x00", "data is not"),
        (b"[1]", "data must be a JSON object"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "deeper than 32"),
        (b'{"a":"' + b"x" * 300_000 + b'"}', "the limit is 64 KiB"),
    ],
)
def test_bad_data_is_named_without_its_content(value: bytes, says: str) -> None:
    with pytest.raises(codec.PoisonError, match=says):
        codec.event(record(value), "")
