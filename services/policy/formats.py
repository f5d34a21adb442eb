"""Filters of templates: dates, times, amounts and numbers as the customer's locale and zone write them.

A filter never prints something for nothing: an absent value or one of another kind raises FormatError, whose text
holds no value. Locales and their patterns are parsed once.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import minijinja
from babel import Locale

from services.policy.schemas import instant
from services.policy.words import is_day

# The names under which a rendering finds the customer's locale and zone; no template can name them.
LOCALE: Final = "clarion_locale"
ZONE: Final = "clarion_zone"

_CURRENCY = re.compile(r"[A-Z]{3}\Z", re.ASCII)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}\Z", re.ASCII)
# Country codes of one and two digits (ITU E.164); all others have three.
_SHORT_CODES: Final = frozenset(
    {1, 7, 20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67), 81, 82, 84, 86}
    | {*range(90, 96), 98}
)
_Filter = TypeVar("_Filter", bound=Callable[..., Any])


class FormatError(ValueError):
    """A value can't be written in this form."""


@cache
def _locale(name: str) -> Locale:
    return Locale.parse(name, sep="-")


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _with_state(function: _Filter) -> _Filter:
    function.__minijinja_pass_state__ = True  # type: ignore[attr-defined]
    return function


def _local(state: Any, value: Any) -> datetime:
    moment = value if isinstance(value, datetime) and value.tzinfo else instant(value)
    if moment is None:
        raise FormatError("this is not an instant")
    zone = _zone(state.lookup(ZONE))
    try:
        return moment.astimezone(zone)
    except OverflowError:  # a zone has no local time before the year 1 and after 9999: the nearest it has
        return datetime.max.replace(tzinfo=zone) if moment.year > 1 else datetime.min.replace(tzinfo=zone)


def _plain(text: str) -> str:
    # The narrow no-break space of newer locale data is unknown to many mail programs and to SMS.
    return text.replace("\u202f", " ")


@_with_state
def format_date(state: Any, value: Any) -> str:
    """Write an instant or a date as a date: `28 March 2026`."""
    is_date = isinstance(value, str) and is_day(value)
    day = date.fromisoformat(value) if is_date else _local(state, value).date()
    locale = _locale(state.lookup(LOCALE))
    return _plain(locale.date_formats["long"].apply(day, locale))


@_with_state
def format_time(state: Any, value: Any) -> str:
    """Write the time of day of an instant: `18:05`."""
    locale = _locale(state.lookup(LOCALE))
    return _plain(locale.time_formats["short"].apply(_local(state, value), locale))


@_with_state
def format_datetime(state: Any, value: Any) -> str:
    """Write an instant with date and time of day."""
    return f"{format_date(state, value)}, {format_time(state, value)}"


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise FormatError("this is not a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise FormatError("this is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:  # noqa: PLR2004 - no amount and no count has more digits
        raise FormatError("this is not a number")
    return number


@_with_state
def format_number(state: Any, value: Any) -> str:
    """Write a number with the locale's separators."""
    locale = _locale(state.lookup(LOCALE))
    return _plain(locale.decimal_formats[None].apply(_decimal(value), locale))


@_with_state
def format_money(state: Any, value: Any, currency: Any) -> str:
    """Write an amount (as text, so that no cent is lost) in a currency."""
    if not isinstance(currency, str) or _CURRENCY.match(currency) is None:
        raise FormatError("this is not a currency such as EUR")
    locale = _locale(state.lookup(LOCALE))
    return _plain(locale.currency_formats["standard"].apply(_decimal(value), locale, currency=currency))


@_with_state
def choose_plural(state: Any, value: Any, one: Any, other: Any, few: Any = None, many: Any = None) -> str:
    """Choose the word that fits a count: `{{ n | plural("home", "homes") }}`."""
    form = _locale(state.lookup(LOCALE)).plural_form(_decimal(value))
    return str({"one": one, "few": few, "many": many}.get(form) or other)


def format_phone(value: Any) -> str:
    """Write a phone number of E.164 in groups: `+49 151 123 456 78`."""
    if not isinstance(value, str) or _PHONE.match(value) is None:
        raise FormatError("this is not a phone number such as +4915112345678")
    digits = value[1:]
    code = next((digits[:length] for length in (1, 2) if int(digits[:length]) in _SHORT_CODES), digits[:3])
    rest = digits[len(code) :]
    return " ".join([f"+{code}", *(rest[index : index + 3] for index in range(0, len(rest), 3))])


def join(values: Any, separator: str = ", ") -> str:
    """Write a list of texts; an absent list is a mistake, not an empty text."""
    if not isinstance(values, list | tuple):
        raise FormatError("this is not a list")
    return separator.join(str(value) for value in values)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "date": format_date,
    "time": format_time,
    "datetime": format_datetime,
    "number": format_number,
    "money": format_money,
    "plural": choose_plural,
    "phone": format_phone,
    "join": join,
}
# Filters of the engine that templates may use besides; it refuses absent values itself.
BUILT_IN: Final = ("default", "length", "lower", "upper", "trim")
FUEL: Final = 20_000
# A digest walks over some hundred messages and asks each for its parts.
DIGEST_FUEL: Final = 200_000


def environment(finalizer: Callable[[Any], Any] | None = None, fuel: int = FUEL) -> minijinja.Environment:
    """Return an engine with our filters and without what a template has no business with; `fuel` counts its steps."""
    undefined: Any = "semi_strict"  # not in the library's own type: `if` may ask for what is absent, printing may not
    engine = minijinja.Environment(
        filters=dict(FILTERS),
        debug=False,  # its errors would print values: personal data
        fuel=fuel,
        undefined_behavior=undefined,
        auto_escape_callback=lambda _: None,  # parts are plain text; HTML is made, escaped, of the finished parts
        finalizer=finalizer,
        pycompat=False,
    )
    for name in ("safe", "tojson", "pprint"):
        engine.remove_filter(name)
    return engine
