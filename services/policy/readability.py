"""How easy a text is to read, by the formulas of Flesch (English) and Amstad (German).

Both give about 100 for the plainest text and about 0 for the hardest, from the words in a sentence and the syllables
in a word. Syllables are counted by groups of vowels: right on average, which is all that the formulas need.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.policy.passages import VALUE

_VOWELS: Final[Mapping[str, str]] = {"en": r"[aeiouy]+", "de": r"ei|ai|au|eu|äu|ie|aa|ee|oo|[aeiouyäöü]"}


def syllables(word: str, language: str) -> int:
    """Count the syllables of a word."""
    word = word.casefold()
    if language == "en":  # a silent e at the end, but that of "table"
        word = re.sub(r"(?<![aeiouy])(?:(?<!l)es?|(?<=[aeiouy]l)es?|(?<![td])ed)\Z", "", word) or word
    return max(1, len(re.findall(_VOWELS[language], word)))


def ease(sentences: Sequence[Sequence[str]], language: str) -> float:
    """Return how easy the sentences, each a list of words, are to read; printed values count as words only."""
    total = sum(len(sentence) for sentence in sentences)
    known = [word for sentence in sentences for word in sentence if VALUE not in word and not word.isdigit()]
    if not total or not known:
        return 100.0
    per_word = sum(syllables(word, language) for word in known) / len(known)
    return _FORMULAS[language](total / len(sentences), per_word)


_FORMULAS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "en": lambda per_sentence, per_word: 206.835 - 1.015 * per_sentence - 84.6 * per_word,
    "de": lambda per_sentence, per_word: 180.0 - per_sentence - 58.5 * per_word,
}
