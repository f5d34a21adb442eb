import msgspec

from clarion.v1 import control_pb2
from services.common.dead_letters import dead_letter
from services.common.processor.ports import Record

GIVEN = Record("events", 3, 7, 0, b"key", b"\xff\x00 not json", (("ce_id", b"o1"),))


def test_a_dead_letter_keeps_the_input_readable() -> None:
    given = GIVEN
    letter = control_pb2.DeadLetter.FromString(dead_letter(given, "router", "POISON", "data is not JSON", 5))
    assert (letter.topic, letter.partition, letter.offset, letter.time_us) == ("events", 3, 7, 5)
    assert (letter.reason, letter.detail, letter.value) == ("POISON", "data is not JSON", given.value)
    assert tuple((header.name, header.value) for header in letter.headers) == given.headers


def test_a_huge_dead_letter_is_cut_and_says_so() -> None:
    huge = msgspec.structs.replace(GIVEN, value=b"x" * 900_000)
    letter = control_pb2.DeadLetter.FromString(dead_letter(huge, "router", "POISON", "too large", 5))
    assert (len(letter.value), letter.truncated) == (131_069, True)


def test_many_headers_and_a_long_key_share_the_budget() -> None:
    headers = tuple((f"{number:0900}", b"x" * 900) for number in range(400))
    greedy = msgspec.structs.replace(GIVEN, key=b"k" * 500_000, value=b"x" * 60_000, headers=(("none", None), *headers))
    encoded = dead_letter(greedy, "router", "POISON", "strange", 5)
    letter = control_pb2.DeadLetter.FromString(encoded)
    assert len(encoded) < 135_000
    assert (len(letter.key), len(letter.value), letter.truncated) == (1_024, 60_000, True)
    assert 20 < len(letter.headers) < 60
