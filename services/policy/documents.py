"""YAML of a policy file as values with their places.

YAML 1.2 with its core types, read strictly: a duplicate key, a tag, a merge key or a second document is a mistake.
Keys are text. Aliases are allowed but each counts with all that it stands for, so that a file can't explode; depth
and number of values are bounded. Nothing here raises on what a file contains: mistakes are gathered.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from services.policy.mistakes import Mistake

NODE_LIMIT: Final = 20_000
DEPTH_LIMIT: Final = 32

_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

type_names: Final = {str: "text", bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}


class Node(Struct, gc=False):
    """A value in a file. `value` of a mapping or a list holds nodes; `plain()` gives it without places.

    `start` and `end` are offsets into the text; `size` counts the values in it, aliases in full.
    """

    value: Any
    line: int
    column: int
    start: int
    end: int
    style: str = ""
    keys: dict[str, "Node"] = {}
    size: int = 1

    def plain(self) -> Any:
        """Return the value as Python's own lists, dicts and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


class Document(Struct):
    """One file: its text and, when it could be read, its root."""

    path: str
    text: str
    root: Node | None
    mistakes: list[Mistake]

    def find(self, keys: Sequence[str | int]) -> tuple[Node | None, bool]:
        """Return the node at a path of keys, or the nearest one above it and False."""
        node = self.root
        for key in keys:
            below = _below(node, key)
            if below is None:
                return node, False
            node = below
        return node, True

    def key(self, keys: Sequence[str | int]) -> Node | None:
        """Return the node of the last key itself: where an unknown key stands."""
        above, _ = self.find(keys[:-1])
        return above.keys.get(str(keys[-1])) if above is not None else None

    def mistake(
        self, keys: Sequence[str | int], message: str, suggestion: str = "", *, at_key: bool = False
    ) -> Mistake:
        """Return a mistake at the value (or the key) of a path of keys."""
        node = (self.key(keys) if at_key else None) or self.find(keys)[0]
        if node is None:
            return Mistake(self.path, 1, 1, key_path(keys), message, suggestion)
        length = max(node.end - node.start, 1) if "\n" not in self.text[node.start : node.end] else 0
        return Mistake(self.path, node.line, node.column, key_path(keys), message, suggestion, length)

    def mistake_inside(
        self, keys: Sequence[str | int], offset: int, length: int, message: str, suggestion: str = ""
    ) -> Mistake:
        """Return a mistake inside a text value: `offset` characters after its beginning."""
        node, exact = self.find(keys)
        if node is None or not exact or not isinstance(node.value, str):
            return self.mistake(keys, message, suggestion)
        places = list(_places(self.text, node))
        index = places[min(offset, len(places) - 1)] if places else node.start
        before = self.text[:index]
        column = index - (before.rfind("\n") + 1) + 1
        return Mistake(self.path, before.count("\n") + 1, column, key_path(keys), message, suggestion, length)


def _below(node: Node | None, key: str | int) -> Node | None:
    value = node.value if node is not None else None
    found: Node | None = None
    if isinstance(value, dict):
        found = value.get(key)
    elif isinstance(value, list) and isinstance(key, int) and key < len(value):
        found = value[key]
    return found


def key_path(keys: Sequence[str | int]) -> str:
    """Return keys as people write them: `rules[2].when`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def read(path: str, content: bytes) -> Document:
    """Read one file; what can't be read stands in the document's mistakes."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Document(path, "", None, [Mistake(path, line, 1, "", "the file is not UTF-8")])
    document = Document(path, text, None, [])
    builder = _Builder(document)
    try:
        builder.build()
    except _RefusedError as refused:
        document.mistakes.append(refused.mistake)
    except MarkedYAMLError as error:
        document.mistakes.append(_not_yaml(path, error))
    except (YAMLError, YAMLStreamError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it can't be read"
        document.mistakes.append(Mistake(path, 1, 1, "", f"this is not YAML: {reason}"))
    else:
        document.root = builder.root
        if document.root is None and not document.mistakes:
            document.mistakes.append(Mistake(path, 1, 1, "", "the file is empty"))
    return document


_STAR: Final = ": a text that begins with '*' needs quotes"
# What the parser says, and what it means to who wrote the file; first hit wins. What is said in brackets is a group.
_PLAINLY: Final = (
    (r"mapping values are not allowed", "a second ':' here: quote a text that has one, or mend the indentation"),
    (
        r"expected <block end>, but found '<block mapping start>'",
        "the indentation fits no line above: keys of one mapping begin in the same column",
    ),
    (
        r"expected <block end>, but found '-'",
        "this '-' does not fit the lines above: mend the indentation; a list has no keys",
    ),
    (r"expected <block end>, but found '\?'", "a key where a list goes on: a '-' is missing, or mend the indentation"),
    (r"expected <block end>, but found '<scalar>'", "more text after a quoted text: put the whole in quotes"),
    (r"expected alphabetic or numeric character", "a text that begins with '*' or '&' needs quotes, such as \"*\""),
    (r"found character '\\t'", "a tab can't indent: use blanks"),
    (r"found character '(.)' that cannot start", "a text with '\\1' here needs quotes around the whole"),
    (r"found unexpected end of stream", "this quote is never closed"),
    (r"could not find expected ':'", "a key needs a ':' behind it; a text of several lines needs quotes or '|'"),
    (
        r"expected ',' or '(.)', but got",
        "a ',' or the closing '\\1' is missing before this",
    ),
    (
        r"expected a comment or a line break",
        "a text that begins with '|' or '>' stands in the lines below, or needs quotes",
    ),
    (
        r"sequence entries are not allowed",
        "a list begins on the line below its key; a text that begins with '-' needs quotes",
    ),
)


def _not_yaml(path: str, error: MarkedYAMLError) -> Mistake:
    """Return what the parser noticed in plain words, where it was begun if only its end is missing."""
    problem = (error.problem or error.context or "not YAML").strip()
    marks = [error.problem_mark, error.context_mark]
    if "end of stream" in problem or "expected ':'" in problem:
        marks.reverse()
    mark = marks[0] or marks[1]
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    for pattern, plainly in _PLAINLY:
        found = re.search(pattern, problem)
        if found is not None:
            problem = found.expand(plainly)
            break
    return Mistake(path, line, column, "", f"this is not YAML: {problem}")


class _RefusedError(Exception):
    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake


class _Open(Struct):
    """A mapping or list that is being read."""

    node: Node
    anchor: str | None
    key: Node | None = None


class _Builder:
    """Builds nodes of events with a stack of its own, so that depth is ours to bound."""

    def __init__(self, document: Document) -> None:
        self.root: Node | None = None
        self._document = document
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self._documents = 0

    def build(self) -> None:
        for event in YAML(typ="safe", pure=True).parse(self._document.text):
            match event:
                case DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        self._refuse(event, "a file holds one document")
                case MappingStartEvent() | SequenceStartEvent():
                    self._open(event)
                case MappingEndEvent() | SequenceEndEvent():
                    self._close(event)
                case ScalarEvent():
                    node = self._scalar(event)
                    if event.anchor:
                        self._anchors[event.anchor] = node
                    self._add(node, event)
                case AliasEvent():
                    self._alias(event)
                case _:
                    pass

    def _refuse(self, event: Any, message: str) -> None:
        mark = event.start_mark
        raise _RefusedError(Mistake(self._document.path, mark.line + 1, mark.column + 1, "", message))

    def _place(self, event: NodeEvent, value: Any, style: str = "") -> Node:
        mark, end = event.start_mark, event.end_mark
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(event, f"tags such as {str(tag)[:40]!r} are not allowed")
        return Node(value, mark.line + 1, mark.column + 1, mark.index, end.index, style)

    def _scalar(self, event: ScalarEvent) -> Node:
        style = event.style or ""
        node = self._place(event, event.value, style)
        if not style:
            node.value = _resolve(event.value)
        return node

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        if len(self._stack) >= DEPTH_LIMIT:
            self._refuse(event, f"values are nested more than {DEPTH_LIMIT} deep")
        node = self._place(event, {} if isinstance(event, MappingStartEvent) else [])
        node.keys = {}
        if self._stack and isinstance(self._stack[-1].node.value, dict) and self._stack[-1].key is None:
            braces = self._document.text.startswith("{{", max(node.start - 1, 0))
            hint = ": put the whole text in quotes, one with {{ ... }} needs them" if braces else ""
            self._refuse(event, f"a key must be text{hint}")
        self._stack.append(_Open(node, event.anchor))

    def _close(self, event: MappingEndEvent | SequenceEndEvent) -> None:
        done = self._stack.pop()
        done.node.end = event.end_mark.index
        if done.anchor:
            self._anchors[done.anchor] = done.node
        self._add(done.node, event)

    def _alias(self, event: AliasEvent) -> None:
        found = self._anchors.get(event.anchor)
        if found is None:
            self._refuse(event, f"there is no '&{str(event.anchor)[:40]}' before this{_STAR}")
            return
        self._add(found, event)

    def _add(self, node: Node, event: Any) -> None:
        self._count += 1
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if isinstance(top.node.value, list):
            top.node.value.append(node)
        elif top.key is None:
            self._take_key(top, node, event)
            return
        else:
            self._take_value(top, top.key, node)
        top.node.size += node.size
        if self._count > NODE_LIMIT or top.node.size > NODE_LIMIT:
            self._refuse(event, f"the file stands for more than {NODE_LIMIT} values")

    def _take_key(self, top: _Open, node: Node, event: Any) -> None:
        # The text as written: a key such as `on` or `2026` is a name, whatever YAML makes of it.
        if isinstance(event, ScalarEvent):
            node.value = event.value
        if not isinstance(node.value, str):
            self._refuse(event, "a key must be text")
        if node.value == "<<" and not node.style:
            self._refuse(event, "merge keys are not allowed")
        top.key = node

    def _take_value(self, top: _Open, key: Node, node: Node) -> None:
        name: str = key.value
        top.key = None
        if name in top.node.keys:
            first = top.node.keys[name]
            where = [*self._path(), name]
            self._document.mistakes.append(
                Mistake(
                    self._document.path,
                    key.line,
                    key.column,
                    key_path(where),
                    f"the key {name!r} stands here twice (first on line {first.line})",
                    length=max(key.end - key.start, 1),
                )
            )
            return
        top.node.keys[name] = key
        top.node.value[name] = node

    def _path(self) -> list[str | int]:
        return [len(above.node.value) if above.key is None else above.key.value for above in self._stack[:-1]]


def _resolve(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text) and len(text) <= 19:  # noqa: PLR2004 - what fits a 64-bit number
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text


def _after_blanks(text: str, index: int, node: Node) -> int:
    """Return where the next character stands: after blanks and, in double quotes, after escaped line ends."""
    while index < node.end:
        if text[index].isspace():
            index += 1
        elif node.style == '"' and text.startswith("\\\n", index):
            index += 2
        else:
            break
    return index


_ESCAPES: Final = {"x": 4, "u": 6, "U": 10}


def _places(text: str, node: Node) -> Iterator[int]:
    """Yield for each character of a text value where it stands in the file.

    The value is aligned with the raw text: folding makes one blank of a run, quoting doubles or escapes characters.
    """
    index = node.start + (1 if node.style in {"'", '"'} else 0)
    if node.style in {"|", ">"}:
        index = text.find("\n", node.start) + 1
    for character in str(node.value):
        if not character.isspace():
            index = _after_blanks(text, index, node)
        yield min(index, node.end)
        if node.style == '"' and text.startswith("\\", index):
            index += _ESCAPES.get(text[index + 1 : index + 2], 2)
        elif node.style == "'" and text.startswith("''", index):
            index += 2
        elif text.startswith(character, index):
            index += 1
