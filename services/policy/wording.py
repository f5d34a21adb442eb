"""How the templates of a policy sound, judged as a customer would: the checks of what a good message is.

All of them are warnings: a wording can have its reasons. Each points at the words and, where it can, says what to
write instead. What depends on a language is data in `phrases`; a language that is not there gets the other checks. A
check takes a message, which is one template in one language, and yields what it finds; CHECKS is the whole list.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Final

from msgspec import Struct

from services.policy import words as closed
from services.policy.compile import Examined
from services.policy.draft import PlacedTemplate
from services.policy.mistakes import Mistake
from services.policy.passages import VALUE, Reading, readings, sentences, words
from services.policy.phrases import LANGUAGES, Language, Phrase
from services.policy.readability import ease
from services.policy.template_lint import OVERRIDES, PARTS
from services.policy.wording_length import too_long

_LONGEST_SENTENCE: Final = 30
_WORDS_TO_JUDGE: Final = 40
_SHOUTED: Final = 6
_PATHS = re.compile(r"(?<![\w.])(?:data|event|customer|items)(?:\.\w+)+")
_NUMBERS = re.compile(rf"(?<![\w{VALUE}])\d+(?:[.,:]\d+)*")
_TIME_FILTERS = re.compile(r"\|\s*(?:date|time|datetime)\b")
_CAPITALS = re.compile(r"(?<!\w)[^\W\d_]+(?:[ \-][^\W\d_]+)*")


class Part(Struct, frozen=True):
    """One text of a template and the ways in which it can read."""

    keys: tuple[str, ...]
    readings: tuple[Reading, ...]

    @property
    def name(self) -> str:
        """`what`, `action.label`."""
        return ".".join(self.keys)


class Message(Struct, frozen=True):
    """One template in one language, with what its rules say of it."""

    template: PlacedTemplate
    parts: tuple[Part, ...]
    language: Language | None
    jargon: tuple[str, ...]
    channels: frozenset[str]
    is_problem: bool

    def part(self, name: str) -> Part | None:
        """Return a part by its name."""
        return next((part for part in self.parts if part.name == name), None)

    def texts(self) -> Iterator[tuple[Part, Reading]]:
        """Yield what a customer may read; addresses of the web are no text."""
        for part in self.parts:
            for reading in part.readings if part.keys != ("action", "url") else ():
                yield part, reading

    def warn(self, part: Part, reading: Reading, span: tuple[int, int], message: str, instead: str = "") -> Mistake:
        """Return a warning at a place in a text, with an example of what to write instead."""
        begin, end = span
        offset = reading.places[begin] if begin < len(reading.places) else 0
        example = f", such as {instead!r}" if instead else ""
        return self.template.document.mistake_inside(part.keys, offset, max(end - begin, 1), message + example)


def wording(examined: Examined) -> Iterator[Mistake]:
    """Yield what customers would mind in the templates that are otherwise right."""
    wrong = {mistake.path for mistake in examined.mistakes}
    for template in examined.draft.templates:
        if template.document.path not in wrong and template.document.root is not None:
            message = _message(examined, template)
            for check in CHECKS:
                yield from check(message)


def _message(examined: Examined, template: PlacedTemplate) -> Message:
    parts = template.parts
    sources = {(name,): text for name in (*PARTS, *OVERRIDES) if (text := getattr(parts, name)) is not None}
    if parts.action is not None:
        sources |= {("action", "label"): parts.action.label, ("action", "url"): parts.action.url}
    language = template.locale.partition("-")[0]
    lists = examined.draft.tenant.jargon if examined.draft.tenant else {}
    rules = [placed for placed in examined.draft.rules if placed.rule.template == template.name]
    plans = [placed.rule.channels for placed in rules if placed.rule.channels is not None]
    return Message(
        template=template,
        parts=tuple(Part(keys, readings(text)) for keys, text in sources.items()),
        language=LANGUAGES.get(language),
        jargon=tuple(dict.fromkeys([*lists.get(language, ()), *lists.get(template.locale, ())])),
        channels=frozenset(chain.from_iterable([*(plan.first or ()), *(plan.all or ())] for plan in plans)),
        is_problem=_is_problem(examined, template),
    )


def _is_problem(examined: Examined, template: PlacedTemplate) -> bool:
    """Say whether a template tells of something that goes on.

    It does if a rule sends it when something with a lifecycle opens or changes; without a lifecycle, if the rule is
    critical or the message has an apology.
    """
    lasting = {placed.event.type: placed.event.lifecycle for placed in examined.draft.events}
    for placed in examined.draft.rules:
        rule = placed.rule
        if rule.template != template.name or placed.guessed:
            continue
        compiled = examined.conditions.get(rule.name)
        lifecycles = compiled.lifecycles if compiled is not None else frozenset(closed.LIFECYCLES)
        types = lasting if "*" in rule.on else [name for name in rule.on if name in lasting]
        going_on = bool(lifecycles & {"opened", "updated"})
        bad = rule.class_ == "critical" or template.parts.apology is not None
        if any(going_on if lasting[name] else bad for name in types):
            return True
    return False


# --- sentences -----------------------------------------------------------------------------------


def _long_sentences(message: Message) -> Iterator[Mistake]:
    limit = message.language.longest_sentence if message.language else _LONGEST_SENTENCE
    found: dict[tuple[str, int], tuple[int, Mistake]] = {}
    for part, reading in message.texts():
        for begin, end in _sentences(message, reading):
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
        split = [words(each.text[begin:end]) for each in read for begin, end in _sentences(message, each)]
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
        yield from _phrases(message, message.language.vague, "{found!r} promises nothing: say by when")


def _negative(message: Message) -> Iterator[Mistake]:
    if message.language is not None:
        text = "{found!r} comes before the solution: say first what can be done"
        yield from _phrases(message, message.language.negative, text)


def _blame(message: Message) -> Iterator[Mistake]:
    if message.language is not None:
        text = "{found!r} blames the customer: say what happened and what helps"
        yield from _phrases(message, message.language.blame, text)


def _repeated_thanks(message: Message) -> Iterator[Mistake]:
    if message.language is None:
        return
    pattern = _pattern("|".join(message.language.patience))
    text = "thanks for patience a second time: once is enough"
    for override in (None, *OVERRIDES):
        names = {override} if override else {*PARTS}
        thanked = ""
        for part in (part for part in message.parts if part.name in names):
            found = [(reading, match) for reading in part.readings for match in pattern.finditer(_flat(reading))]
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
    sorry = _pattern("|".join(language.sorry))
    kinds = [
        (phrase, "{found!r} makes the apology conditional: say what went wrong")
        for phrase in language.conditional_apology
    ]
    kinds += [
        (phrase, "{found!r} hides who did it: say 'we', and what went wrong") for phrase in language.passive_excuse
    ]
    for part, reading in message.texts():
        taken: list[tuple[int, int]] = []
        for begin, end in _sentences(message, reading):
            if part.name != "apology" and sorry.search(_flat(reading), begin, end) is None:
                continue
            for (pattern, instead), text in kinds:
                for match in _pattern(pattern).finditer(_flat(reading), begin, end):
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
        said = _flat(reading).strip()
        if said and not ended and not _names_time(message, reading):
            begin = _flat(reading).index(said[0])
            first = re.compile(r"\S+").match(reading.text, begin)
            text = "a message about a problem says by when: no time or duration here"
            yield message.warn(part, reading, first.span() if first else (0, 1), text)


def _names_time(message: Message, reading: Reading) -> bool:
    if any(_TIME_FILTERS.search(expression) for _, expression in reading.values):
        return True
    language = message.language
    return language is not None and _pattern("|".join(language.times)).search(_flat(reading)) is not None


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


# --- finding -------------------------------------------------------------------------------------


def _phrases(message: Message, phrases: Sequence[Phrase], text: str) -> Iterator[Mistake]:
    for part, reading in message.texts():
        taken: list[tuple[int, int]] = []
        for pattern, instead in phrases:
            for match in _pattern(pattern).finditer(_flat(reading)):
                if not any(match.start() < after and before < match.end() for before, after in taken):
                    taken.append(match.span())
                    yield message.warn(part, reading, match.span(), text.format(found=match[0]), instead)


def _matches(message: Message, pattern: re.Pattern[str]) -> Iterator[tuple[Part, Reading, re.Match[str]]]:
    for part, reading in message.texts():
        for match in pattern.finditer(_flat(reading)):
            yield part, reading, match


def _sentences(message: Message, reading: Reading) -> Iterator[tuple[int, int]]:
    language = message.language
    return (
        sentences(reading.text, language.abbreviations, ordinals=language.ordinals)
        if language
        else sentences(reading.text)
    )


def _flat(reading: Reading) -> str:
    """Return the text on one line, of the same length."""
    return re.sub(r"\s", " ", reading.text)


@cache
def _pattern(source: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{source.replace('{value}', VALUE)})(?!\w)", re.IGNORECASE)


@cache
def _inflected(term: str, inflections: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of a word with simple endings: `feeders`, `companies`."""
    endings = "|".join(re.escape(ending) for ending in inflections)
    stem = r"\s+".join(map(re.escape, term.split()))
    if endings and term.endswith("y"):
        return _pattern(rf"{stem}(?:{endings})?|{stem[:-1]}ies")
    return _pattern(rf"{stem}(?:{endings})?" if endings else stem)


CHECKS: Final[tuple[Callable[[Message], Iterator[Mistake]], ...]] = (
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
