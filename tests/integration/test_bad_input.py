"""Bad input on the topics: each its dead letter with a reason, and what comes after it is decided as ever."""

from pathlib import Path

import pytest

from clarion.v1 import control_pb2
from services.common.topics import Topics
from tests.support.daytime import daytime_zone
from tests.support.following import following
from tests.support.stack import Message, event, running_stack

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DATA = {"order": "O-1", "problem": "delayed", "fixed_by": "2030-01-01T00:00:00Z"}


def bad(customer: str) -> dict[str, Message]:
    """Return bad events for one customer, each by the reason its dead letter has to name."""
    key, _, headers = event(customer, "undecodable", DATA)
    return {
        "data is not JSON": (key, b"\xff\xfe\x00 no json", headers),
        "has no event type com.northwind.nonsense": event(
            customer, "unknown-type", DATA, type="com.northwind.nonsense"
        ),
        "order": event(customer, "against-schema", {**DATA, "order": 7}),
        "64 KiB": event(customer, "huge", {**DATA, "note": "x" * 300_000}),
        "names 1 to 1000 customers": event(customer, "nobody", DATA, audience='{"customers":[]}'),
        "undefined field 'feedr'": event(
            customer, "selector", DATA, audience='{"select":"customer.attributes.feedr == \'F-17\'"}', subject=customer
        ),
        "ce_specversion": (b"", b"\x00\x01\x02", []),
    }


async def test_bad_events_become_dead_letters_and_the_flow_goes_on(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.put({"ana": {"addresses": {"email": "ana@example.org"}, "timezone": daytime_zone()}})
        await stack.start("router", "sender")
        given = bad("ana")
        for number, wrong in enumerate(given.values()):
            await stack.write(topics.events, [wrong])
            await stack.write(topics.events, [event("nobody", f"after-{number}", DATA)])
        await stack.write(topics.changes, [(b"northwind|ana", b"\xff\xff not protobuf", [])])
        await stack.write(topics.feedback, [(b"northwind|ana", b"\xff\xff not protobuf", [])])
        await stack.write(topics.sends("email", "normal"), [(b"northwind|ana", b"\xff\xff not protobuf", [])])
        # What comes last on the same partitions shows that all before it was taken.
        await stack.write(topics.events, [event("ana", "last", DATA)])
        await found.until(lambda found: found.ended() >= 2 * len(given) + 1 and found.settled())
        async with stack.reading() as log:
            letters = [
                control_pb2.DeadLetter.FromString(each.value or b"") for each in await log.records(topics.dead_letters)
            ]
            mails = await stack.mails()
    of_events = [letter.detail for letter in letters if letter.topic == topics.events]
    for says in given:
        assert any(says in detail for detail in of_events), (says, of_events)
    assert len(of_events) == len(given)
    others = {letter.topic for letter in letters} - {topics.events}
    assert others == {topics.changes, topics.feedback, topics.sends("email", "normal")}
    unknown = [each for each in found.decisions if each.customer == "nobody"]
    assert [each.reason.name for each in unknown] == ["NO_ADDRESS"] * len(given)
    assert len(mails) == 1


async def test_a_dead_letter_keeps_the_whole_input(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.start("router")
        key, value, headers = event("ana", "e1", {"order": 1})
        await stack.write(topics.events, [(key, value, headers)])
        await found.until(lambda found: found.ended() >= 1)
        async with stack.reading() as log:
            (record,) = await log.records(topics.dead_letters)
    letter = control_pb2.DeadLetter.FromString(record.value or b"")
    assert (letter.key, letter.value, letter.reason) == (key, value, "INVALID_DATA")
    assert [(header.name, header.value) for header in letter.headers] == headers
