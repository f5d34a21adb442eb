"""Where the parts of the compiler note what is wrong, each mistake with its place."""

from collections.abc import Iterable, Sequence

from services.policy.documents import Document
from services.policy.draft import PlacedCap, PlacedRule
from services.policy.expressions import ExpressionError
from services.policy.mistakes import Mistake, nearest


class Notes:
    """The mistakes found so far."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def note(self, mistake: Mistake) -> None:
        """Note a mistake."""
        self.mistakes.append(mistake)

    def at(
        self,
        placed: PlacedRule | PlacedCap,
        keys: Sequence[str | int],
        message: str,
        hint: str = "",
        *,
        at_key: bool = False,
    ) -> None:
        """Note a mistake at a value, or the key, of a rule or a cap."""
        self.note(placed.document.mistake([*placed.keys, *keys], message, hint, at_key=at_key))

    def inside(self, document: Document, keys: Sequence[str | int], error: ExpressionError) -> None:
        """Note the mistakes inside an expression."""
        for fault in error.faults:
            self.note(document.mistake_inside(keys, fault.offset, fault.length, fault.message, fault.suggestion))

    def known(
        self, placed: PlacedRule | PlacedCap, keys: Sequence[str | int], what: str, name: str, known: Iterable[str]
    ) -> None:
        """Note a name that nothing has."""
        if name not in (names := list(known)):
            self.at(placed, keys, f"unknown {what} {name[:60]!r}", nearest(name, names))
