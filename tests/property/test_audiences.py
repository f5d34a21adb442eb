"""Whom an event reaches: named customers, those whom a selector finds, everyone, and who must hear of the end."""

from collections import Counter
from random import Random

from tests.support.audiences import gather
from tests.support.reference.duel import forgot

SEEDS = range(1_000)


def test_core_and_reference_reach_the_same_customers_in_the_same_way() -> None:
    for seed in SEEDS:
        crowd = gather(Random(seed))  # noqa: S311 - a seed is what is wanted
        for number, (name, core, reference) in enumerate(crowd.both):
            if forgot(core, reference):
                break
            assert core == reference, (seed, number, name)


def test_who_is_not_named_gets_a_record_only_if_he_belongs_to_the_audience() -> None:
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        for event, name, decision in gather(Random(seed)).decisions:  # noqa: S311 - as above
            kind = "named" if event.customers else "select" if event.select else "everyone"
            assert decision.reason.name != "NOT_IN_AUDIENCE" or name in event.customers
            assert not event.customers or name in event.customers
            reached[f"{kind} {decision.outcome.name}"] += 1
    assert {f"{kind} SEND" for kind in ("named", "select", "everyone")} <= {k for k, n in reached.items() if n > 100}
