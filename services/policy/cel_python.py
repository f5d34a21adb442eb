"""Checked CEL expressions as Python functions, so that a condition costs less than a call of the library.

The tree is translated once, with the types of the schema; what can't be translated exactly isn't, and runs in the
library. Names and texts of a policy never get into the source: they are objects of a closed namespace, and the source
holds only fixed names with numbers. A truth is True, False or None for an error; other values are those of
`cel_values`. Where a value is not what its type says, the function leaves the evaluation to the library.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct

from services.policy import cel_values as values
from services.policy.cel_read import Reads, Sort, Typed, Untranslatable, Writer, inner_of, sort_of
from services.policy.cel_tree import path
from services.policy.cel_words import duration_of, instant_of
from services.policy.schemas import Field, Kind
from services.router.decision.model import Lifecycle, Scope, Truth

_LIFECYCLE: Final = ("event", "lifecycle")
_JSON: Final = frozenset({Sort.BOOL, Sort.INT, Sort.FLOAT, Sort.TEXT, Sort.LIST, Sort.NULL, Sort.ANY})
_ORDERED: Final = frozenset({Sort.BOOL, Sort.INT, Sort.FLOAT, Sort.TEXT, Sort.TIME, Sort.SPAN})
_CLASSES: Final = {Sort.BOOL: "bool", Sort.INT: "int", Sort.FLOAT: "float", Sort.TEXT: "str", Sort.LIST: "list"}
_ORDERS: Final = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_SUMS: Final = {"_+_": "add", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "remainder"}
_SIGNS: Final = {"_+_": "+", "_-_": "-", "_*_": "*"}
_TEXT_TESTS: Final = {"startsWith": "{0}.startswith({1})", "endsWith": "{0}.endswith({1})", "contains": "{1} in {0}"}
_LIFECYCLES: Final = {word.name.lower(): word for word in Lifecycle}


class Cond(Struct, frozen=True):
    """A truth in the source; `error`: it may be None."""

    code: str
    error: bool


class Translation(Struct, frozen=True):
    """The source of a function and the objects that it names."""

    source: str
    namespace: Mapping[str, Any]

    def function(self, otherwise: Callable[[Scope], Any]) -> Callable[[Scope], Any]:
        """Return the function; `otherwise` evaluates what it can't."""
        space = {**self.namespace, "__builtins__": {}, "otherwise": otherwise}
        exec(compile(self.source, "<condition>", "exec", dont_inherit=True), space)  # noqa: S102 - our own source
        function: Callable[[Scope], Any] = space["evaluate"]
        return function


def translate(
    root: Any, paths: Sequence[tuple[str, ...]], types: Mapping[str, Field], *, loops: int, longest: int, text: bool
) -> Translation | None:
    """Return the translation of a checked tree without `has`; None: it stays in the library.

    `paths` are what it reads, `loops` how many it has, `longest` how long a list may be; `text`: it gives a text.
    """
    try:
        translator = _Translator(paths, types, values.ROUNDS // max(loops, 1), longest)
        writer = translator.finish_text(root) if text else translator.finish(root)
        translation = Translation(writer.source(), writer.namespace)
        translation.function(lambda _: None)
    except (Untranslatable, RecursionError, SyntaxError, MemoryError):
        return None
    return translation


class _Translator:
    def __init__(self, paths: Sequence[tuple[str, ...]], types: Mapping[str, Field], rounds: int, longest: int) -> None:
        self.out = Writer()
        self.reads = Reads(self.out, paths, types, longest)
        self.rounds = rounds
        self.bound: dict[str, Typed] = {}

    def finish(self, root: Any) -> Writer:
        found = self.held(root)
        for name, word in (("TRUE", Truth.TRUE), ("FALSE", Truth.FALSE), ("ABSENT", Truth.ABSENT)):
            self.out.namespace[name] = word
        self.out.line(f"if {found.code}: return TRUE")
        self.out.line(f"return ABSENT if {found.code} is None else FALSE" if found.error else "return FALSE")
        return self.out

    def finish_text(self, root: Any) -> Writer:
        found = self.value(root)
        if found.sort not in {Sort.TEXT, Sort.ANY}:
            raise Untranslatable
        self.out.line(f"return {found.code} if {found.code}.__class__ is str else None")
        return self.out

    @contextmanager
    def branch(self, head: str) -> Iterator[None]:
        with self.reads.branch(), self.out.block(head):
            yield

    # --- truths ----------------------------------------------------------------------------------

    def held(self, node: Any) -> Cond:
        """Return a truth that may be named more than once."""
        found = self.truth(node)
        return found if found.code.isidentifier() else Cond(self.out.keep(found.code), found.error)

    def truth(self, node: Any) -> Cond:  # noqa: PLR0911 - one line for each operator
        """Return a truth, to be named once."""
        if not node.HasField("call"):
            return self.truth_of(self.value(node))
        args = list(node.call.args)
        match node.call.function:
            case "_&&_":
                return self.both(args, stop="False")
            case "_||_":
                return self.both(args, stop="True")
            case "!_":
                found = self.held(args[0])
                return Cond(
                    f"(None if {found.code} is None else not {found.code})" if found.error else f"(not {found.code})",
                    found.error,
                )
            case "_?_:_":
                return self.chosen_truth(args)
            case "_==_" | "_!=_":
                return self.equal(args, negated=node.call.function == "_!=_")
            case "@in":
                return self.member(args)
            case name if name in _ORDERS:
                return self.ordered(name, self.value(args[0]), self.value(args[1]))
            case name if name in _TEXT_TESTS and node.call.HasField("target") and len(args) == 1:
                a, b = self.value(node.call.target), self.value(args[0])
                return self.guarded(
                    _TEXT_TESTS[name].format(a.code, b.code), self.proper(a, "str"), self.proper(b, "str")
                )
        return self.truth_of(self.value(node))

    def truth_of(self, found: Typed) -> Cond:
        if found.sort not in {Sort.BOOL, Sort.ANY}:
            raise Untranslatable
        guard = self.proper(found, "bool")
        return self.guarded(found.code, guard)

    def both(self, args: Sequence[Any], stop: str) -> Cond:
        """`&&` and `||`: the value that decides (`stop`) wins over an error of the other side."""
        first = self.truth(args[0])
        result = self.out.keep(first.code)
        going = "True" if stop == "False" else "False"
        if first.error:
            head = f"if {result} is not {stop}:"
        else:
            head = f"if {result}:" if stop == "False" else f"if not {result}:"
        with self.branch(head):
            second = self.truth(args[1])
            if first.error:
                other = second.code if second.code.isidentifier() else self.out.keep(second.code)
                self.out.line(f"if {result} is {going} or {other} is {stop}: {result} = {other}")
            else:
                self.out.line(f"{result} = {second.code}")
        return Cond(result, first.error or second.error)

    def chosen_truth(self, args: Sequence[Any]) -> Cond:
        asked = self.held(args[0])
        result = self.out.fresh()
        self.out.line(f"{result} = None")
        with self.branch(f"if {asked.code}:"):
            one = self.truth(args[1])
            self.out.line(f"{result} = {one.code}")
        with self.branch(f"elif {asked.code} is False:" if asked.error else "else:"):
            other = self.truth(args[2])
            self.out.line(f"{result} = {other.code}")
        return Cond(result, asked.error or one.error or other.error)

    def guarded(self, code: str, *guards: str) -> Cond:
        needed = " and ".join(guard for guard in guards if guard)
        return Cond(f"({code} if {needed} else None)", error=True) if needed else Cond(f"({code})", error=False)

    def proper(self, found: Typed, kind: str) -> str:
        """Return the test that a value is neither null nor an error, "" when it can't be."""
        if found.sort is Sort.ANY or (found.null and found.error):
            return f"{found.code}.__class__ is {kind}"
        return f"{found.code} is not None" if found.null else self.sound(found)

    def sound(self, found: Typed) -> str:
        return f"{found.code} is not ERROR" if found.error else ""

    def equal(self, args: Sequence[Any], *, negated: bool) -> Cond:
        sign, no = ("!=", "not ") if negated else ("==", "")
        for one, other in (args, reversed(args)):
            if self.is_lifecycle(one) and other.constant.WhichOneof("kind") == "string":
                word = self.out.constant(_LIFECYCLES.get(other.constant.string))
                return Cond(f"({self.reads.lifecycle()} {'is not' if negated else 'is'} {word})", error=False)
        a, b = self.value(args[0]), self.value(args[1])
        guards = self.sound(a), self.sound(b)
        sorts = {a.sort, b.sort}
        if Sort.NULL in sorts:
            other = b if a.sort is Sort.NULL else a
            return self.guarded(f"{other.code} is {'not ' if negated else ''}None", *guards)
        if (len(sorts) == 1 and a.sort in _ORDERED) or sorts == {Sort.TEXT, Sort.ANY}:
            return self.guarded(f"{a.code} {sign} {b.code}", *guards)
        self.plain_json(a, b)
        return self.guarded(f"{no}same({a.code}, {b.code})", *guards)

    def plain_json(self, *operands: Typed) -> None:
        """Refuse instants, durations and objects: `same` and its like don't know them."""
        for one in operands:
            if one.sort not in _JSON or (one.sort is Sort.LIST and not _is_json(one.field)):
                raise Untranslatable

    def is_lifecycle(self, node: Any) -> bool:
        return path(node) == _LIFECYCLE and "event" not in self.bound

    def member(self, args: Sequence[Any]) -> Cond:
        if args[1].HasField("list"):
            constants = [one.constant for one in args[1].list.elements if one.HasField("constant")]
            if constants and len(constants) == len(args[1].list.elements):
                return self.member_of(args[0], constants)
        a, b = self.value(args[0]), self.value(args[1])
        if b.sort is Sort.ANY:
            self.plain_json(a)
            return Cond(
                f"(inside({a.code}, {b.code}))"
                if not a.error
                else f"(inside({a.code}, {b.code}) if {self.sound(a)} else None)",
                error=True,
            )
        if b.sort is not Sort.LIST or b.field is None:
            raise Untranslatable
        item = sort_of(b.field)
        guards = self.sound(a), self.proper(b, "list")
        if a.sort is item and item in {Sort.TEXT, Sort.INT, Sort.BOOL, Sort.TIME}:
            return self.guarded(f"{a.code} in {b.code}", *guards)
        self.plain_json(a, b)
        return self.guarded(f"contains({a.code}, {b.code})", *guards)

    def member_of(self, node: Any, constants: Sequence[Any]) -> Cond:
        """`in` for a list of constants."""
        known = [self.constant(one) for one in constants]
        sorts = {sort for sort, _ in known}
        items = tuple(item for _, item in known)
        if self.is_lifecycle(node) and sorts == {Sort.TEXT}:
            found = tuple(_LIFECYCLES[item] for item in items if item in _LIFECYCLES)
            return Cond(f"({self.reads.lifecycle()} in {self.out.constant(found)})", error=False)
        a = self.value(node)
        if sorts == {a.sort} and a.sort in {Sort.TEXT, Sort.INT}:
            return self.guarded(f"{a.code} in {self.out.constant(frozenset(items))}", self.sound(a))
        self.plain_json(a)
        return self.guarded(f"contains({a.code}, {self.out.constant(items)})", self.sound(a))

    def ordered(self, name: str, a: Typed, b: Typed) -> Cond:
        sign = _ORDERS[name]
        if a.sort is b.sort and a.sort in _ORDERED:
            kind = _CLASSES.get(a.sort, "int")
            return self.guarded(f"{a.code} {sign} {b.code}", self.proper(a, kind), self.proper(b, kind))
        self.plain_json(a, b)
        helper = "less" if sign in {"<", ">"} else "at_most"
        one, other = (a, b) if sign in {"<", "<="} else (b, a)
        return Cond(f"{helper}({one.code}, {other.code})", error=True)

    # --- values ----------------------------------------------------------------------------------

    def value(self, node: Any) -> Typed:
        match node.WhichOneof("kind"):
            case "constant":
                sort, value = self.constant(node.constant)
                return Typed(self.out.constant(value), sort, null=value is None)
            case "ident" | "select":
                return self.read(node)
            case "list":
                return self.listed(node.list.elements)
            case "call":
                return self.called(node)
            case "comprehension":
                return self.looped(node.comprehension)
            case _:
                raise Untranslatable

    def constant(self, constant: Any) -> tuple[Sort, Any]:
        match constant.WhichOneof("kind"):
            case "null":
                return Sort.NULL, None
            case "truth":
                return Sort.BOOL, constant.truth
            case "whole":
                return Sort.INT, constant.whole
            case "number":
                return Sort.FLOAT, constant.number
            case "string":
                return Sort.TEXT, constant.string
            case _:
                raise Untranslatable

    def read(self, node: Any) -> Typed:
        where = path(node)
        if where and where[0] not in self.bound:
            if where == _LIFECYCLE:
                return Typed(self.out.keep(f"LIFECYCLES[{self.reads.lifecycle()}]"), Sort.TEXT)
            found = self.reads.place(where)
            if found is not None:
                return found
        if node.HasField("ident"):
            if node.ident.name in self.bound:
                return self.bound[node.ident.name]
            raise Untranslatable
        return self.selected(self.value(node.select.operand), node.select.field)

    def selected(self, above: Typed, name: str) -> Typed:
        word = self.out.constant(name)
        if above.sort is Sort.OBJECT and above.field is not None:
            child = above.field.child(name)
            if child is None:
                raise Untranslatable
            guard = self.proper(above, "dict")
            code = f"{above.code}[{word}]"
            return Typed(
                self.out.keep(f"{code} if {guard} else ERROR" if guard else code),
                sort_of(child),
                inner_of(child),
                null=True,
                error=bool(guard),
            )
        if above.sort is not Sort.ANY:
            raise Untranslatable
        return Typed(self.out.keep(f"select({above.code}, {word})"), Sort.ANY, null=True, error=True)

    def listed(self, elements: Sequence[Any]) -> Typed:
        items = [self.value(one) for one in elements]
        for one in items:
            if one.sort in {Sort.SPAN, Sort.OBJECT}:
                raise Untranslatable
        fields = [one.as_field() for one in items] or [Field(Kind.ANY)]
        field = fields[0] if all(one == fields[0] for one in fields) else Field(Kind.ANY)
        if field.kind is Kind.ANY:
            self.plain_json(*items)
        code = f"[{', '.join(one.code for one in items)}]"
        errors = " or ".join(f"{one.code} is ERROR" for one in items if one.error)
        return Typed(
            self.out.keep(f"ERROR if {errors} else {code}" if errors else code), Sort.LIST, field, error=bool(errors)
        )

    def called(self, node: Any) -> Typed:  # noqa: C901, PLR0911 - one line for each function
        name, args = node.call.function, list(node.call.args)
        if node.call.HasField("target"):
            args = [node.call.target, *args]
        match name:
            case "_?_:_":
                return self.chosen(args)
            case "-_":
                return self.negated(self.value(args[0]))
            case "size" if len(args) == 1:
                return self.sized(self.value(args[0]))
            case "_[_]":
                return self.indexed(self.value(args[0]), self.value(args[1]))
            case "string" if len(args) == 1:
                a = self.value(args[0])
                self.plain_json(a)
                return Typed(self.out.keep(f"as_text({a.code})"), Sort.TEXT, error=True)
            case "dyn" if len(args) == 1:
                return self.value(args[0])
            case "duration" | "timestamp" if len(args) == 1 and args[0].constant.WhichOneof("kind") == "string":
                return self.moment(name, args[0].constant.string)
            case _ if name in _SUMS:
                return self.sum(name, self.value(args[0]), self.value(args[1]))
            case (
                "_&&_"
                | "_||_"
                | "!_"
                | "_==_"
                | "_!=_"
                | "@in"
                | "_<_"
                | "_<=_"
                | "_>_"
                | "_>=_"
                | "startsWith"
                | "endsWith"
                | "contains"
            ):
                found = self.held(node)
                code = self.out.keep(f"ERROR if {found.code} is None else {found.code}") if found.error else found.code
                return Typed(code, Sort.BOOL, error=found.error)
            case _:
                raise Untranslatable

    def moment(self, name: str, word: str) -> Typed:
        known = duration_of(word) if name == "duration" else instant_of(word)
        if known is None:
            raise Untranslatable
        return Typed(self.out.constant(known), Sort.SPAN if name == "duration" else Sort.TIME)

    def chosen(self, args: Sequence[Any]) -> Typed:
        asked = self.held(args[0])
        result = self.out.fresh()
        self.out.line(f"{result} = ERROR")
        with self.branch(f"if {asked.code}:"):
            one = self.value(args[1])
            self.out.line(f"{result} = {one.code}")
        with self.branch(f"elif {asked.code} is False:" if asked.error else "else:"):
            other = self.value(args[2])
            self.out.line(f"{result} = {other.code}")
        null, error = one.null or other.null, asked.error or one.error or other.error
        if one.sort is Sort.NULL or (one.sort is other.sort and one.field == other.field):
            return Typed(result, other.sort, other.field, null=null, error=error)
        if other.sort is Sort.NULL:
            return Typed(result, one.sort, one.field, null=null, error=error)
        self.plain_json(one, other)
        return Typed(result, Sort.ANY, null=True, error=error)

    def negated(self, a: Typed) -> Typed:
        self.plain_json(a)
        sort = a.sort if a.sort in {Sort.INT, Sort.FLOAT} else Sort.ANY
        return Typed(self.out.keep(f"negate({a.code})"), sort, error=True)

    def sized(self, a: Typed) -> Typed:
        if a.sort not in {Sort.TEXT, Sort.LIST}:
            self.plain_json(a)
            return Typed(self.out.keep(f"size({a.code})"), Sort.INT, error=True)
        return self.computed(f"len({a.code})", Sort.INT, self.proper(a, _CLASSES[a.sort]))

    def indexed(self, a: Typed, b: Typed) -> Typed:
        self.plain_json(b)
        if a.sort is Sort.LIST and a.field is not None:
            return Typed(
                self.out.keep(f"element({a.code}, {b.code})"), sort_of(a.field), a.field, null=True, error=True
            )
        self.plain_json(a)
        return Typed(self.out.keep(f"element({a.code}, {b.code})"), Sort.ANY, null=True, error=True)

    def computed(self, code: str, sort: Sort, *guards: str) -> Typed:
        needed = " and ".join(guard for guard in guards if guard)
        return Typed(self.out.keep(f"{code} if {needed} else ERROR" if needed else code), sort, error=bool(needed))

    def sum(self, name: str, a: Typed, b: Typed) -> Typed:
        """`+ - * / %`."""
        times = {Sort.TIME, Sort.SPAN}
        if {a.sort, b.sort} <= times:
            return self.sum_of_times(name, a, b)
        self.plain_json(a, b)
        same = a.sort if a.sort is b.sort else Sort.ANY
        if name in _SIGNS and same in {Sort.FLOAT, Sort.INT}:
            code = f"{a.code} {_SIGNS[name]} {b.code}"
            kind = _CLASSES[same]
            if same is Sort.FLOAT:
                return self.computed(code, same, self.proper(a, kind), self.proper(b, kind))
            found = self.computed(f"bounded({code})", same, self.proper(a, kind), self.proper(b, kind))
            return Typed(found.code, same, error=True)
        if name == "_+_" and same is Sort.TEXT:
            return self.computed(f"{a.code} + {b.code}", same, self.proper(a, "str"), self.proper(b, "str"))
        sort = same if same in {Sort.FLOAT, Sort.INT} else Sort.ANY
        return Typed(self.out.keep(f"{_SUMS[name]}({a.code}, {b.code})"), sort, null=sort is Sort.ANY, error=True)

    def sum_of_times(self, name: str, a: Typed, b: Typed) -> Typed:
        guards = self.proper(a, "int"), self.proper(b, "int")
        match name, a.sort, b.sort:
            case "_-_", Sort.TIME, Sort.TIME:
                return self.computed(f"span({a.code} - {b.code})", Sort.SPAN, *guards)
            case (("_-_" | "_+_"), Sort.TIME, Sort.SPAN):
                return self.computed(f"shifted({a.code} {_SIGNS[name]} {b.code})", Sort.TIME, *guards)
            case "_+_", Sort.SPAN, Sort.TIME:
                return self.computed(f"shifted({a.code} + {b.code})", Sort.TIME, *guards)
            case (("_-_" | "_+_"), Sort.SPAN, Sort.SPAN):
                return self.computed(f"span({a.code} {_SIGNS[name]} {b.code})", Sort.SPAN, *guards)
            case _:
                raise Untranslatable

    # --- loops -----------------------------------------------------------------------------------

    def looped(self, loop: Any) -> Typed:
        """The macros over lists, known by the shape that CEL's parser gives them."""
        items = self.value(loop.range)
        if items.sort not in {Sort.LIST, Sort.ANY}:
            raise Untranslatable
        field = items.field if items.sort is Sort.LIST and items.field is not None else Field(Kind.ANY)
        if items.sort is Sort.ANY:
            self.out.line(f"if {items.code}.__class__ is dict: raise Unusual")
        step, result = loop.step, self.out.fresh()
        start = (
            "[]"
            if loop.start.HasField("list")
            else "0"
            if loop.start.constant.WhichOneof("kind") == "whole"
            else "False"
        )
        if start == "False" and loop.start.constant.truth:
            start = "True"
        self.out.line(f"{result} = ERROR")
        guard = self.proper(items, "list") or "True"
        item = self.out.fresh()
        with self.branch(f"if {guard}:"):
            self.out.line(f"if len({items.code}) > {self.rounds}: raise Unusual")
            self.out.line(f"{result} = {start}")
            outer = self.bound
            self.bound = {**outer, loop.variable: Typed(item, sort_of(field), inner_of(field), null=True)}
            with self.branch(f"for {item} in {items.code}:"):
                sort, of = self.round(loop, step, result)
            self.bound = outer
            if sort is Sort.INT:
                self.out.line(f"if {result} is not ERROR: {result} = {result} == 1")
                sort = Sort.BOOL
        return Typed(result, sort, of, error=True)

    def round(self, loop: Any, step: Any, result: str) -> tuple[Sort, Field | None]:
        """One round of a loop: what it does to the result, and the type of that."""
        name, args = step.call.function, list(step.call.args)
        own = (loop.accumulator,)
        match name:
            case "_||_" | "_&&_" if path(args[0]) == own:
                stop = "True" if name == "_||_" else "False"
                found = self.held(args[1])
                if found.error:
                    self.out.line(f"if {found.code} is None: {result} = ERROR")
                self.out.line(f"if {found.code} is {stop}:")
                self.out.line(f"    {result} = {stop}")
                self.out.line("    break")
                return Sort.BOOL, None
            case "_?_:_" if path(args[2]) == own:
                found = self.held(args[0])
                if found.error:
                    self.out.line(f"if {found.code} is None: {result} = ERROR")
                with self.branch(f"if {found.code}:"):
                    return self.grown(args[1], own, result)
            case "_+_":
                return self.grown(step, own, result)
            case _:
                raise Untranslatable

    def grown(self, step: Any, own: tuple[str, ...], result: str) -> tuple[Sort, Field | None]:
        """The result with one more: counted, or in the list."""
        args = list(step.call.args)
        if step.call.function != "_+_" or path(args[0]) != own:
            raise Untranslatable
        if args[1].constant.WhichOneof("kind") == "whole" and args[1].constant.whole == 1:
            self.out.line(f"if {result} is not ERROR: {result} += 1")
            return Sort.INT, None
        if not args[1].HasField("list") or len(args[1].list.elements) != 1:
            raise Untranslatable
        one = self.value(args[1].list.elements[0])
        if one.sort is Sort.SPAN:
            raise Untranslatable
        if one.error:
            self.out.line(f"if {one.code} is ERROR: {result} = ERROR")
        self.out.line(f"if {result} is not ERROR: {result}.append({one.code})")
        return Sort.LIST, one.as_field()


def _is_json(field: Field | None) -> bool:
    return field is None or (sort_of(field) in _JSON and (field.item is None or _is_json(field.item)))
