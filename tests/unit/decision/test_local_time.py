from datetime import date, datetime

import pytest

from services.router.decision import local_time
from services.router.decision.model import HOUR, MINUTE, SECOND, Defaults
from tests.builders import NOON, profile

BERLIN, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("day", "minutes", "zone", "wanted"),
    [
        ((2026, 3, 4), 8 * 60 + 30, BERLIN, "2026-03-04T08:30:00+01:00"),
        ((2026, 7, 4), 8 * 60 + 30, BERLIN, "2026-07-04T08:30:00+02:00"),
        ((2026, 3, 4), 24 * 60, BERLIN, "2026-03-05T00:00:00+01:00"),
        ((2026, 3, 4), 0, "Asia/Tokyo", "2026-03-04T00:00:00+09:00"),
        ((2026, 10, 25), 2 * 60 + 30, "Asia/Tokyo", "2026-10-25T02:30:00+09:00"),
        ((2026, 3, 29), 2 * 60 + 30, "UTC", "2026-03-29T02:30:00+00:00"),
        ((2026, 3, 29), 2 * 60 + 30, "No/Where", "2026-03-29T02:30:00+00:00"),
        # Spring in Berlin: 02:00 becomes 03:00.
        ((2026, 3, 29), 60 + 59, BERLIN, "2026-03-29T01:59:00+01:00"),
        ((2026, 3, 29), 2 * 60, BERLIN, "2026-03-29T03:00:00+02:00"),
        ((2026, 3, 29), 2 * 60 + 1, BERLIN, "2026-03-29T03:00:00+02:00"),
        ((2026, 3, 29), 2 * 60 + 59, BERLIN, "2026-03-29T03:00:00+02:00"),
        ((2026, 3, 29), 3 * 60, BERLIN, "2026-03-29T03:00:00+02:00"),
        ((2026, 3, 29), 3 * 60 + 1, BERLIN, "2026-03-29T03:01:00+02:00"),
        # Autumn in Berlin: 03:00 becomes 02:00.
        ((2026, 10, 25), 60 + 59, BERLIN, "2026-10-25T01:59:00+02:00"),
        ((2026, 10, 25), 2 * 60, BERLIN, "2026-10-25T02:00:00+02:00"),
        ((2026, 10, 25), 2 * 60 + 59, BERLIN, "2026-10-25T02:59:00+02:00"),
        ((2026, 10, 25), 3 * 60, BERLIN, "2026-10-25T03:00:00+01:00"),
        # Lord Howe moves by half an hour: spring 02:00 becomes 02:30, autumn 02:00 becomes 01:30.
        ((2026, 10, 4), 2 * 60, LORD_HOWE, "2026-10-04T02:30:00+11:00"),
        ((2026, 10, 4), 2 * 60 + 29, LORD_HOWE, "2026-10-04T02:30:00+11:00"),
        ((2026, 10, 4), 2 * 60 + 30, LORD_HOWE, "2026-10-04T02:30:00+11:00"),
        ((2026, 10, 4), 2 * 60 + 31, LORD_HOWE, "2026-10-04T02:31:00+11:00"),
        ((2026, 4, 5), 60 + 30, LORD_HOWE, "2026-04-05T01:30:00+11:00"),
        ((2026, 4, 5), 60 + 59, LORD_HOWE, "2026-04-05T01:59:00+11:00"),
        ((2026, 4, 5), 2 * 60, LORD_HOWE, "2026-04-05T02:00:00+10:30"),
        # Midnight itself may be skipped: Cairo 2026, and Samoa skipped a whole day.
        ((2026, 4, 24), 0, "Africa/Cairo", "2026-04-24T01:00:00+03:00"),
        ((2011, 12, 30), 12 * 60, "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
    ],
)
def test_a_local_time_is_one_instant(day: tuple[int, int, int], minutes: int, zone: str, wanted: str) -> None:
    assert local_time.instant(date(*day), minutes, zone) == at(wanted)


@pytest.mark.parametrize(
    ("now", "zone", "wanted"),
    [
        ("2026-03-04T12:00:00+00:00", "UTC", "2026-03-04T13:00:00+00:00"),
        ("2026-03-04T12:59:59+00:00", "UTC", "2026-03-04T13:00:00+00:00"),
        ("2026-03-04T23:10:00+00:00", "UTC", "2026-03-05T00:00:00+00:00"),
        ("2026-03-04T12:10:00+00:00", "Asia/Kolkata", "2026-03-04T12:30:00+00:00"),
        ("2026-03-04T12:30:00+00:00", "Asia/Kolkata", "2026-03-04T13:30:00+00:00"),
        ("2026-03-29T01:10:00+01:00", BERLIN, "2026-03-29T03:00:00+02:00"),
        ("2026-03-29T03:00:00+02:00", BERLIN, "2026-03-29T04:00:00+02:00"),
        # The hour that comes twice is one hour by the local clock: 02:00 is the first, 03:00 comes after the second.
        ("2026-10-25T01:30:00+02:00", BERLIN, "2026-10-25T02:00:00+02:00"),
        ("2026-10-25T02:00:00+02:00", BERLIN, "2026-10-25T03:00:00+01:00"),
        ("2026-10-25T02:30:00+01:00", BERLIN, "2026-10-25T03:00:00+01:00"),
        ("2026-10-25T03:00:00+01:00", BERLIN, "2026-10-25T04:00:00+01:00"),
        ("2026-10-04T01:30:00+10:30", LORD_HOWE, "2026-10-04T02:30:00+11:00"),
        ("2026-10-04T02:30:00+11:00", LORD_HOWE, "2026-10-04T03:00:00+11:00"),
        ("2026-04-05T01:00:00+11:00", LORD_HOWE, "2026-04-05T02:00:00+10:30"),
        ("2026-04-05T01:40:00+10:30", LORD_HOWE, "2026-04-05T02:00:00+10:30"),
        ("2011-12-29T23:00:00-10:00", "Pacific/Apia", "2011-12-31T00:00:00+14:00"),
    ],
)
def test_the_next_hour_is_the_next_full_one_by_the_local_clock(now: str, zone: str, wanted: str) -> None:
    assert local_time.next_hour(at(now), zone) == at(wanted)


@pytest.mark.parametrize("zone", ["UTC", BERLIN, LORD_HOWE, "Asia/Kolkata", "Pacific/Apia", "Asia/Kathmandu"])
@pytest.mark.parametrize("start", ["2026-03-28T20:00:00+00:00", "2026-10-24T20:00:00+00:00", "2026-04-04T10:00:00Z"])
def test_the_next_hour_is_after_now_and_not_far(zone: str, start: str) -> None:
    for step in range(100):
        now = at(start) + step * 7 * MINUTE + 1
        assert now < local_time.next_hour(now, zone) <= now + 2 * HOUR


def test_an_instant_is_written_with_its_offset() -> None:
    assert local_time.written(NOON, BERLIN) == "2026-03-04T13:00:00+01:00"
    assert local_time.written(NOON + 999_999, "Asia/Kolkata") == "2026-03-04T17:30:00+05:30"
    assert local_time.written(at("2026-10-25T02:30:00+02:00"), BERLIN) == "2026-10-25T02:30:00+02:00"
    assert local_time.written(at("2026-10-25T02:30:00+01:00"), BERLIN) == "2026-10-25T02:30:00+01:00"


def test_the_day_is_the_local_one() -> None:
    evening = at("2026-03-04T23:30:00+00:00")
    assert local_time.day_of(evening, "UTC") == date(2026, 3, 4)
    assert local_time.day_of(evening, BERLIN) == date(2026, 3, 5)
    assert local_time.day_of(evening - 1, "No/Where") == date(2026, 3, 4)


@pytest.mark.parametrize(
    ("his", "tenants", "wanted"),
    [
        ("Asia/Tokyo", BERLIN, "Asia/Tokyo"),
        ("", BERLIN, BERLIN),
        ("No/Where", BERLIN, BERLIN),
        ("../etc/passwd", BERLIN, BERLIN),
        ("Europe", BERLIN, BERLIN),
        ("No/Where", "No/How", "UTC"),
        ("", "", "UTC"),
    ],
)
def test_the_zone_is_the_customers_then_the_tenants_then_utc(his: str, tenants: str, wanted: str) -> None:
    assert local_time.zone_of(profile(timezone=his), Defaults(timezone=tenants)) == wanted
