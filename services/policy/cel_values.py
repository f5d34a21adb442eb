"""What translated conditions do with values, exactly as the CEL library does it on plain maps.

Values are null, truths, whole numbers of 64 bits, numbers, texts, lists and maps with text keys; instants and
durations are microseconds, and the translation knows statically which values are. `ERROR` is CEL's error value. A value
that is none of these raises `Unusual`: then the library evaluates the whole expression, and is right by definition.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from services.policy.schemas import Field, Kind, instant
from services.router.decision.model import SECOND

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
# CEL's instants: the years 1 to 9999.
TIME_MIN: Final = -62_135_596_800 * SECOND
TIME_MAX: Final = 253_402_300_800 * SECOND - 1
# CEL counts a difference of instants in 64 bits of nanoseconds.
SPAN_MAX: Final = INT_MAX // 1000
# The library stops after this many rounds of all loops of one evaluation.
ROUNDS: Final = 9_999

Reader = Callable[[Any], Any]


class Unusual(Exception):  # noqa: N818 - no failure: the library takes over
    """A value that the translation does not cover."""


class _Error:
    __slots__ = ()


ERROR: Final = _Error()


# --- reading values out of data --------------------------------------------------------------------


def text(value: Any) -> Any:
    """Return a text; half a character is unusual, and so is what is no text."""
    if value is None:
        return None
    if value.__class__ is not str:
        raise Unusual
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusual from None
    return value


def whole(value: Any) -> Any:
    """Return a value of a whole-number field: 3.0 is 3."""
    if value is None:
        return None
    if not isinstance(value, int | float):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        raise Unusual from None
    if not INT_MIN <= number <= INT_MAX:
        raise Unusual
    return number


def number(value: Any) -> Any:
    """Return a value of a number field: 3 is 3.0."""
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        raise Unusual from None


def moment(value: Any) -> int | None:
    """Return the microseconds of an instant in data, None if it is none."""
    return _moment(value) if value.__class__ is str else None


@lru_cache(maxsize=4096)
def _moment(value: str) -> int | None:
    found = instant(value)
    if found is None:
        return None
    days = found.toordinal() - 719_163
    return ((days * 24 + found.hour) * 60 + found.minute) * 60 * SECOND + found.second * SECOND + found.microsecond


def truth(value: Any) -> Any:
    """Return a value of a true-or-false field."""
    if value is None or value.__class__ is bool:
        return value
    raise Unusual


def plain(value: Any, longest: int) -> Any:
    """Return a value of unknown type, if CEL takes all of it and no list is longer."""
    kind = value.__class__
    if kind is str:
        text(value)
    elif kind is int:
        whole(value)
    elif kind is list:
        if len(value) > longest:
            raise Unusual
        for inner in value:
            plain(inner, longest)
    elif kind is dict:
        for key, inner in value.items():
            if key.__class__ is not str:
                raise Unusual
            text(key)
            plain(inner, longest)
    elif not (value is None or kind is bool or (kind is float and value == value)):  # noqa: PLR0124 - not NaN
        raise Unusual
    return value


def getter(value: Any) -> Callable[[str], Any]:
    """Return how fields are read of what should be an object; of anything else all are absent."""
    return value.get if isinstance(value, Mapping) else _nothing


def _nothing(_: str) -> None:
    return None


def reader(field: Field, longest: int) -> Reader:  # noqa: PLR0911 - one line for each kind
    """Return the function that takes a value of this type out of data."""
    match field.kind:
        case Kind.STRING | Kind.DATE:
            return text
        case Kind.INTEGER:
            return whole
        case Kind.NUMBER:
            return number
        case Kind.BOOL:
            return truth
        case Kind.TIMESTAMP:
            return moment
        case Kind.OBJECT if not field.open:
            return _object_reader(field, longest)
        case Kind.LIST if field.item is not None:
            return _list_reader(reader(field.item, longest), longest)
    return lambda value: plain(value, longest)


def _object_reader(field: Field, longest: int) -> Reader:
    readers = [(name, reader(inner, longest)) for name, inner in field.fields.items()]

    def read(value: Any) -> Any:
        if value is None:
            return None
        get = getter(value)
        return {name: one(get(name)) for name, one in readers}

    return read


def _list_reader(item: Reader, longest: int) -> Reader:
    def read(value: Any) -> Any:
        if value is None:
            return None
        if value.__class__ is not list or len(value) > longest:
            raise Unusual
        return [item(one) for one in value]

    return read


# --- operators on values of unknown type -----------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """CEL's `==`: numbers by value, a truth is no number, values of different types differ."""
    kind, other = a.__class__, b.__class__
    if kind is other:
        if kind is list:
            return len(a) == len(b) and all(map(same, a, b))
        if kind is dict:
            return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
        return bool(a == b)
    if (kind is int and other is float) or (kind is float and other is int):
        return float(a) == float(b)
    return False


def contains(a: Any, items: Any) -> bool:
    """CEL's `in` for a list."""
    return any(same(a, item) for item in items)


def inside(a: Any, b: Any) -> bool | None:
    """CEL's `in` for what may be a list, a map or neither."""
    if b.__class__ is list:
        return contains(a, b)
    if b.__class__ is dict:
        if a.__class__ is not str:
            raise Unusual
        return a in b
    return None


def less(a: Any, b: Any) -> bool | None:
    """CEL's `<`; None is an error."""
    kind, other = a.__class__, b.__class__
    if kind is other:
        return bool(a < b) if kind in _ORDERED else None
    if (kind is int and other is float) or (kind is float and other is int):
        return float(a) < float(b)
    return None


def at_most(a: Any, b: Any) -> bool | None:
    """CEL's `<=`; None is an error."""
    kind, other = a.__class__, b.__class__
    if kind is other:
        return bool(a <= b) if kind in _ORDERED else None
    if (kind is int and other is float) or (kind is float and other is int):
        return float(a) <= float(b)
    return None


_ORDERED: Final[frozenset[type]] = frozenset({int, float, str, bool})


def add(a: Any, b: Any) -> Any:
    """CEL's `+`."""
    kind = a.__class__
    if kind is not b.__class__:
        return ERROR
    if kind is int:
        return bounded(a + b)
    return a + b if kind in _ADDED else ERROR


_ADDED: Final[frozenset[type]] = frozenset({float, str, list})


def subtract(a: Any, b: Any) -> Any:
    """CEL's `-`."""
    kind = a.__class__
    if kind is not b.__class__:
        return ERROR
    if kind is int:
        return bounded(a - b)
    return a - b if kind is float else ERROR


def multiply(a: Any, b: Any) -> Any:
    """CEL's `*`."""
    kind = a.__class__
    if kind is not b.__class__:
        return ERROR
    if kind is int:
        return bounded(a * b)
    return a * b if kind is float else ERROR


def divide(a: Any, b: Any) -> Any:
    """CEL's `/`: whole numbers towards zero."""
    kind = a.__class__
    if kind is not b.__class__:
        return ERROR
    if kind is int:
        if b == 0:
            return ERROR
        quotient = abs(a) // abs(b)
        return bounded(quotient if (a < 0) == (b < 0) else -quotient)
    if kind is not float:
        return ERROR
    if b == 0.0:
        raise Unusual
    return a / b


def remainder(a: Any, b: Any) -> Any:
    """CEL's `%`: the sign of the first."""
    if a.__class__ is not int or b.__class__ is not int or b == 0 or (a == INT_MIN and b == -1):
        return ERROR
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def negate(a: Any) -> Any:
    """CEL's `-` before one value."""
    if a.__class__ is int:
        return bounded(-a)
    return -a if a.__class__ is float else ERROR


def bounded(value: int) -> Any:
    """Return a whole number that fits 64 bits, else the error."""
    return value if INT_MIN <= value <= INT_MAX else ERROR


def size(value: Any) -> Any:
    """CEL's `size`."""
    return len(value) if isinstance(value, str | list | dict) else ERROR


def select(value: Any, name: str) -> Any:
    """Return a field of what may be a map; CEL's error when it is none, or has no such field."""
    return value.get(name, ERROR) if value.__class__ is dict else ERROR


def element(value: Any, index: Any) -> Any:
    """CEL's `value[index]`."""
    kind = index.__class__
    if value.__class__ is list:
        if kind is float:
            raise Unusual
        return value[index] if kind is int and 0 <= index < len(value) else ERROR
    if value.__class__ is dict:
        if kind is not str:
            raise Unusual
        return value.get(index, ERROR)
    return ERROR


def as_text(value: Any) -> Any:
    """CEL's `string`, of whole numbers, truths and texts."""
    kind = value.__class__
    if kind is str:
        return value
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if value is None or value is ERROR:
        return ERROR
    raise Unusual


def span(value: int) -> int:
    """Return a duration that CEL can hold; beyond it the library says what happens."""
    if -SPAN_MAX <= value <= SPAN_MAX:
        return value
    raise Unusual


def shifted(value: int) -> int:
    """Return an instant that CEL can hold; beyond it the library says what happens."""
    if TIME_MIN <= value <= TIME_MAX:
        return value
    raise Unusual
