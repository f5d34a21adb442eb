"""What is wrong with a policy, and where.

A mistake makes a policy unusable, a warning doesn't. All of them are gathered and reported at once, sorted by place.
Lines and columns start at 1 and point at the offending characters, also inside an expression or a template.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import Struct


class Mistake(Struct, frozen=True, order=True):
    """One thing that is wrong; `length` is how many characters of the line it concerns (0: unknown)."""

    path: str
    line: int
    column: int
    key_path: str
    message: str
    suggestion: str = ""
    length: int = 0

    def __str__(self) -> str:
        key = f"{self.key_path}: " if self.key_path else ""
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{self.path}:{self.line}:{self.column}: {key}{self.message}{hint}"


class Report(Struct, frozen=True):
    """All that `check` found."""

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...] = ()


class PolicyError(Exception):
    """The policy can't be used; `mistakes` says why, all at once."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or ""."""
    return next(iter(get_close_matches(word[:80], sorted(known), n=1, cutoff=0.6)), "")
