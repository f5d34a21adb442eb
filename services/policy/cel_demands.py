"""What a condition demands of single values, read from its checked tree.

A condition made of parts joined by `&&` can hold only if each part does. A part that compares one value with constants
says for which of its values that is possible: a set of words, or a range of numbers. Whatever the other parts say,
for any other value, or without one, the condition does not hold. Everything else demands nothing.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from services.policy.cel_tree import Path, path

_FLIPPED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_"}


class Range(Struct, frozen=True, gc=False):
    """Numbers from `low` to `high`, both included; wider than what was written where that leaves one out."""

    low: float = -math.inf
    high: float = math.inf


class Demands(Struct, frozen=True):
    """For a path, the only words or numbers with which the condition can hold."""

    words: dict[Path, frozenset[str]]
    numbers: dict[Path, Range]


def demands(root: Any) -> Demands:
    """Return what a condition demands."""
    words: dict[Path, frozenset[str]] = {}
    numbers: dict[Path, Range] = {}
    for part in _parts(root):
        for place, allowed in _words(part):
            words[place] = words[place] & allowed if place in words else allowed
        for place, found in _numbers(part):
            before = numbers.get(place, Range())
            numbers[place] = Range(max(before.low, found.low), min(before.high, found.high))
    return Demands(words, numbers)


def _parts(node: Any) -> Iterator[Any]:
    todo = [node]
    while todo:
        part = todo.pop()
        if part.HasField("call") and part.call.function == "_&&_":
            todo += part.call.args
        elif part.HasField("call"):
            yield part


def _words(part: Any) -> Iterator[tuple[Path, frozenset[str]]]:
    args = part.call.args
    if part.call.function == "_==_":
        for one, other in (args, reversed(args)):
            if path(one) and _is(other, "string"):
                yield path(one), frozenset({other.constant.string})
    elif part.call.function == "@in" and path(args[0]) and args[1].HasField("list"):
        elements = args[1].list.elements
        if all(_is(element, "string") for element in elements):
            yield path(args[0]), frozenset(element.constant.string for element in elements)


def _numbers(part: Any) -> Iterator[tuple[Path, Range]]:
    if part.call.function not in _FLIPPED:
        return
    one, other = part.call.args
    operator = part.call.function
    if not path(one):
        one, other, operator = other, one, _FLIPPED[operator]
    if path(one) and (_is(other, "whole") or _is(other, "number")):
        # A float can stand for a neighbour of a whole number beyond 2^53; one step further out is always wide enough.
        value = float(other.constant.whole) if _is(other, "whole") else other.constant.number
        low = math.nextafter(value, -math.inf) if operator in {"_>_", "_>=_", "_==_"} else -math.inf
        high = math.nextafter(value, math.inf) if operator in {"_<_", "_<=_", "_==_"} else math.inf
        yield path(one), Range(low, high)


def _is(node: Any, kind: str) -> bool:
    return bool(node.HasField("constant")) and node.constant.WhichOneof("kind") == kind
