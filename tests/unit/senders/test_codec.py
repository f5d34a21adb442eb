import pytest
from msgspec.structs import replace

from clarion.v1 import profile_pb2
from services.common.processor.ports import Record
from services.senders import codec
from services.senders.send import Choice, Recipient, Send, Wish
from tests.support.sending import START, send, wire

ADDRESSES = {"email": "ana@example.org", "sms": "+4915112345678"}


def record(value: bytes | None) -> Record:
    return Record("sends", 3, 17, START, b"northwind|ana", value)


def recipient(**fields: object) -> Recipient:
    given: dict[str, object] = {"tenant": "northwind", "customer": "ana", "addresses": ADDRESSES, **fields}
    return codec.recipient(profile_pb2.Profile(**given).SerializeToString(), "email")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        send(critical=True, lane="urgent", subject="INC-7", after=b"x" * 20),
        send(marketing=True, lane="bulk", required=True, step=3),
    ],
)
def test_a_send_is_read_as_it_was_written(given: Send) -> None:
    found = codec.send(record(wire(given)), given.lane, "email")
    assert replace(found, event=b"") == given
    assert found.event


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (send(send_id=b"short"), "an id is not 20 bytes long"),
        (send(decision_id=b""), "an id is not 20 bytes long"),
        (send(tenant=""), "names no customer"),
        (send(customer=""), "names no customer"),
        (send(channel="sms"), "is for another channel"),
    ],
)
def test_a_send_that_makes_no_sense_is_refused_in_words(given: Send, why: str) -> None:
    with pytest.raises(codec.UnreadableError, match=why):
        codec.send(record(wire(given)), "normal", "email")


def test_a_customer_is_read_as_far_as_the_channel_goes() -> None:
    preferences = [
        profile_pb2.Preference(category="order", value=profile_pb2.PREFERENCE_VALUE_OFF),
        profile_pb2.Preference(category="order"),
    ]
    attributes = {"feeder": profile_pb2.AttributeValue(string_value="F-17"), "nothing": profile_pb2.AttributeValue()}
    assert recipient(
        consents=["sms", "email"], preferences=preferences, attributes=attributes, locale="de", timezone="UTC"
    ) == Recipient(
        "ana",
        "ana@example.org",
        consents=True,
        wishes=(Wish("order", "", Choice.OFF),),
        locale="de",
        timezone="UTC",
        attributes={"feeder": "F-17", "nothing": None},
    )


def test_a_suppressed_address_of_another_channel_is_not_ours() -> None:
    stop = profile_pb2.SUPPRESSION_WHY_STOP
    assert recipient(suppressed=[profile_pb2.Suppression(channel="email", why=stop)]).suppressed
    assert not recipient(suppressed=[profile_pb2.Suppression(channel="sms", why=stop)]).suppressed


def test_nobody_writes_to_an_erased_customer() -> None:
    assert recipient(erased=True).suppressed


def test_a_profile_that_is_none_is_refused() -> None:
    with pytest.raises(codec.UnreadableError):
        codec.recipient(b"\xff\xff", "email")


def test_a_send_larger_than_any_honest_one_is_refused() -> None:
    large = "x" * 250_000
    assert codec.send(record(wire(send(subject=large))), "normal", "email").subject == large
    with pytest.raises(codec.UnreadableError, match="too large"):
        codec.send(record(wire(send(subject="x" * 262_144))), "normal", "email")


def test_ids_are_short_names_in_lower_case() -> None:
    assert codec.name(bytes(range(20))) == "aaaqeayeaudaocajbifqydiob4ibceqt"
    assert codec.ledger_key("urgent", bytes(range(20))) == b"urgent|aaaqeayeaudaocajbifqydiob4ibceqt"
