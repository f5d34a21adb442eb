"""Conditions of a policy: CEL, checked against the types of the data, evaluated on plain values.

An expression is compiled twice. The first time it is typed (`cel_types`), so that a typo or a wrong type is a mistake
with its place. The second time it is made to run on maps that hold only what it reads, with null for what is absent:
comparing with null works, any other use of an absent value makes the condition ABSENT, which counts as false.
Evaluation is pure and never raises.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from msgspec import Struct

from services.policy import words
from services.policy.cel_demands import Demands, demands
from services.policy.cel_python import Translation, translate
from services.policy.cel_scope import Gather, gatherer, narrowed, shower
from services.policy.cel_tree import ITEM, Path, Tree, possible
from services.policy.cel_types import environment, path_of_message
from services.policy.mistakes import nearest
from services.policy.schemas import Field, Kind, all_optional
from services.router.decision.model import Condition, Scope, Truth

EVENT: Final = Field(
    Kind.OBJECT,
    fields={
        "id": Field(Kind.STRING),
        "source": Field(Kind.STRING),
        "type": Field(Kind.STRING),
        "subject": Field(Kind.STRING),
        "time": Field(Kind.TIMESTAMP),
        "lifecycle": Field(Kind.STRING, words=words.LIFECYCLES),
        "sequence": Field(Kind.INTEGER, optional=True),
        "severity": Field(Kind.STRING, words=words.SEVERITIES),
        "tenant": Field(Kind.STRING),
    },
)
_ATTRIBUTE_KINDS: Final = {
    "string": Kind.STRING,
    "int": Kind.INTEGER,
    "number": Kind.NUMBER,
    "bool": Kind.BOOL,
    "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMP,
}
_TRUTHS: Final = frozenset({"bool", "dyn", "bool_wrapper"})
_TEXTS: Final = frozenset({"string", "dyn", "string_wrapper"})
# Lists of data may hold thousands; a loop that copies lists or searches texts each round takes no more than this.
_COSTLY_LIST: Final = 1_000


class Fault(Struct, frozen=True):
    """A mistake inside an expression, `offset` characters after its beginning."""

    offset: int
    length: int
    message: str
    suggestion: str = ""


class ExpressionError(ValueError):
    """The expression can't be used."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


class Compiled(Struct, frozen=True):
    """A condition and what is known of it: the paths it reads, the lifecycles for which it may hold, its demands.

    `translated`: it runs as Python; `by_library` gives the same truth by the CEL library.
    """

    condition: Condition
    paths: tuple[tuple[str, ...], ...]
    lifecycles: frozenset[str]
    demands: Demands
    translated: bool
    by_library: Callable[[Scope], Truth]


class CompiledKey(Struct, frozen=True):
    """An expression that gives a text; None when a value that it needs is absent."""

    source: str
    evaluate: Callable[[Scope], str | None]
    translated: bool
    by_library: Callable[[Scope], str | None]


class _Checked(Struct, frozen=True):
    """An expression ready to run: `otherwise` is the library."""

    tree: Tree
    paths: tuple[tuple[str, ...], ...]
    types: Mapping[str, Field]
    gather: Gather
    program: Callable[[Scope], Any]
    longest: int


def customer_type(attributes: Mapping[str, str] | None) -> Field:
    """Return the type of `customer` with the attributes that clarion.yaml declares; None: it could not be read."""
    declared = {name: Field(_ATTRIBUTE_KINDS[kind], optional=True) for name, kind in (attributes or {}).items()}
    known = Field(Kind.OBJECT, fields=declared, closed=True) if attributes is not None else Field(Kind.ANY)
    return Field(
        Kind.OBJECT,
        fields={
            "id": Field(Kind.STRING, optional=True),
            "locale": Field(Kind.STRING, optional=True),
            "timezone": Field(Kind.STRING, optional=True),
            "attributes": known,
        },
    )


def customer_language(attributes: Mapping[str, str] | None) -> "Language":
    """Return the language of segments and audiences: only `customer` and `now` mean anything there."""
    return Language(Field(Kind.OBJECT, closed=True), customer_type(attributes))


class Language:
    """The names and types that the expressions of one event type, or of several, can use."""

    def __init__(self, data: Field, customer: Field) -> None:
        now = Field(Kind.TIMESTAMP)
        self._types = {"event": EVENT, "data": data, "customer": customer, "previous": all_optional(data), "now": now}
        self._environments: dict[tuple[str, ...], Any] = {}
        self._compiled: dict[tuple[str, tuple[str, ...]], Compiled] = {}

    def compile(self, source: str, names: Sequence[str]) -> Compiled:
        """Compile a condition that may use these names, the same one once; raise ExpressionError."""
        key = (source, tuple(names))
        if key not in self._compiled:
            self._compiled[key] = self._compile(source, names)
        return self._compiled[key]

    def _compile(self, source: str, names: Sequence[str]) -> Compiled:
        checked = self._check(source, names, _TRUTHS, "true or false")
        paths, program = checked.paths, checked.program

        def by_library(scope: Scope) -> Truth:
            value = program(scope)
            if value is True:
                return Truth.TRUE
            return Truth.FALSE if value is False else Truth.ABSENT

        lifecycles = possible(checked.tree.root, ("event", "lifecycle"), frozenset(words.LIFECYCLES))
        translation = _translated(checked, text=False)
        evaluate = translation.function(by_library) if translation else by_library
        condition = Condition(source, evaluate, shower(paths, checked.types, checked.longest))
        demanded = demands(checked.tree.root)
        return Compiled(condition, paths, lifecycles, demanded, translation is not None, by_library)

    def compile_key(self, source: str, names: Sequence[str]) -> CompiledKey:
        """Compile an expression that gives a text from these names; raise ExpressionError."""
        checked = self._check(source, names, _TEXTS, "text")
        program = checked.program

        def by_library(scope: Scope) -> str | None:
            value = program(scope)
            return value if isinstance(value, str) else None

        translation = _translated(checked, text=True)
        evaluate = translation.function(by_library) if translation else by_library
        return CompiledKey(source, evaluate, translation is not None, by_library)

    def _check(self, source: str, names: Sequence[str], wanted: frozenset[str], word: str) -> _Checked:
        types = {name: self._types[name] for name in sorted(names)}
        key = tuple(types)
        if key not in self._environments:
            self._environments[key] = environment(types)
        try:
            source.encode()
            checked = self._environments[key].compile(source)
            tree = Tree(_untyped().compile(source).serialize())
        except UnicodeEncodeError:
            raise ExpressionError([Fault(0, len(source), "this holds half a character")]) from None
        except RuntimeError as error:
            raise ExpressionError(_slips(source) or _faults(str(error), source, types)) from None
        result = checked.return_type().name().lower()
        if result not in wanted:
            raise ExpressionError([Fault(0, len(source), f"gives {result}, not {word}")])
        _refuse_costly(tree, source)
        _refuse_unknown_words(tree, types)
        return self._runnable(tree, source, types)

    def _runnable(self, tree: Tree, source: str, types: Mapping[str, Field]) -> _Checked:
        paths = tree.paths()
        for name in {path[0] for path in paths} - types.keys():
            # `string`, `int`: CEL has types as values; data has none.
            raise ExpressionError([Fault(0, len(source), f"unknown name {name!r}", nearest(name, types))])
        longest = _COSTLY_LIST if tree.costly() else sys.maxsize
        read = narrowed(types, paths)
        gather = gatherer(paths, read, longest)
        return _Checked(tree, paths, read, gather, _program(tree.with_null_tests(), gather), longest)


@cache
def _untyped() -> Any:
    names = ("event", "data", "customer", "previous", "now")
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


def _program(serialized: bytes, gather: Gather) -> Callable[[Scope], Any]:
    """Return the evaluation by the library; it is made ready when first used, since most never are."""
    ready: list[Any] = []

    def evaluate(scope: Scope) -> Any:
        if not ready:
            ready.append(_untyped().deserialize(serialized))
        try:
            found = ready[0].eval(data=gather(scope))
            # The value of an error is its message, a text like any other.
            return None if found.type() == cel.Type.ERROR else found.value()
        except (RuntimeError, TypeError, ValueError, OverflowError):
            # What CEL can't take (a number beyond 64 bits in an undeclared field, half a character): not comparable.
            return None

    return evaluate


def _translated(checked: _Checked, *, text: bool) -> Translation | None:
    loops = sum(node.HasField("comprehension") for node in checked.tree.nodes())
    return translate(checked.tree.root, checked.paths, checked.types, loops=loops, longest=checked.longest, text=text)


# --- mistakes ------------------------------------------------------------------------------------

_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_SLIP = re.compile(r"(?<![=!<>])=(?![=>])|=>|<>|(?<![\w.])(?:and|or|not)(?!\w)", re.IGNORECASE)
_OTHERWISE: Final = {
    "=": "use == to compare",
    "=>": "use >= for 'at least'",
    "<>": "use != for 'is not'",
    "and": "use && for 'and'",
    "or": "use || for 'or'",
    "not": "use ! for 'not'",
}
_LITERALS: Final = {"True": "true", "False": "false", "None": "null"}
_ERROR = re.compile(r"^(?:\w+: )?ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE)
_FIELD = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_NAME = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_WORD_TYPES: Final = (
    (re.compile(r"wrapper\((\w+)\)"), r"\1"),
    (re.compile(r"google\.protobuf\.Timestamp"), "timestamp"),
    (re.compile(r"null_type"), "null"),
)


def _slips(source: str) -> list[Fault]:
    """Return what is written as in other languages; a syntax error would only say where it is noticed."""
    bare = _QUOTED.sub(lambda text: " " * len(text[0]), source)
    return [Fault(found.start(), len(found[0]), _OTHERWISE[found[0].lower()]) for found in _SLIP.finditer(bare)]


def _faults(text: str, source: str, types: Mapping[str, Field]) -> list[Fault]:
    lines = source.split("\n")
    found: list[Fault] = []
    for match in _ERROR.finditer(text):
        line, column, message = int(match[1]), int(match[2]), match[3].removesuffix(" [INVALID_ARGUMENT]")
        offset = sum(len(before) + 1 for before in lines[: line - 1]) + max(column - 1, 0)
        found.append(_fault(message, min(offset, len(source)), source, types))
    first = text.splitlines()[0] if text else "it can't be compiled"
    return found or [Fault(0, len(source), f"this is no expression: {first[:200]}")]


def _fault(message: str, offset: int, source: str, types: Mapping[str, Field]) -> Fault:
    if match := _FIELD.search(message):
        name, path = match[1], path_of_message(match[2])
        start, length = _selection(source, offset, name)
        here: Field | None = Field(Kind.OBJECT, fields=types, closed=True)
        for part in path.replace("[]", ".[]").split("."):
            here = (here.item if part == "[]" else here.child(part)) if here else None
        known = here.fields if here else {}
        return Fault(start, length, f"undefined field {name!r} in {path}", nearest(name, known))
    if match := _NAME.search(message):
        name = match[1].partition(".")[0]
        start, length = _selection(source, offset, match[1].rpartition(".")[2])
        meant = _LITERALS.get(name) or nearest(name, types)
        alone = match[1] == name and re.search(r"(?:[=!]=|[\[,]|^)\s*\Z", source[:start])
        quoted = f": a text needs quotes of its own, '\"{name}\"'" if alone and not meant else ""
        return Fault(start, length, f"unknown name {name!r}{quoted}", meant)
    if match := _OVERLOAD.search(message):
        operator, operands = match[1].strip("_").replace("_", " ").strip("@"), match[2]
        for pattern, word in _WORD_TYPES:
            operands = pattern.sub(word, operands)
        return Fault(offset, max(len(operator), 1), f"{operator!r} can't take ({operands})")
    short = message.partition(" expecting ")[0].replace("mismatched input", "unexpected").replace("'<EOF>'", "end")
    return Fault(offset, 1, short[:1].lower() + short[1:200])


def _selection(source: str, offset: int, name: str) -> tuple[int, int]:
    """Return begin and length of the selection (`event.severty`) that an error at its dot is about."""
    for match in re.finditer(rf"(?:[A-Za-z_]\w*\s*\.\s*)*{re.escape(name)}\b", source):
        if match.end() > offset:
            return match.start(), match.end() - match.start()
    return offset, 1


def _refuse_costly(tree: Tree, source: str) -> None:
    # Data may hold lists of thousands: a loop inside a loop would stop the partition.
    if tree.loops() > 1:
        raise ExpressionError([Fault(0, len(source), "a loop inside a loop is not allowed")])


def _refuse_unknown_words(tree: Tree, types: Mapping[str, Field]) -> None:
    """Refuse `event.lifecycle == "open"`: it could never hold."""
    faults = []
    for node, place in tree.compared():
        word, known = node.constant.string, _words_of(place, types)
        if known and word not in known:
            message = f"{word[:40]!r} is not one of {', '.join(known)}"
            faults.append(Fault(tree.offset(node), len(word) + 2, message, nearest(word, known)))
    if faults:
        raise ExpressionError(sorted(faults, key=lambda fault: fault.offset))


def _words_of(place: Path, types: Mapping[str, Field]) -> tuple[str, ...]:
    """Return the words that can stand at a place, `[]` for what is in a list; none when it can be anything."""
    here: Field | None = types.get(place[0])
    for name in place[1:]:
        here = (here.item if name == ITEM else here.child(name)) if here else None
    return here.words if here else ()
