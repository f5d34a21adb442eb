"""What each file of a policy may contain, as pydantic models.

Shapes know a file by itself: its keys, types and small formats. What files say about each other is compared in
`compile`. What a reader takes is said beside it as JSON Schema, from which `json_schemas` makes those for editors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from services.policy import words
from services.policy.documents import Document, type_names
from services.policy.mistakes import Mistake, nearest
from services.router.decision.model import MINUTE


def _told(schema: dict[str, Any]) -> Any:
    """Return the type that stands for what a person writes, where that is not what the shape holds."""
    return Annotated[Any, WithJsonSchema(schema)]


def _choice(known: Iterable[str]) -> BeforeValidator:
    names = tuple(known)

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            shown = repr(value[:60]) if isinstance(value, str) else _kind(value)
            hint = nearest(value, names) if isinstance(value, str) else ""
            message = f"{shown} is not one of {', '.join(names)}"
            raise PydanticCustomError("choice", "{message}", {"message": message, "hint": hint})
        return value

    return BeforeValidator(check, json_schema_input_type=_told({"enum": list(names)}))


def _read(reader: Callable[[str], Any], schema: dict[str, Any]) -> BeforeValidator:
    def check(value: Any) -> Any:
        if not isinstance(value, str):
            message = f"must be text, not {_kind(value)}"
            if reader is words.duration:
                message = f"must be a duration such as 24h, not {_kind(value)}"
            elif isinstance(value, int | float) and reader is words.minute_of_day:
                message += ' (times of day are quoted: "22:00")'
            raise PydanticCustomError("word", "{message}", {"message": message, "hint": ""})
        try:
            return reader(value)
        except words.WordError as error:
            raise PydanticCustomError("word", "{message}", {"message": str(error), "hint": error.suggestion}) from None

    return BeforeValidator(check, json_schema_input_type=_told({"type": "string", **schema}))


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return type_names.get(type(value), "this")


def _percent(value: Any) -> Any:
    """Read a percentage as ten-thousandths."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"must be a number from 0 to 100, not {_kind(value)}"
        raise PydanticCustomError("word", "{message}", {"message": message, "hint": ""})
    parts = round(value * 100)
    if not 0 <= value <= 100 or abs(parts - value * 100) > 1e-6:  # noqa: PLR2004 - what a percentage is
        message = "must be from 0 to 100, with at most two decimals"
        raise PydanticCustomError("word", "{message}", {"message": message, "hint": ""})
    return parts


Channel = Annotated[str, _choice(words.CHANNELS)]
MessageClassName = Annotated[str, _choice(words.CLASSES)]
PreferenceName = Annotated[str, _choice(words.VALUES)]
Duration = Annotated[int, _read(words.duration, {"pattern": "^[0-9]{1,6}[smhd]$", "examples": ["15m", "24h"]})]
TimeOfDay = Annotated[
    int, _read(words.minute_of_day, {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["22:00"]})
]
Zone = Annotated[str, _read(words.zone, {"pattern": "^[A-Za-z0-9_+/-]+$", "examples": ["Europe/Berlin"]})]
LocaleName = Annotated[
    str,
    _read(
        words.locale,
        {"pattern": "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$", "examples": ["de", "de-AT"]},
    ),
]
# A name goes into ids, metrics and file names.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
TypeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", max_length=128)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Percent = Annotated[
    int,
    BeforeValidator(_percent, json_schema_input_type=_told({"type": "number", "minimum": 0, "maximum": 100})),
]
# One may be written as itself.
ChannelList = Annotated[
    list[Channel],
    BeforeValidator(_as_list, json_schema_input_type=Channel | Annotated[list[Channel], Field(min_length=1)]),
]
TypeList = Annotated[
    list[Text],
    BeforeValidator(_as_list, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)]),
    Field(min_length=1),
]


S = TypeVar("S", bound="Shape")


class Shape(BaseModel):
    """Strict and closed: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class Window(Shape):
    """Local times of quiet hours."""

    start: TimeOfDay
    end: TimeOfDay


class QuietHours(Shape):
    """The tenant's quiet hours."""

    start: TimeOfDay | None = None
    end: TimeOfDay | None = None
    days: dict[Annotated[str, _choice(words.WEEKDAYS)], Window] = {}
    channels: list[Channel] = []
    over: Annotated[str, _choice(words.QUIET_OVERS)] = "hold"
    release_spread: Duration = 0


class Digest(Shape):
    """When digests are flushed."""

    every: Annotated[str, _choice(["1d", "1h"])] = "1d"
    at: TimeOfDay | None = None


class DefaultPreferences(Shape):
    """What holds for customers who said nothing."""

    channel: dict[Channel, PreferenceName] = {}
    category: dict[str, PreferenceName] = {}


class Defaults(Shape):
    """`defaults` of clarion.yaml."""

    locale: LocaleName = "en"
    timezone: Zone = "UTC"
    channels: list[Channel] = []
    quiet_hours: QuietHours | None = None
    preferences: DefaultPreferences = DefaultPreferences()
    dedup_window: Duration = 24 * 60 * MINUTE
    digest: Digest | None = None


class Lock(Shape):
    """Never, whatever anyone prefers."""

    category: str = ""
    channel: Channel = ""
    reason: Text


class TenantFile(Shape):
    """clarion.yaml."""

    tenant: Name
    defaults: Defaults = Defaults()
    attributes: dict[Name, Annotated[str, _choice(words.ATTRIBUTE_TYPES)]] = {}
    segments: dict[Name, Expression] = {}
    jargon: dict[LocaleName, list[Text]] = {}
    locks: list[Lock] = []


class Category(Shape):
    """A unit of preference."""

    title: Text
    default: PreferenceName
    required: bool = False


class CategoriesFile(Shape):
    """categories.yaml."""

    categories: dict[Name, Category]


class Where(Shape):
    """What a cap concerns."""

    channel: Channel = ""
    category: str = ""
    class_: MessageClassName = Field("", alias="class")
    rule: str = ""


class Cap(Shape):
    """A frequency cap."""

    name: Name
    per: Annotated[str, _choice(words.PERS)]
    where: Where = Field(default_factory=lambda: Where.model_validate({}))
    limit: Count
    window: Duration
    over: Annotated[str, _choice(words.CAP_OVERS)]
    max_hold: Duration | None = None
    exempt: list[MessageClassName] = []
    reserve: dict[MessageClassName, Count] = {}


class CapsFile(Shape):
    """caps.yaml."""

    caps: list[Any]


class EventFile(Shape):
    """events/*.yaml."""

    type: TypeName
    owner: Text
    description: Text
    lifecycle: bool = False
    data: dict[str, Any]


class Channels(Shape):
    """The channel plan of a rule."""

    first: ChannelList | None = None
    all: ChannelList | None = None
    order: Annotated[str, _choice(["preferred", "fixed"])] = "preferred"


class Share(Shape):
    """A stable part of all customers."""

    percent: Percent
    salt: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


class Rule(Shape):
    """One rule; what a rule that sends must have is asked in `compile`."""

    name: Name
    owner: Text = ""
    description: Text = ""
    on: TypeList
    when: Expression | None = None
    who: Expression | None = None
    ignore: bool = False
    continue_: bool = Field(default=False, alias="continue")
    category: Text | None = None
    class_: MessageClassName | None = Field(None, alias="class")
    channels: Channels | None = None
    template: Text | None = None
    material: Expression | None = None
    expires_after: Duration = 72 * 60 * MINUTE
    quiet_hours: Annotated[str, _choice(["respect", "ignore"])] = "respect"
    segment: Text | None = None
    once: Expression | None = None
    once_window: Duration | None = None
    announce_transient: bool = False
    announce_always: bool = False
    rollout: Share | None = None
    holdout: Share | None = None


class RulesFile(Shape):
    """rules/*.yaml."""

    rules: list[Any]


class Action(Shape):
    """The one thing to do next."""

    label: Text
    url: Text


class TemplateFile(Shape):
    """templates/NAME/LOCALE.yaml: one content model, and overrides for channels."""

    headline: Text
    what: Text
    why: Text | None = None
    impact: Text | None = None
    next: Text | None = None
    apology: Text | None = None
    action: Action | None = None
    closing: Text | None = None
    email: Text | None = None
    sms: Text | None = None
    push: Text | None = None
    chat: Text | None = None
    webhook: Text | None = None
    inbox: Text | None = None


def fit(shape: type[S], document: Document, at: Sequence[str | int] = ()) -> tuple[S | None, list[Mistake]]:
    """Return the file, or the value at a place of it, as its shape if it has one, and what is wrong with it.

    Unknown keys alone do not keep a value from having its shape, so that the rest of it is checked too: a key stands
    for the known one that was probably meant, or for nothing. The document is changed accordingly.
    """
    node, there = document.find(at)
    if node is None or not there:
        return None, []
    found: list[Mistake] = []
    # Each turn leaves fewer unknown keys. What a misspelt key holds is seen only under its right name.
    while True:
        try:
            return shape.model_validate(node.plain()), found
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True, include_input=True)
        unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
        found += [_mistake(shape, document, at, detail) for detail in unknown or details]
        mended = [_mend(shape, document, at, detail["loc"]) for detail in unknown]
        if not any(mended):
            return None, found


def _mend(shape: type[Shape], document: Document, at: Sequence[str | int], loc: Sequence[str | int]) -> bool:
    """Put an unknown key right, or away; False if it is not there (any more)."""
    *above, key = loc
    name, node = str(key), document.find([*at, *above])[0]
    if node is None or not isinstance(node.value, dict) or name not in node.value:
        return False
    value, place = node.value.pop(name), node.keys.pop(name)
    meant = nearest(name, _keys(shape, above))
    if meant and meant not in node.value:
        node.value[meant], node.keys[meant] = value, place
    return True


def _mistake(shape: type[Shape], document: Document, at: Sequence[str | int], detail: ErrorDetails) -> Mistake:
    inner = [key for key in detail["loc"] if key != "[key]"]
    loc = [*at, *inner]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return document.mistake(loc[:-1], f"{loc[-1]!r} is missing", at_key=bool(loc[:-1]))
        case "extra_forbidden":
            name = str(loc[-1])
            hint = nearest(name, _keys(shape, inner[:-1]))
            return document.mistake(loc, f"unknown key {name[:60]!r}", hint, at_key=True)
        case "choice" | "word":
            message = detail["msg"]
            return document.mistake(loc, message, context.get("hint", ""), at_key="[key]" in detail["loc"])
        case _:
            return document.mistake(loc, _say(detail, context), at_key="[key]" in detail["loc"])


_WANTED: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "list_type": "must be a list",
}


# How a value is written that people like to write as its most important part alone.
_FORMS: Final[Mapping[str, str]] = {
    "Channels": "{{first: [{}]}}",
    "Share": "{{percent: {}}}",
    "Action": '{{label: "...", url: "https://..."}}',
    "Window": '{{start: "22:00", end: "07:00"}}',
    "QuietHours": '{{start: "22:00", end: "07:00"}}',
    "Digest": '{{at: "08:00"}}',
    "Audience": "{{customers: [{}]}}",
}


def _say(detail: ErrorDetails, context: dict[str, Any]) -> str:  # noqa: PLR0911 - one line for each kind
    kind = detail["type"]
    if kind == "model_type" and context.get("class_name") in _FORMS:
        form = _FORMS[context["class_name"]].format(_written(detail["input"]))
        return f"must be written {form}, not as {_kind(detail['input'])}"
    if kind == "list_type" and isinstance(detail["input"], dict):
        return "must be a list, not a mapping: each entry begins with '-'"
    if kind in _WANTED:
        return f"{_WANTED[kind]}, not {_kind(detail['input'])}"
    match kind:
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters"
        case "string_pattern_mismatch":
            return f"{str(detail['input'])[:60]!r} is not a name (letters, digits, '-' and '_', first a letter)"
        case _:
            return detail["msg"]


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each)[:20] for each in value[:7] if isinstance(each, str)) or "..."
    return str(value)[:20] if isinstance(value, str | int | float) and not isinstance(value, bool) else "..."


def _keys(shape: type[Shape], loc: Sequence[str | int]) -> Iterator[str]:
    """Yield the keys that a shape knows at a place."""
    here: Any = shape
    for key in loc:
        here = _inside(here, key)
    if isinstance(here, type) and issubclass(here, Shape):
        for name, field in here.model_fields.items():
            yield field.alias or name


def _inside(annotation: Any, key: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        for name, field in annotation.model_fields.items():
            if key in (field.alias, name):
                return _bare(field.annotation)
        return None
    arguments = get_args(annotation)
    if get_origin(annotation) in {list, dict} and arguments:
        return _bare(arguments[-1])
    return None


def _bare(annotation: Any) -> Any:
    """Return an annotation without `None` and metadata."""
    while (arguments := get_args(annotation)) and get_origin(annotation) not in {list, dict}:
        annotation = arguments[0]
    return annotation
