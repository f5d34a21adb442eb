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
