"""The walk over the rules of one event type, made short where there are many.

Most rules of a type ask for one value of a field, or for numbers in a range. With more than a few rules that field is
looked up once, and only the rules that can hold with its value are tried; the trace says how many others ask for
another value. With few rules each is tried, so that the trace tells of each.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from services.policy.cel_demands import Demands, Range
from services.policy.cel_tree import Path
from services.policy.schemas import Field, Kind
from services.policy.words import LIFECYCLES, SEVERITIES
from services.router.decision.model import Lifecycle, Rule, Scope, Severity, Walk

FEW: Final = 16
_LENGTH: Final = 2
_LIFECYCLE_WORDS: Final = {Lifecycle[word.upper()]: word for word in LIFECYCLES}
_SEVERITY_WORDS: Final = {Severity[word.upper()]: word for word in SEVERITIES}
_EVENT_WORDS: Final[Mapping[str, Callable[[Scope], Any]]] = {
    "lifecycle": lambda scope: _LIFECYCLE_WORDS[scope.event.lifecycle],
    "severity": lambda scope: _SEVERITY_WORDS[scope.event.severity],
    "source": lambda scope: scope.event.source,
    "subject": lambda scope: scope.event.subject,
}


def walk(rules: tuple[Rule, ...], demanded: Mapping[str, Demands], data: Field) -> Walk:
    """Return the walk over the rules of a type; `demanded` is what the `when` of a rule asks for, by rule."""
    if len(rules) <= FEW:
        return Walk(rules)
    asked: Counter[tuple[str, Path]] = Counter()
    for rule in rules:
        found = demanded.get(rule.name)
        if found is not None:
            asked.update(("words", place) for place in found.words if _reader(place, data, Kind.STRING))
            numeric = (place for place in found.numbers if _reader(place, data, Kind.INTEGER, Kind.NUMBER))
            asked.update(("numbers", place) for place in numeric)
    best = max(sorted(asked), key=lambda key: (_saved(key, rules, demanded), key), default=None)
    if best is None:
        return Walk(rules)
    sort, place = best
    if sort == "words":
        return _by_word(rules, demanded, place, data)
    return _by_number(rules, demanded, place, data)


def _saved(key: tuple[str, Path], rules: Sequence[Rule], demanded: Mapping[str, Demands]) -> float:
    """Return how many rules a look at this field spares, for the value that most of them ask for."""
    sort, place = key
    found = [demanded[rule.name] for rule in rules if rule.name in demanded]
    if sort == "numbers":
        # Ranges overlap; a look at each costs a fifth of trying it.
        return sum(place in each.numbers for each in found) * 0.5
    values: Counter[str] = Counter(word for each in found for word in each.words.get(place, ()))
    return sum(place in each.words for each in found) - max(values.values(), default=0)


def _by_word(rules: tuple[Rule, ...], demanded: Mapping[str, Demands], place: Path, data: Field) -> Walk:
    asks = [demanded[rule.name].words.get(place) if rule.name in demanded else None for rule in rules]
    words = sorted({word for asked in asks if asked is not None for word in asked})
    rest = tuple(at for at, asked in enumerate(asks) if asked is None)
    cases = {word: tuple(at for at, asked in enumerate(asks) if asked is None or word in asked) for word in words}
    read = _reader(place, data, Kind.STRING)
    assert read is not None  # noqa: S101 - only fields that can be read are chosen

    def candidates(scope: Scope) -> Sequence[int]:
        return cases.get(read(scope), rest)

    return Walk(rules, candidates, ".".join(place))


def _by_number(rules: tuple[Rule, ...], demanded: Mapping[str, Demands], place: Path, data: Field) -> Walk:
    ranges = [
        (at, *_bounds(demanded[rule.name].numbers.get(place) if rule.name in demanded else None))
        for at, rule in enumerate(rules)
    ]
    read = _reader(place, data, Kind.INTEGER, Kind.NUMBER)
    assert read is not None  # noqa: S101 - only fields that can be read are chosen
    everything = range(len(rules))

    def candidates(scope: Scope) -> Sequence[int]:
        value = read(scope)
        if not isinstance(value, int | float):
            return everything
        return [at for at, low, high in ranges if low <= value <= high]

    return Walk(rules, candidates, ".".join(place))


def _bounds(found: Range | None) -> tuple[float, float]:
    return (found.low, found.high) if found is not None else (Range().low, Range().high)


def _reader(place: Path, data: Field, *kinds: Kind) -> Callable[[Scope], Any] | None:
    """Return a function that reads a field of the event or of its data; None where that can't be done at once."""
    if len(place) != _LENGTH:
        return None
    root, name = place
    if root == "event":
        return _EVENT_WORDS.get(name) if Kind.STRING in kinds else None
    field = data.child(name) if root == "data" else None
    if field is None or field.kind not in kinds:
        return None
    return lambda scope: scope.event.data.get(name)
