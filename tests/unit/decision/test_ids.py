from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import pytest

from services.router.decision import ids
from tests.builders import NOON, customer, event


def test_an_id_is_twenty_bytes_and_its_text_lower_case_base32() -> None:
    decision = ids.decision_id(event(), NOON, "outage", "ana")
    assert len(decision) == 20
    assert len(ids.text(decision)) == 32
    assert ids.text(decision) == ids.text(decision).lower()
    assert ids.parse(ids.text(decision)) == decision


@pytest.mark.parametrize("text", ["", "abc", "A" * 32, "1" * 32, "a" * 40])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ids.parse(text)


def each_changed(make: Callable[..., bytes], plain: dict[str, Any], others: dict[str, Any]) -> list[bytes]:
    return [make(**plain), *(make(**{**plain, name: other}) for name, other in others.items())]


def digest_id(tenant: str, id: str, channel: str, due: int) -> bytes:
    return ids.digest_id(customer(tenant=tenant, id=id), channel, due)


def of_event(make: Callable[..., bytes]) -> Callable[..., bytes]:
    def made(first_seen: int, tail: Any, **parts: Any) -> bytes:
        return make(event(**parts), first_seen, *tail)

    return made


def test_every_part_makes_another_id() -> None:
    plain = {"tenant": "t", "source": "s", "id": "i", "content_hash": b"c", "first_seen": 1}
    others = {"tenant": "x", "source": "x", "id": "x", "content_hash": b"x", "first_seen": 2}
    found = [
        *each_changed(of_event(ids.decision_id), {**plain, "tail": ("r", "c")}, {**others, "tail": ("x", "c")}),
        ids.decision_id(event(), 1, "r", "x"),
        *each_changed(of_event(ids.record_id), {**plain, "tail": ((0, 1),)}, {**others, "tail": ((0, 2),)}),
        *each_changed(
            digest_id,
            {"tenant": "t", "id": "i", "channel": "c", "due": 1},
            {"tenant": "x", "id": "x", "channel": "x", "due": 2},
        ),
        *each_changed(
            ids.send_id, {"decision": b"d", "channel": "c", "step": 0}, {"decision": b"x", "channel": "x", "step": 1}
        ),
    ]
    assert len(set(found)) == len(found)


def test_ids_are_the_same_in_every_version() -> None:
    """Receivers and the ledger know messages by them, also over an upgrade: arrays of msgpack, hashed."""
    given = event(tenant="t", source="s", id="i", content_hash=b"c")
    found = [
        ids.decision_id(given, 1, "r", "c"),
        ids.record_id(given, 1, (0, 1)),
        ids.send_id(b"d", "email", 0),
        ids.digest_id(customer(tenant="t", id="c"), "email", 1),
    ]
    packed = [
        b"\x97\xa1t\xa1s\xa1i\xc4\x01c\x01\xa1r\xa1c",
        b"\x98\xa1t\xa1s\xa1i\xc4\x01c\x01\xa0\xa0\x92\x00\x01",
        b"\x93\xc4\x01d\xa5email\x00",
        b"\x95\xa1t\xa1c\xa6digest\xa5email\x01",
    ]
    assert found == [blake2b(each, digest_size=20).digest() for each in packed]
