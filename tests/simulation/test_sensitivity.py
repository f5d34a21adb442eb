"""Each of the six rules is needed: without it a seed shows a loss, a double or a state that is not Kafka's."""

import pytest

from tests.simulation.broken import RULES
from tests.simulation.counting import Counting
from tests.simulation.world import simulate

SEEDS = 1_500


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_some_seed_breaks_the_promise(rule: str) -> None:
    assert any(simulate(seed, RULES[rule], Counting).wrong for seed in range(SEEDS))
