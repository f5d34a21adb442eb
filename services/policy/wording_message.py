"""A template as a message to be judged: its parts as they read, its language, and what its rules say of it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

from msgspec import Struct

from services.policy import words as closed
from services.policy.compile import Examined
from services.policy.draft import PlacedTemplate
from services.policy.mistakes import Mistake
from services.policy.passages import VALUE, Reading, readings, sentences
from services.policy.phrases import LANGUAGES, Language, Phrase
from services.policy.template_lint import OVERRIDES, PARTS


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


def message_of(examined: Examined, template: PlacedTemplate) -> Message:
    """Return a template as a message, with what the rules that use it say of it."""
    parts = template.parts
    sources: dict[tuple[str, ...], str] = {
        (name,): text for name in (*PARTS, *OVERRIDES) if (text := getattr(parts, name)) is not None
    }
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


def phrases_in(message: Message, phrases: Sequence[Phrase], text: str) -> Iterator[Mistake]:
    """Yield a warning for each phrase of a list; `text` says what is wrong with what was `found`."""
    for part, reading in message.texts():
        taken: list[tuple[int, int]] = []
        for pattern, instead in phrases:
            for match in whole_words(pattern).finditer(flat(reading)):
                if not any(match.start() < after and before < match.end() for before, after in taken):
                    taken.append(match.span())
                    yield message.warn(part, reading, match.span(), text.format(found=match[0]), instead)


def sentences_in(message: Message, reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each sentence, by the rules of the language."""
    language = message.language
    return (
        sentences(reading.text, language.abbreviations, ordinals=language.ordinals)
        if language
        else sentences(reading.text)
    )


def flat(reading: Reading) -> str:
    """Return the text on one line, of the same length."""
    return re.sub(r"\s", " ", reading.text)


@cache
def whole_words(source: str) -> re.Pattern[str]:
    """Return the pattern of whole words, in small or capital letters."""
    return re.compile(rf"(?<!\w)(?:{source.replace('{value}', VALUE)})(?!\w)", re.IGNORECASE)
