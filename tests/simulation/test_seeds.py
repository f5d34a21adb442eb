"""The promise of the processor, on a model of Kafka: whatever goes wrong, each input counts exactly once.

`make simulate SEEDS=1 FROM=n` tells the story of a seed that failed; `make simulate SEEDS=n` runs as many as one likes.
"""

import pytest

from tests.simulation.world import simulate

SEEDS = 1_000
CHUNK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_each_input_counts_once(first: int) -> None:
    verdicts = [simulate(seed) for seed in range(first, first + CHUNK)]
    assert {verdict.seed: verdict.wrong for verdict in verdicts if verdict.wrong} == {}


def test_a_seed_always_tells_the_same_story() -> None:
    assert [simulate(seed).figures for seed in (6, 7)] == [simulate(seed).figures for seed in (6, 7)]
