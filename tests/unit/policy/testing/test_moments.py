"""Offsets and instants of rule tests."""

import pytest

from services.policy.testing.moments import Moment, iso, moment, offset
from services.policy.words import WordError
from services.router.decision.model import DAY, HOUR, MINUTE, SECOND


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("0m", 0),
        ("90s", 90 * SECOND),
        ("1h30m", 90 * MINUTE),
        ("2d1h", 2 * DAY + HOUR),
        ("0.25s", 250_000),
    ],
)
def test_an_offset_is_read_from_the_start(text: str, time: int) -> None:
    assert moment(text) == Moment(time, relative=True)
    assert moment(text).after(7) == time + 7


def test_an_instant_stands_for_itself() -> None:
    read = moment("2026-03-28T22:30:00+01:00")
    assert (read.relative, iso(read.after(7))) == (False, "2026-03-28T21:30:00Z")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-5m", "'-5m' lies before the start: an offset is not negative"),
        ("5 m", "neither an offset such as 0m, 90s or 1h30m nor an instant"),
        ("", "neither an offset"),
        ("30m1h", "neither an offset"),
        ("2026-03-28T22:30:00", "has no offset from UTC"),
    ],
)
def test_anything_else_is_a_mistake(text: str, says: str) -> None:
    with pytest.raises(WordError, match=says.replace("(", r"\(")):
        moment(text)


@pytest.mark.parametrize("text", ["0m", "12m", "1h30m", "1d2h3m4.5s", "0.000001s"])
def test_what_is_told_can_be_written_into_a_test(text: str) -> None:
    assert offset(moment(text).after(1_000), 1_000) == text


def test_what_lies_before_the_start_is_told_as_an_instant() -> None:
    assert offset(0, 1) == "1970-01-01T00:00:00Z"
