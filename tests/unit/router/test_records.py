import msgspec

from clarion.v1 import control_pb2
from services.common.processor.ports import Record
from services.router import records

GIVEN = Record("events", 3, 7, 0, b"key", b"\xff\x00 not json", (("ce_id", b"o1"),))


def test_a_dead_letter_keeps_the_input_readable() -> None:
    given = GIVEN
    letter = control_pb2.DeadLetter.FromString(records.dead_letter(given, "POISON", "data is not JSON", 5))
    assert (letter.topic, letter.partition, letter.offset, letter.time_us) == ("events", 3, 7, 5)
    assert (letter.reason, letter.detail, letter.value) == ("POISON", "data is not JSON", given.value)
    assert tuple((header.name, header.value) for header in letter.headers) == given.headers


def test_a_huge_dead_letter_is_cut_and_says_so() -> None:
    letter = control_pb2.DeadLetter.FromString(
        records.dead_letter(msgspec.structs.replace(GIVEN, value=b"x" * 900_000), "POISON", "too large", 5)
    )
    assert (len(letter.value), letter.truncated) == (131_072, True)
