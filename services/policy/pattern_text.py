"""A text that fits a regular expression of the simple kind: classes, groups, choices and counts.

What JSON Schemas of events use for order numbers, amounts and codes. Look-around, back references and properties of
characters are not read: then there is no text.
"""

import re
from typing import Final

_CLASSES: Final = {"d": "0", "w": "a", "s": " ", "D": "x", "W": "-", "S": "x", "t": "\t", "n": "\n", "r": "\r"}
_MANY: Final = 10
_LONGEST: Final = 2_000
_COUNT = re.compile(r"\{(\d{1,4})(?:(,)(\d{1,4})?)?\}")


def text_of(pattern: str, *, longest: bool = False) -> str | None:
    """Return a text that the pattern matches, or None when the pattern is not of the simple kind."""
    reader = _Reader(pattern, longest=longest)
    try:
        text = reader.choice()
    except _UnreadableError:
        return None
    if reader.index < len(pattern) or len(text) > _LONGEST:
        return None
    try:
        return text if re.search(pattern, text) else None
    except re.error:
        return None


class _UnreadableError(Exception):
    pass


class _Reader:
    """Reads a pattern from left to right and writes the text that fits."""

    def __init__(self, pattern: str, *, longest: bool) -> None:
        self.index = 0
        self._pattern = pattern
        self._longest = longest
        self._depth = 0

    def choice(self) -> str:
        """Read alternatives up to the end or a closing bracket, and write the first, or the longest."""
        found = [self._sequence()]
        while self._next() == "|":
            self.index += 1
            found.append(self._sequence())
        return max(found, key=len) if self._longest else found[0]

    def _next(self) -> str:
        return self._pattern[self.index : self.index + 1]

    def _take(self) -> str:
        character = self._next()
        if not character:
            raise _UnreadableError
        self.index += 1
        return character

    def _sequence(self) -> str:
        text = ""
        while self._next() not in {"", "|", ")"}:
            text += self._atom() * self._repeat()
            if len(text) > _LONGEST:
                raise _UnreadableError
        return text

    def _atom(self) -> str:
        match character := self._take():
            case "^" | "$":
                return ""
            case ".":
                return "x"
            case "\\":
                return self._escape()
            case "[":
                return self._class()
            case "(":
                return self._group()
            case "*" | "+" | "?" | "{":
                raise _UnreadableError
            case _:
                return character

    def _escape(self) -> str:
        character = self._take()
        if character.isalnum() and character not in _CLASSES:
            raise _UnreadableError
        return _CLASSES.get(character, character)

    def _group(self) -> str:
        if self._pattern.startswith("?:", self.index):
            self.index += 2
        elif self._next() == "?":
            raise _UnreadableError
        self._depth += 1
        if self._depth > _MANY:
            raise _UnreadableError
        text = self.choice()
        if self._take() != ")":
            raise _UnreadableError
        self._depth -= 1
        return text

    def _class(self) -> str:
        """Read a class of characters and write its first one."""
        if self._next() == "^":
            raise _UnreadableError
        first = self._take()
        first = self._escape() if first == "\\" else first
        while (character := self._take()) != "]":
            if character == "\\":
                self._take()
        return first

    def _repeat(self) -> int:
        counts = {"?": (0, 1), "*": (0, _MANY), "+": (1, _MANY)}
        least, most = 1, 1
        if self._next() in counts and self._next():
            least, most = counts[self._take()]
        elif self._next() == "{":
            found = _COUNT.match(self._pattern, self.index)
            if found is None:
                raise _UnreadableError
            self.index = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else least + _MANY
        if self._next() == "?":  # a lazy count matches the same texts
            self.index += 1
        return most if self._longest else max(least, min(1, most))
