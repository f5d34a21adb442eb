"""Whatever comes to a door gets an answer: a value, never an exception; and what it takes the router can read."""

import json

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.v1 import event_pb2
from services.common.processor.ports import Record
from services.common.strict_json import JsonMistake, parse
from services.control.event_lines import read_customers, read_events
from services.ingest.check import Reason, Refused, Taken, Violation, check_event, refused
from services.ingest.codec import Record as KafkaRecord
from services.ingest.codec import event_record, fit
from services.ingest.statuses import refusal
from services.router import codec as router
from services.router import fanout_records
from services.router.decision.model import Defaults, EventType, Policy

TYPE = EventType("t", lifecycle=True, check=lambda data: (("data.a", "is missing"),) if "a" not in data else ())
POLICY = Policy("n", "0" * 64, Defaults(), {}, (), (), {"t": TYPE}, (), {})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
json_bytes = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())
KEYS = ["id", "time", "sequence", "audience", "data", "lifecycle", "severity", "tenant", "customer", "expirytime", "x"]
tenants = st.sampled_from(["n", "", "other"]) | st.text(max_size=5)
names = st.text(max_size=8) | st.sampled_from(["t", "x" * 300])
GOOD = {"id": "o1", "source": "oms", "type": "t", "tenant": "n", "data": b'{"a":1}'}
instants = st.builds(
    lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
    st.integers(0, 253_402_300_799) | st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 999_999_999) | st.integers(-(2**31), 2**31 - 1),
)
texts = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=60) | names
objects = st.dictionaries(st.text(max_size=5), json_values, max_size=3).map(lambda given: {"a": 1, **given})
named = st.lists(texts, min_size=1, max_size=1) | st.lists(names, max_size=3)
audiences = (
    named.map(lambda ids: event_pb2.Audience(customers=event_pb2.Audience.Customers(ids=ids)))
    | st.booleans().map(lambda everyone: event_pb2.Audience(everyone=everyone))
    | (st.sampled_from(["true", 'customer.locale == "de"', " "]) | texts).map(
        lambda cel: event_pb2.Audience(select=cel)
    )
    | st.just(event_pb2.Audience())
)
# A good event, some fields of it replaced by others that may be good as well.
events = st.builds(
    lambda fields, audience: event_pb2.Event(audience=audience, **{**GOOD, **fields}),
    st.fixed_dictionaries(
        {},
        optional={
            "id": texts,
            "source": texts,
            "type": names,
            "tenant": tenants,
            "data": objects.map(lambda value: json.dumps(value).encode()) | json_bytes,
            "subject": texts,
            "lifecycle": st.integers(0, 5) | st.integers(-1, 9),
            "severity": st.integers(0, 4) | st.integers(-1, 9),
            "sequence": st.integers(-(2**63), 2**63 - 1),
            "traceparent": names,
            "data_content_type": st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "x"]) | texts,
            "time": instants,
            "expire_time": instants,
        },
    ),
    audiences,
)


def answered(event: event_pb2.Event) -> Taken | Refused:
    answer = check_event(event, {"n": POLICY}.get, "n")
    if isinstance(answer, Taken):
        record = fit(event_record(answer, "", "grpc"))
        if isinstance(record, KafkaRecord):
            read = router.event(Record("events", 0, 0, 1, record.key, record.value, record.headers), "")
            assert (read.tenant, read.customers, read.id) == (
                answer.tenant,
                tuple(event.audience.customers.ids),
                event.id,
            )
            assert (read.select, read.everyone) == (event.audience.select, event.audience.everyone)
            assert read.data == parse(event.data)
            # The same event, on its way to the partitions of its members.
            fan_out = fanout_records.encode(b"id", read, 1, 2)
            assert fanout_records.parse(3, fan_out) == fanout_records.FanOut(3, b"id", read, 1, 2)
    else:
        assert refusal(answer).reason == answer.violations[0].reason
    return answer


@given(events)
@settings(max_examples=400)
def test_any_event_is_taken_or_refused(event: event_pb2.Event) -> None:
    answered(event)


@given(st.binary(max_size=300))
def test_any_bytes_that_are_a_message_are_taken_or_refused(data: bytes) -> None:
    try:
        event = event_pb2.Event.FromString(data)
    except DecodeError:
        return
    answered(event)


@given(st.binary(max_size=200) | json_bytes)
@settings(max_examples=500)
def test_what_is_parsed_can_be_written_again_and_means_the_same(data: bytes) -> None:
    try:
        value = parse(data)
    except JsonMistake as mistake:
        assert str(mistake)  # noqa: PT017  # either is right; a third outcome is what must not be
        return
    written = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    assert parse(written) == value == json.loads(data)


@given(st.text(max_size=300) | st.dictionaries(st.sampled_from(KEYS), json_values).map(json.dumps))
def test_any_line_is_read_or_a_mistake(line: str) -> None:
    for _, event in read_events([line]):
        if isinstance(event, event_pb2.Event):
            answered(event)
        else:
            assert event
    for _, change in read_customers([line]):
        assert change


@given(st.lists(st.tuples(st.text(max_size=3_000), st.text(max_size=3_000), st.sampled_from(Reason)), min_size=1))
def test_details_of_a_refusal_always_fit_into_a_header(given_violations: list[tuple[str, str, Reason]]) -> None:
    refusal_bytes = refusal(refused([Violation(*given) for given in given_violations])).ByteSize()

    assert refusal_bytes < 8_192
