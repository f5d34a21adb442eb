"""The promise of translated conditions: on any scope they give the truth that the CEL library gives."""

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.expressions import Compiled, ExpressionError
from services.router.decision.model import Scope, Truth
from tests.support.conditions import LANGUAGE, NAMES, Grammar, Scopes

PAIRS = 3_000


def compiled(source: str) -> Compiled | None:
    """Compile a condition; the grammar doesn't know all types, so some are refused."""
    try:
        return LANGUAGE.compile(source, NAMES)
    except ExpressionError:
        return None


@st.composite
def conditions(draw: st.DrawFn) -> str:
    return Grammar(lambda options: draw(st.sampled_from(options))).truth(draw(st.integers(0, 3)))


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    return Scopes(lambda options: draw(st.sampled_from(options)), odd=draw(st.booleans())).scope()


@settings(max_examples=300, deadline=None)
@given(source=conditions(), seen=scopes())
def test_a_translated_condition_says_what_the_library_says(source: str, seen: Scope) -> None:
    found = compiled(source)
    if found is not None:
        assert (source, found.condition.evaluate(seen)) == (source, found.by_library(seen))


def test_thousands_of_conditions_agree_and_nearly_all_are_translated() -> None:
    kinds: Counter[str] = Counter()
    truths: Counter[Truth] = Counter()
    for seed in range(PAIRS):
        rng = random.Random(seed)  # noqa: S311 - the same conditions in every run
        source = Grammar(rng.choice).truth(rng.choice((1, 2, 3)))
        found = compiled(source)
        if found is None:
            kinds["refused"] += 1
            continue
        kinds["translated" if found.translated else "by the library"] += 1
        usual, odd = Scopes(rng.choice, odd=False).scope(), Scopes(rng.choice, odd=True).scope()
        asked = [found.by_library(usual), found.by_library(odd)]
        assert (source, [found.condition.evaluate(usual), found.condition.evaluate(odd)]) == (source, asked)
        truths.update(asked)
        kinds["left to the library"] += found.translated and asks_the_library(found, usual)
    assert kinds["translated"] > 0.8 * (PAIRS - kinds["refused"])
    assert kinds["refused"] < 0.1 * PAIRS
    assert kinds["left to the library"] < 0.1 * PAIRS
    assert min(truths[truth] for truth in Truth) > 0.1 * PAIRS


def asks_the_library(found: Compiled, seen: Scope) -> bool:
    """Whether the translation leaves this scope to the library."""
    evaluate: Any = found.condition.evaluate
    space = evaluate.__globals__
    asked: list[Scope] = []
    usual, space["otherwise"] = space["otherwise"], asked.append
    evaluate(seen)
    space["otherwise"] = usual
    return bool(asked)
