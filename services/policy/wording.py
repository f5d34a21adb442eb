"""How the templates of a policy sound, judged as a customer would: the checks of what a good message is.

All of them are warnings: a wording can have its reasons. Each points at the words and, where it can, says what to
write instead. What depends on a language is data in `phrases`; a language that is not there gets the other checks. A
check takes a message, which is one template in one language, and yields what it finds; CHECKS is the whole list.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final

from services.policy.compile import Examined
from services.policy.mistakes import Mistake
from services.policy.passages import VALUE, Reading, single_braces, words
from services.policy.readability import ease
from services.policy.template_lint import OVERRIDES, PARTS
from services.policy.wording_length import too_long
from services.policy.wording_message import Message, Part, flat, message_of, phrases_in, sentences_in, whole_words

_LONGEST_SENTENCE: Final = 30
_WORDS_TO_JUDGE: Final = 40
_SHOUTED: Final = 6
_PATHS = re.compile(r"(?<![\w.])(?:data|event|customer|items)(?:\.\w+)+")
_NUMBERS = re.compile(rf"(?<![\w{VALUE}])\d+(?:[.,:]\d+)*")
_TIME_FILTERS = re.compile(r"\|\s*(?:date|time|datetime)\b")
_CAPITALS = re.compile(r"(?<!\w)[^\W\d_]+(?:[ \-][^\W\d_]+)*")


def wording(examined: Examined) -> Iterator[Mistake]:
    """Yield what customers would mind in the templates that are otherwise right."""
    wrong = {mistake.path for mistake in examined.mistakes}
    for template in examined.draft.templates:
        if template.document.path not in wrong and template.document.root is not None:
            message = message_of(examined, template)
            for check in CHECKS:
                yield from check(message)


def _single_braces(message: Message) -> Iterator[Mistake]:
    for part in message.parts:
        source = message.template.document.find(part.keys)[0]
        for begin, end in single_braces(str(source.value)) if source is not None else ():
            text = "customers will read this as it stands: a value needs two braces, {{ ... }}"
            yield message.template.document.mistake_inside(part.keys, begin, end - begin, text)


# --- sentences -----------------------------------------------------------------------------------


def _long_sentences(message: Message) -> Iterator[Mistake]:
    limit = message.language.longest_sentence if message.language else _LONGEST_SENTENCE
    found: dict[tuple[str, int], tuple[int, Mistake]] = {}
    for part, reading in message.texts():
        for begin, end in sentences_in(message, reading):
            count = len(words(reading.text[begin:end]))
            place = (part.name, reading.places[begin])
            if count > max(limit, found.get(place, (0, None))[0]):
                first = re.compile(r"\S+").match(reading.text, begin)
                text = f"a sentence of {count} words: at most {limit} are read with ease"
                found[place] = (count, message.warn(part, reading, first.span() if first else (begin, end), text))
    yield from (mistake for _, mistake in found.values())


def _hard_to_read(message: Message) -> Iterator[Mistake]:
    language = message.language
    if language is None:
        return
    code = message.template.locale.partition("-")[0]
    bodies = [part for part in message.parts if part.name in PARTS and part.name != "headline"]
    ways = max((len(part.readings) for part in bodies), default=0)
    scores = []
    for way in range(ways):
        read = [part.readings[min(way, len(part.readings) - 1)] for part in bodies]
        split = [words(each.text[begin:end]) for each in read for begin, end in sentences_in(message, each)]
        if sum(map(len, split)) >= _WORDS_TO_JUDGE:
            scores.append(ease(split, code))
    if scores and min(scores) < language.least_ease:
        figure = f"{max(0, round(min(scores)))} of 100 by the formula of {language.formula}"
        text = f"the message is hard to read ({figure}, less than {language.least_ease}): shorter sentences and words"
        yield message.template.document.mistake(["what"], text)


def _many_questions(message: Message) -> Iterator[Mistake]:
    for part, reading in message.texts():
        marks = [match.span() for match in re.finditer(r"\?+", reading.text)]
        for span in marks[1:2]:
            yield message.warn(part, reading, span, "a second question in one part: ask one at a time")


# --- words ---------------------------------------------------------------------------------------


def _jargon(message: Message) -> Iterator[Mistake]:
    inflections = message.language.inflections if message.language else ()
    for term in message.jargon:
        for part, reading, match in _matches(message, _inflected(term, inflections)):
            text = f"{match[0]!r} is on your list of jargon: use the customers' own word"
            yield message.warn(part, reading, match.span(), text)


def _shouting(message: Message) -> Iterator[Mistake]:
    shouted = message.language.shouted if message.language else ()
    for part, reading in message.texts():
        for match in _CAPITALS.finditer(reading.text):
            for run in re.finditer(r"(?<!\w)[^\W\d_]{2,}(?:[ \-][^\W\d_]{2,})*(?!\w)", match[0]):
                yield from _shouted(message, part, reading, match.start() + run.start(), run[0], shouted)


def _shouted(
    message: Message, part: Part, reading: Reading, begin: int, run: str, shouted: Sequence[str]
) -> Iterator[Mistake]:
    """Find capitals in a run of words: several together, a long word, or one that is no abbreviation."""
    for loud in re.finditer(r"(?<!\w)[^\W\d_]{2,}(?:[ \-][^\W\d_]{2,})*(?!\w)", _only_capitals(run)):
        several = len(re.findall(r"\w+", loud[0])) > 1
        if several or len(loud[0]) >= _SHOUTED or loud[0].casefold() in shouted:
            span = (begin + loud.start(), begin + loud.end())
            yield message.warn(part, reading, span, f"{loud[0]!r} shouts: write it in small letters")


def _only_capitals(run: str) -> str:
    """Blot out each word that is not in capitals, with something that is no letter."""
    return re.sub(r"\w+", lambda word: word[0] if word[0].isupper() else "_" * len(word[0]), run)


def _exclamations(message: Message) -> Iterator[Mistake]:
    for part, reading in message.texts():
        for match in re.finditer(r"!+", reading.text):
            yield message.warn(part, reading, match.span(), "an exclamation mark shouts: a full stop is calm")


def _vague_times(message: Message) -> Iterator[Mistake]:
    if message.language is not None:
        yield from phrases_in(message, message.language.vague, "{found!r} promises nothing: say by when")


def _negative(message: Message) -> Iterator[Mistake]:
    if message.language is not None:
        text = "{found!r} comes before the solution: say first what can be done"
        yield from phrases_in(message, message.language.negative, text)


def _blame(message: Message) -> Iterator[Mistake]:
    if message.language is not None:
        text = "{found!r} blames the customer: say what happened and what helps"
        yield from phrases_in(message, message.language.blame, text)


def _repeated_thanks(message: Message) -> Iterator[Mistake]:
    if message.language is None:
        return
    pattern = whole_words("|".join(message.language.patience))
    text = "thanks for patience a second time: once is enough"
    for override in (None, *OVERRIDES):
        names = {override} if override else {*PARTS}
        thanked = ""
        for part in (part for part in message.parts if part.name in names):
            found = [(reading, match) for reading in part.readings for match in pattern.finditer(flat(reading))]
            first = {id(reading): match.start() for reading, match in reversed(found)}
            for reading, match in found:
                if thanked or match.start() > first[id(reading)]:
                    yield message.warn(part, reading, match.span(), text)
            thanked = thanked or (part.name if found else "")


# --- what a message says -------------------------------------------------------------------------


def _apology(message: Message) -> Iterator[Mistake]:
    """Find apologies that are none: in the part, and elsewhere in sentences that say sorry."""
    language = message.language
    if language is None:
        return
    sorry = whole_words("|".join(language.sorry))
    kinds = [
        (phrase, "{found!r} makes the apology conditional: say what went wrong")
        for phrase in language.conditional_apology
    ]
    kinds += [
        (phrase, "{found!r} hides who did it: say 'we', and what went wrong") for phrase in language.passive_excuse
    ]
    for part, reading in message.texts():
        taken: list[tuple[int, int]] = []
        for begin, end in sentences_in(message, reading):
            if part.name != "apology" and sorry.search(flat(reading), begin, end) is None:
                continue
            for (pattern, instead), text in kinds:
                for match in whole_words(pattern).finditer(flat(reading), begin, end):
                    if not any(match.start() < after and before < match.end() for before, after in taken):
                        taken.append(match.span())
                        yield message.warn(part, reading, match.span(), text.format(found=match[0]), instead)


def _next_without_time(message: Message) -> Iterator[Mistake]:
    """Find messages about a problem that do not say what happens next and by when.

    What a template says only in one state of the lifecycle is left alone: it may be the end.
    """
    if not message.is_problem:
        return
    part = message.part("next")
    if part is None:
        text = "a message about a problem says what happens next and by when: 'next' is missing"
        yield message.template.document.mistake([], text)
        return
    for reading in part.readings if message.language else ():
        ended = any("lifecycle" in test for test in reading.asked)
        said = flat(reading).strip()
        if said and not ended and not _names_time(message, reading):
            begin = flat(reading).index(said[0])
            first = re.compile(r"\S+").match(reading.text, begin)
            text = "a message about a problem says by when: no time or duration here"
            yield message.warn(part, reading, first.span() if first else (0, 1), text)


def _names_time(message: Message, reading: Reading) -> bool:
    if any(_TIME_FILTERS.search(expression) for _, expression in reading.values):
        return True
    language = message.language
    return language is not None and whole_words("|".join(language.times)).search(flat(reading)) is not None


def _facts_of_overrides(message: Message) -> Iterator[Mistake]:
    """Find facts that one channel says and the parts, which the others say, don't."""
    shared = [(part, reading) for part in message.parts if part.name not in OVERRIDES for reading in part.readings]
    known = {path for _, reading in shared for _, expression in reading.values for path in _PATHS.findall(expression)}
    numbers = {number for _, reading in shared for number in _NUMBERS.findall(reading.text)}
    for part, reading in message.texts():
        if part.name not in OVERRIDES:
            continue
        for index, expression in reading.values:
            for path in _PATHS.findall(expression):
                if path not in known:
                    yield message.warn(
                        part, reading, (index, index + 2), f"no other part says {path!r}: only this channel would"
                    )
        for match in _NUMBERS.finditer(reading.text):
            if match[0] not in numbers:
                yield message.warn(
                    part, reading, match.span(), f"no other part says {match[0]!r}: only this channel would"
                )


def _too_long(message: Message) -> Iterator[Mistake]:
    texts = {part.name: part.readings for part in message.parts}
    for keys, text in too_long(texts, message.channels):
        yield message.template.document.mistake(keys, text)


def _matches(message: Message, pattern: re.Pattern[str]) -> Iterator[tuple[Part, Reading, re.Match[str]]]:
    for part, reading in message.texts():
        for match in pattern.finditer(flat(reading)):
            yield part, reading, match


@cache
def _inflected(term: str, inflections: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a word with simple endings: `feeders`, `companies`."""
    endings = "|".join(re.escape(ending) for ending in inflections)
    stem = r"\s+".join(map(re.escape, term.split()))
    if endings and term.endswith("y"):
        return whole_words(rf"{stem}(?:{endings})?|{stem[:-1]}ies")
    return whole_words(rf"{stem}(?:{endings})?" if endings else stem)


CHECKS: Final[tuple[Callable[[Message], Iterator[Mistake]], ...]] = (
    _single_braces,
    _long_sentences,
    _hard_to_read,
    _many_questions,
    _jargon,
    _shouting,
    _exclamations,
    _vague_times,
    _negative,
    _blame,
    _repeated_thanks,
    _apology,
    _next_without_time,
    _facts_of_overrides,
    _too_long,
)
