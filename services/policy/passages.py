"""A template as a reader sees it: its text without tags, in each way that its conditions can choose.

A printed value is one character, VALUE, in the text. Each branch of each condition occurs in at least one reading; the
readings are as many as the branches of the longest condition, not all their combinations. A loop is read once. Every
character knows where it stands in the template. The templates have passed the lint: their tags are in order.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct

VALUE: Final = "\ufffc"

_STRING: Final = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_TAG = re.compile(
    r"\{%[-+]?\s*raw\s*[-+]?%\}(?P<raw>.*?)\{%[-+]?\s*endraw\s*[-+]?%\}"
    rf"|\{{\{{(?P<value>(?:{_STRING}|[^'\"}}]|\}}(?!\}}))*)\}}\}}"
    rf"|\{{%[-+]?\s*(?P<word>\w+)(?P<rest>(?:{_STRING}|[^'\"%]|%(?!\}}))*)%\}}"
    r"|\{#.*?#\}",
    re.DOTALL,
)
# Texts that an expression prints: not those that it compares with or formats by.
_PRINTED = re.compile(
    rf"[=!]=\s*(?:{_STRING})?|\bin\s*[\[(][^\])]*[\])]|\b(?:money|join)\s*\([^)]*\)|(?P<text>{_STRING})"
)
_SINGLE = re.compile(r"(?<!\{)\{\s*[A-Za-z_]\w*(?:\.\w+)*\s*(?:\|[^{}]*)?\}(?!\})")
_ADDRESS = re.compile(r"https?://\S+")


class Reading(Struct, frozen=True):
    """One way in which a template can read.

    `places` says for each character where it stands in the template, `values` which expression a VALUE prints, and
    `asked` under which conditions the template reads so. Addresses of the web are blotted out with VALUE, too.
    """

    text: str
    places: tuple[int, ...]
    values: tuple[tuple[int, str], ...]
    asked: tuple[str, ...]


class _Piece(Struct, frozen=True):
    text: str
    offset: int
    expression: str = ""


class _Choice(Struct):
    branches: list[tuple[str, "_Body"]]
    has_else: bool = False


_Body = list["_Piece | _Choice"]


def readings(source: str) -> tuple[Reading, ...]:
    """Return the ways in which a template can read."""
    return tuple(_reading(pieces, asked) for pieces, asked in _expand(_parse(source)))


def single_braces(source: str) -> list[tuple[int, int]]:
    """Return begin and end of what looks like a value, but in single braces, and so is printed as it stands."""
    text = _TAG.sub(lambda tag: " " * len(tag[0]), source)
    return [found.span() for found in _SINGLE.finditer(text)]


def sentences(text: str, abbreviations: Sequence[str] = (), *, ordinals: bool = False) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each sentence; a dot after an abbreviation or, with ordinals, a number ends none."""
    begin = 0
    for match in re.finditer(r"[.!?…]+(?=[\"'”“»)]*(?:\s|\Z))|\n\s*(?=[-•*–\n]|\Z)", text):
        before = re.search(r"[^\s(]*\Z", text[begin : match.start()])
        word = before[0].casefold() if before else ""
        letter = len(word) == 1 and word.isalpha()
        if match[0] == "." and (letter or word in abbreviations or (ordinals and word.isdigit())):
            continue
        yield from _trimmed(text, begin, match.end())
        begin = match.end()
    yield from _trimmed(text, begin, len(text))


def _trimmed(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    inner = text[begin:end]
    if words(inner):
        yield begin + len(inner) - len(inner.lstrip()), begin + len(inner.rstrip())


def words(text: str) -> list[str]:
    """Return the words of a text; a printed value is one."""
    return re.findall(rf"[\w{VALUE}]+(?:['’\-][\w{VALUE}]+)*", text)


def _parse(source: str) -> _Body:
    root: _Body = []
    stack: list[_Body] = [root]
    choices: list[_Choice | None] = []
    loops: list[tuple[str, str]] = []
    index = 0
    for tag in _TAG.finditer(source):
        stack[-1].append(_Piece(source[index : tag.start()], index))
        index = tag.end()
        if tag["raw"] is not None:
            stack[-1].append(_Piece(tag["raw"], tag.start("raw")))
        elif tag["value"] is not None:
            stack[-1].append(_printed(tag["value"], tag.start(), tag.start("value"), loops))
        elif tag["word"] is not None:
            _take(tag["word"], tag["rest"].strip("-+ \n"), stack, choices, loops)
    root.append(_Piece(source[index:], index))
    return root


def _take(
    word: str, rest: str, stack: list[_Body], choices: list[_Choice | None], loops: list[tuple[str, str]]
) -> None:
    """Take one tag that is not printed."""
    body: _Body = []
    open_choice = choices[-1] if choices else None
    if word == "if":
        choice = _Choice([(rest, body)])
        stack[-1].append(choice)
        stack.append(body)
        choices.append(choice)
    elif word in {"elif", "else"} and open_choice is not None:
        open_choice.branches.append((rest or open_choice.branches[0][0], body))
        open_choice.has_else |= word == "else"
        stack[-1] = body
    elif word == "for":
        name, _, walked = rest.partition(" in ")
        loops.append((name.strip(), walked.strip()))
        stack[-1].append(_Choice([("", body)], has_else=True))
        stack.append(body)
        choices.append(None)
    elif word in {"endif", "endfor"} and len(stack) > 1:
        stack.pop()
        choices.pop()
        if word == "endfor":
            loops.pop()


def _printed(expression: str, begin: int, inner: int, loops: Iterable[tuple[str, str]]) -> "_Piece | _Choice":
    """Return what a tag prints: its texts, and a value unless texts are all it prints."""
    texts = [
        _Piece(match["text"][1:-1], inner + match.start("text") + 1)
        for match in _PRINTED.finditer(expression)
        if match["text"]
    ]
    for name, walked in loops:
        expression = re.sub(rf"(?<![\w.]){re.escape(name)}\b", walked, expression)
    if not texts:
        return _Piece(VALUE, begin, expression.strip())
    value = [] if "plural" in expression else [_Piece(VALUE, begin, expression.strip())]
    return _Choice([("", [piece]) for piece in [*value, *texts]], has_else=True)


def _expand(body: _Body) -> list[tuple[list[_Piece], list[str]]]:
    """Return each way to read a body: pieces and the conditions of those branches."""
    found: list[tuple[list[_Piece], list[str]]] = [([], [])]
    for element in body:
        ways = _ways(element)
        found += [([*found[-1][0]], [*found[-1][1]]) for _ in range(len(ways) - len(found))]
        for index, (pieces, asked) in enumerate(found):
            more, conditions = ways[min(index, len(ways) - 1)]
            pieces.extend(more)
            asked.extend(conditions)
    return found


def _ways(element: _Piece | _Choice) -> list[tuple[list[_Piece], list[str]]]:
    if isinstance(element, _Piece):
        return [([element], [])]
    found: list[tuple[list[_Piece], list[str]]] = []
    for test, body in element.branches:
        found += [(pieces, [test, *asked] if test else asked) for pieces, asked in _expand(body)]
    return found if element.has_else else [*found, ([], [])]


def _reading(pieces: Sequence[_Piece], asked: Sequence[str]) -> Reading:
    text = "".join(piece.text for piece in pieces)
    begins = accumulate((len(piece.text) for piece in pieces), initial=0)
    values = tuple((begin, piece.expression) for begin, piece in zip(begins, pieces, strict=False) if piece.expression)
    places = tuple(piece.offset + index for piece in pieces for index in range(len(piece.text)))
    return Reading(_ADDRESS.sub(lambda found: VALUE * len(found[0]), text), places, values, tuple(asked))
