"""The decision core and the reference, a second and naive implementation, decide the same in every invented history."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.histories import play
from tests.support.reference.duel import first_difference, shortest

HISTORIES, LONG, CHUNK = 2_000, 100_000, 250


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        end = LONG if metafunc.config.getoption("--long") else HISTORIES
        chunks = [range(start, start + CHUNK) for start in range(0, end, CHUNK)]
        metafunc.parametrize("seeds", chunks, ids=[f"from-{c.start}" for c in chunks])


def test_core_and_reference_decide_the_same(seeds: range) -> None:
    for seed in seeds:
        found = first_difference(play(Random(seed), 20).log)  # noqa: S311 - a seed is what is wanted
        if found is not None:
            pytest.fail(f"seed {seed}, step {len(found.steps)}, made short: {shortest(found)}")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.randoms(use_true_random=False))
def test_core_and_reference_decide_the_same_in_histories_that_hypothesis_finds(random: Random) -> None:
    found = first_difference(play(random, 12).log)
    assert found is None, str(found)
