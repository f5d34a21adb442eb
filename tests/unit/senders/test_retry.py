from services.senders import retry
from tests.support.sending import HOUR, SECOND, START, send_id

STEPS = (5, 30, 120, 600, 1_800, 7_200, 18_000, 18_000, 18_000)


def test_each_wait_lies_within_its_step() -> None:
    for number in range(200):
        for attempt, step in enumerate(STEPS, start=1):
            wait = retry.due(send_id(number), attempt, START, START + 999 * HOUR) - START
            assert 0 < wait <= step * SECOND


def test_waits_use_their_whole_step() -> None:
    waits = [retry.due(send_id(number), 3, START, START + 999 * HOUR) - START for number in range(1000)]
    assert min(waits) < 12 * SECOND
    assert max(waits) > 108 * SECOND
    assert 55 < sum(waits) / len(waits) / SECOND < 65


def test_the_same_send_and_try_wait_the_same() -> None:
    assert retry.due(send_id(7), 2, START, START + HOUR) == retry.due(send_id(7), 2, START, START + HOUR)
    assert retry.due(send_id(7), 2, START, START + HOUR) != retry.due(send_id(7), 3, START, START + HOUR)


def test_no_wait_goes_beyond_expiry() -> None:
    assert retry.due(send_id(1), 7, START, START + SECOND) == START + SECOND
