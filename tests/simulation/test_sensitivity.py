"""Each of the six rules is needed: without it a seed shows a loss, a double or a state that is not Kafka's."""

import pytest

from tests.simulation.broken import RULES
from tests.simulation.counting import Counting
from tests.simulation.world import simulate

SEEDS = 1_500


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_some_seed_breaks_the_promise(rule: str) -> None:
    # What a late request does takes one that goes wrong in the transaction after it, too: many must.
    rate = 0.3 if rule == "R4, repeated" else None
    assert any(simulate(seed, RULES[rule], Counting, rate).wrong for seed in range(SEEDS))
