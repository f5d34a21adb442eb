"""Well-typed conditions and scopes at random, for tests that compare two ways to evaluate."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from services.policy.expressions import Language, customer_type
from services.policy.schemas import Schema
from services.router.decision.model import Event, Lifecycle, Profile, Scope, Severity

NAMES: Final = ("event", "data", "customer", "previous", "now")
_PROPERTIES: Final[dict[str, Any]] = {
    "area": {"type": "string"},
    "cause": {"type": "string"},
    "count": {"type": "integer"},
    "tries": {"type": "integer"},
    "price": {"type": "number"},
    "rate": {"type": "number"},
    "urgent": {"type": "boolean"},
    "known": {"type": "boolean"},
    "at": {"type": "string", "format": "date-time"},
    "back_at": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "place": {
        "type": "object",
        "properties": {
            "zip": {"type": "string"},
            "floor": {"type": "integer"},
            "deep": {"type": "object", "properties": {"since": {"type": "string", "format": "date-time"}}},
        },
    },
    "tags": {"type": "array", "items": {"type": "string"}},
    "streets": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "homes": {"type": "integer"},
                "till": {"type": "string", "format": "date-time"},
            },
        },
    },
    "extra": {},
}
SCHEMA: Final = Schema(
    {"type": "object", "required": ["area", "count", "price", "urgent", "at"], "properties": _PROPERTIES}
)
LANGUAGE: Final = Language(
    SCHEMA.type,
    customer_type(
        {"plan": "string", "age": "int", "score": "number", "vip": "bool", "since": "date", "seen": "timestamp"}
    ),
)

_MIXED: Final = ("data.tags", "data.extra", "[1, 2.0, null]", '["a", true]')
Choose = Callable[[Sequence[Any]], Any]


def _of(choose: Choose, options: Sequence[Callable[[], str]]) -> str:
    return str(choose(options)())


class Grammar:
    """Conditions of bounded depth; `choose` takes one of several."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._item = ""

    def truth(self, depth: int) -> str:
        pick = self._choose
        if depth == 0:
            return _of(
                pick,
                [
                    self._null_test,
                    self._word_test,
                    lambda: pick(["data.urgent", "data.known", "true", "customer.attributes.vip", "previous.known"]),
                ],
            )
        down = depth - 1
        choices = [
            lambda: f"({self.truth(down)} && {self.truth(down)})",
            lambda: f"({self.truth(down)} || {self.truth(down)})",
            lambda: f"!({self.truth(down)})",
            lambda: f"({self.truth(down)} ? {self.truth(down)} : {self.truth(down)})",
            lambda: self._compared(self.text(down), self.text(down)),
            lambda: self._compared(self.whole(down), self.whole(down)),
            lambda: self._compared(self.number(down), self.number(down)),
            lambda: self._compared(self.time(down), self.time(down)),
            lambda: self._compared(self.span(down), self.span(down)),
            lambda: self._compared(
                self.any(down), pick([self.text, self.whole, self.number, self.any, self.truth])(down)
            ),
            lambda: f"{self.text(down)} in {self._words()}",
            lambda: f"{self.whole(down)} in [1, 3, {self.whole(0)}]",
            lambda: f"{self.any(down)} in {pick(_MIXED)}",
            lambda: f"{self.text(down)}.{pick(['startsWith', 'endsWith', 'contains'])}({self.text(down)})",
            lambda: f"({self.truth(down)}) {pick(['==', '!=', '<'])} ({self.truth(down)})",
            self._null_test,
            self._word_test,
        ]
        if not self._item:
            choices.append(lambda: self._loop(down))
            choices.append(lambda: self._loop(down))
        return _of(pick, choices)

    def _null_test(self) -> str:
        pick = self._choose
        places = [
            "data.cause",
            "data.back_at",
            "data.place",
            "data.place.zip",
            "data.tags",
            "data.streets",
            "data.extra",
            "previous.place",
            "previous.price",
            "customer.attributes.age",
            "customer.locale",
            "event.sequence",
        ]
        if self._item == "street":
            places = ["x.name", "x.homes", "x.till", "x"]
        where = pick(places)
        if where == "x" or (where not in {"data.tags", "data.streets"} and pick([True, False])):
            return f"{where} {pick(['==', '!='])} null"
        return f"has({where})"

    def _word_test(self) -> str:
        return str(
            self._choose(
                [
                    'event.lifecycle == "opened"',
                    '"updated" != event.lifecycle',
                    'event.lifecycle in ["updated", "resolved"]',
                    'event.severity == "major"',
                    'event.severity in ["minor", "critical"]',
                    "event.lifecycle == data.cause",
                    "event.lifecycle < event.severity",
                ]
            )
        )

    def _compared(self, one: str, other: str) -> str:
        return f"{one} {self._choose(['==', '!=', '<', '<=', '>', '>='])} {other}"

    def _words(self) -> str:
        return str(
            self._choose(['["a", "storm"]', "data.tags", '["a", data.cause]', "previous.tags", '["b", null]', "[]"])
        )

    def _loop(self, depth: int) -> str:
        pick = self._choose
        self._item = pick(["street", "tag", "any"])
        where = {
            "street": "data.streets",
            "tag": pick(["data.tags", "previous.tags", '["a", data.cause]']),
            "any": "data.extra",
        }[self._item]
        inside = self.truth(depth)
        mapped = pick([self.text, self.whole, self.any])(depth)
        self._item = ""
        return str(
            pick(
                [
                    f"{where}.exists(x, {inside})",
                    f"{where}.all(x, {inside})",
                    f"{where}.exists_one(x, {inside})",
                    f"size({where}.filter(x, {inside})) > 1",
                    f"{where}.map(x, {mapped}) == {where}.map(x, {mapped})",
                    f'"a" in {where}.map(x, {inside}, {mapped})',
                ]
            )
        )

    def text(self, depth: int) -> str:
        pick = self._choose
        own = {"street": ["x.name"], "tag": ["x"], "any": [], "": []}[self._item]
        if depth == 0:
            return str(
                pick(
                    [
                        *own,
                        *own,
                        "data.area",
                        "data.cause",
                        "data.day",
                        "data.place.zip",
                        "previous.area",
                        "previous.cause",
                        "customer.attributes.plan",
                        "customer.id",
                        "customer.locale",
                        "event.id",
                        "event.subject",
                        '"a"',
                        '"storm"',
                        '"\\u00e9\\n\\"\'"',
                        '""',
                    ]
                )
            )
        down = depth - 1
        return _of(
            pick,
            [
                lambda: self.text(0),
                lambda: f"({self.text(down)} + {self.text(down)})",
                lambda: f"string({self.whole(down)})",
                lambda: f"({self.truth(down)} ? {self.text(down)} : {self.text(down)})",
            ],
        )

    def whole(self, depth: int) -> str:
        pick = self._choose
        own = {"street": ["x.homes"], "tag": ["size(x)"], "any": [], "": []}[self._item]
        if depth == 0:
            return str(
                pick(
                    [
                        *own,
                        *own,
                        "data.count",
                        "data.tries",
                        "data.place.floor",
                        "previous.count",
                        "customer.attributes.age",
                        "event.sequence",
                        "0",
                        "1",
                        "3",
                        "-7",
                        "9223372036854775807",
                    ]
                )
            )
        down = depth - 1
        return _of(
            pick,
            [
                lambda: self.whole(0),
                lambda: f"({self.whole(down)} {pick(['+', '-', '*', '/', '%'])} {self.whole(down)})",
                lambda: f"(-{self.whole(down)})",
                lambda: f"size({self.text(down)})",
                lambda: f"size({pick(['data.tags', 'data.streets', 'previous.tags'])})",
                lambda: f"({self.truth(down)} ? {self.whole(down)} : {self.whole(down)})",
            ],
        )

    def number(self, depth: int) -> str:
        pick = self._choose
        if depth == 0:
            return str(
                pick(
                    [
                        "data.price",
                        "data.rate",
                        "previous.price",
                        "customer.attributes.score",
                        "0.0",
                        "1.5",
                        "3.0",
                        "-2.25",
                        "1e300",
                    ]
                )
            )
        down = depth - 1
        return _of(
            pick,
            [
                lambda: self.number(0),
                lambda: f"({self.number(down)} {pick(['+', '-', '*', '/'])} {self.number(down)})",
                lambda: f"(-{self.number(down)})",
                lambda: f"({self.truth(down)} ? {self.number(down)} : {self.number(down)})",
            ],
        )

    def time(self, depth: int) -> str:
        pick = self._choose
        own = ["x.till"] if self._item == "street" else []
        if depth == 0:
            return str(
                pick(
                    [
                        *own,
                        *own,
                        "data.at",
                        "data.back_at",
                        "data.place.deep.since",
                        "previous.at",
                        "event.time",
                        "now",
                        "customer.attributes.seen",
                        'timestamp("1970-01-01T01:30:00Z")',
                        'timestamp("2026-03-28T22:30:00.5+01:00")',
                    ]
                )
            )
        down = depth - 1
        return _of(
            pick,
            [
                lambda: self.time(0),
                lambda: f"({self.time(down)} {pick(['+', '-'])} {self.span(0)})",
                lambda: f"({self.truth(down)} ? {self.time(down)} : {self.time(down)})",
            ],
        )

    def span(self, depth: int) -> str:
        pick = self._choose
        constants = [
            'duration("30m")',
            'duration("-1h30m")',
            'duration("0s")',
            'duration("1500ms")',
            'duration("2000000h")',
        ]
        if depth == 0:
            return str(pick(constants))
        down = depth - 1
        return _of(
            pick,
            [
                lambda: self.span(0),
                lambda: f"({self.time(down)} - {self.time(down)})",
                lambda: f"({self.span(down)} {pick(['+', '-'])} {self.span(down)})",
            ],
        )

    def any(self, depth: int) -> str:
        pick = self._choose
        own = ["x", "x.a"] if self._item == "any" else []
        if depth == 0:
            return str(
                pick(
                    [
                        *own,
                        *own,
                        "data.extra",
                        "data.extra.a",
                        "data.extra.a.b",
                        "previous.extra",
                        "data.extra[0]",
                        'data.extra["a"]',
                    ]
                )
            )
        down = depth - 1
        return _of(
            pick,
            [
                lambda: self.any(0),
                lambda: (
                    f"({self.any(down)} {pick(['+', '-', '*', '/', '%'])} "
                    f"{pick([self.any, self.whole, self.number, self.text])(down)})"
                ),
                lambda: f"dyn({pick([self.whole, self.number, self.text, self.truth])(down)})",
            ],
        )


_TEXTS: Final = ("a", "storm", "", "é\n\"'", "b", "\U0001f600x")
_WHOLES: Final = (0, 1, 3, -7, 5.0, (1 << 63) - 1, -(1 << 63), 9007199254740993)
_NUMBERS: Final = (0, 0.0, 1, 1.5, 3.0, -2.25, 1e300, 9007199254740992.0)
_TIMES: Final = (
    "1970-01-01T01:30:00Z",
    "1970-01-01T03:30:00+02:00",
    "1970-01-01T01:59:60Z",
    "2026-03-28T21:30:00.500000Z",
    "2026-03-28t21:30:00.5z",
    "9999-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
)
_DAYS: Final = ("2026-03-28", "1970-01-01")
_ODD: Final[tuple[Any, ...]] = (
    "a",
    1,
    2.5,
    True,
    [],
    [1],
    ["a", None],
    {},
    {"a": 1},
    1 << 70,
    "\ud800",
    float("inf"),
    float("nan"),
    10**400,
    {"a": {"b": "\ud800"}},
    [[1 << 64]],
    (1, 2),
    "2026-03-28T21:30:00Z",
)
_ANY: Final[tuple[Any, ...]] = (
    None,
    1,
    3,
    2.0,
    True,
    False,
    "a",
    "storm",
    [],
    [1, 2.0, "a"],
    ["a", "storm"],
    [{"a": 1}, {"a": {"b": 2}}],
    {"a": 1},
    {"a": {"b": 3}},
    {"a": "a"},
    {"a": None},
    {},
)


class Scopes:
    """Scopes with values as the schema says, some absent; with `odd` also values that it does not allow."""

    def __init__(self, choose: Choose, *, odd: bool) -> None:
        self._choose = choose
        self._odd = odd

    def scope(self) -> Scope:
        pick = self._choose
        event = Event(
            tenant="t",
            source="s",
            id=pick(["e1", "a"]),
            type="x",
            subject=pick(["INC-1", "storm"]),
            time=pick([3_600_000_000, 1_774_733_400_500_000, -5]),
            lifecycle=pick(list(Lifecycle)),
            sequence=pick([None, 0, 3]),
            severity=pick(list(Severity)),
            expiry=None,
            customers=("ana",),
            data=self._data(),
            content_hash=b"",
            accepted=0,
        )
        profile = None
        if pick([True, True, False]):
            profile = Profile("ana", locale=pick(["", "de"]), timezone=pick(["", "UTC"]), attributes=self._attributes())
        previous = self._data() if pick([True, True, False]) else None
        return Scope(event, profile, previous, pick([5_400_000_000, 1_774_733_400_500_000]))

    def _data(self) -> dict[str, Any]:
        pick = self._choose
        makers: dict[str, Callable[[], Any]] = {
            **dict.fromkeys(("area", "cause"), lambda: pick(_TEXTS)),
            **dict.fromkeys(("count", "tries"), lambda: pick(_WHOLES)),
            **dict.fromkeys(("price", "rate"), lambda: pick(_NUMBERS)),
            **dict.fromkeys(("urgent", "known"), lambda: pick([True, False])),
            **dict.fromkeys(("at", "back_at"), lambda: pick(_TIMES)),
            "day": lambda: pick(_DAYS),
            "place": self._place,
            "tags": lambda: pick([[], ["a"], ["storm", "b", "a"], ["a", "a"]]),
            "streets": lambda: [self._street() for _ in range(pick([0, 1, 2, 3]))],
            "extra": lambda: pick(_ANY),
        }
        return {name: self._odd_or(make()) for name, make in makers.items() if pick([True, True, True, False])}

    def _odd_or(self, value: Any) -> Any:
        pick = self._choose
        return pick(_ODD) if self._odd and pick([True, *[False] * 9]) else value

    def _place(self) -> dict[str, Any]:
        pick = self._choose
        found: dict[str, Any] = {
            "zip": self._odd_or(pick(_TEXTS)),
            "floor": self._odd_or(pick(_WHOLES)),
            "deep": pick([None, {}, {"since": pick(_TIMES)}]),
        }
        return {name: value for name, value in found.items() if pick([True, True, False])}

    def _street(self) -> Any:
        pick = self._choose
        found = {"name": self._odd_or(pick(_TEXTS)), "homes": self._odd_or(pick(_WHOLES)), "till": pick(_TIMES)}
        return self._odd_or({name: value for name, value in found.items() if pick([True, True, False])})

    def _attributes(self) -> dict[str, Any]:
        pick = self._choose
        found = {
            "plan": pick(_TEXTS),
            "age": pick(_WHOLES),
            "score": pick(_NUMBERS),
            "vip": pick([True, False]),
            "since": pick(_DAYS),
            "seen": pick(_TIMES),
        }
        return {name: self._odd_or(value) for name, value in found.items() if pick([True, True, False])}
