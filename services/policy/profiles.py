"""A customer's profile as JSON: what a change of it may say, how it is merged, and the core's value of it.

Changes are JSON merge patches (RFC 7396): null removes, lists are replaced. `violations` judges a patch before it is
accepted; whatever passed it can be merged and read later, so `to_profile` never fails: what a merge left incomplete
(quiet hours with a start alone) counts as not given. Nothing said about a patch holds a value of it: it is about a
person, and so may be a key that we don't know.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from services.policy import words
from services.policy.schemas import instant
from services.router.decision.model import (
    DAY,
    HOUR,
    SECOND,
    Address,
    DigestTimes,
    Preference,
    Profile,
    QuietTimes,
    Suppression,
    Window,
)

PATCH_LIMIT: Final = 64 * 1024
VIOLATIONS_SHOWN: Final = 20
# Where the marks of erased addresses stand in a profile's JSON form; no change may name it.
ERASED: Final = "erased_addresses"
SUPPRESSION_WHYS: Final = ("COMPLAINT", "HARD_BOUNCE", "STOP", "UNREGISTERED", "ERASED")

_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z", re.ASCII)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}\Z", re.ASCII)
_ADDRESS_LIMIT: Final = 2_048
_LIST_LIMIT: Final = 200
_NEST_LIMIT: Final = 8


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{message}", {"message": message})


def _one_of(*known: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value not in known:
            raise _wrong(f"is not one of {', '.join(known)}")
        return value

    return BeforeValidator(check)


def _zone(value: str) -> str:
    try:
        return words.zone(value)
    except words.WordError:
        raise _wrong("is not a time zone") from None


def _locale(value: str) -> str:
    try:
        return words.locale(value)
    except words.WordError:
        raise _wrong("is not a locale such as de or de-AT") from None


def _time(value: str) -> str:
    try:
        words.minute_of_day(value)
    except words.WordError:
        raise _wrong('is not a time of day such as "22:00"') from None
    return value


def _instant(value: str) -> str:
    if instant(value) is None:
        raise _wrong("is not an instant such as 2026-03-28T22:30:00+01:00")
    return value


def _unique(value: list[str]) -> list[str]:
    if len(set(value)) < len(value):
        raise _wrong("names something twice")
    return value


def _few(value: Any) -> Any:
    if isinstance(value, list | dict) and len(value) > _LIST_LIMIT:
        raise _wrong(f"has more than {_LIST_LIMIT} entries")
    return value


def _attribute(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _ADDRESS_LIMIT:
        raise _wrong(f"is longer than {_ADDRESS_LIMIT} characters")
    if not isinstance(value, str | int | float | bool):
        raise _wrong("must be text, a number, or true or false")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise _wrong("is too large")
    return value


Channel = Annotated[str, _one_of(*words.CHANNELS)]
Text = Annotated[str, StringConstraints(max_length=200)]
TimeOfDay = Annotated[str, AfterValidator(_time)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Window(_Part):
    start: TimeOfDay | None = None
    end: TimeOfDay | None = None


class _QuietHours(_Window):
    days: dict[Annotated[str, _one_of(*words.WEEKDAYS)], _Window] | None = None


class _Preference(_Part):
    category: Text = ""
    channel: Annotated[str, _one_of("", *words.CHANNELS)] = ""
    value: Annotated[str, _one_of(*words.VALUES)]


class _Suppressed(_Part):
    channel: Channel
    why: Annotated[str, _one_of(*SUPPRESSION_WHYS)]


class _Digest(_Part):
    every: Annotated[str, _one_of("1d", "1h")] | None = None
    at: TimeOfDay | None = None


class _Profile(_Part):
    """The JSON form, every key optional."""

    addresses: dict[Channel, str] | None = None
    locale: Annotated[str, AfterValidator(_locale)] | None = None
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    channels: Annotated[list[Channel], AfterValidator(_unique)] | None = None
    quiet_hours: _QuietHours | None = None
    preferences: Annotated[list[_Preference], BeforeValidator(_few)] | None = None
    consents: Annotated[list[Channel], AfterValidator(_unique)] | None = None
    suppressed: Annotated[list[_Suppressed], BeforeValidator(_few)] | None = None
    snoozed_until: Annotated[str, AfterValidator(_instant)] | None = None
    digest: _Digest | None = None
    attributes: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")],
                Annotated[Any, BeforeValidator(_attribute)],
            ],
            BeforeValidator(_few),
        ]
        | None
    ) = None


PROFILE_KEYS = tuple(_Profile.model_fields)


def violations(patch_json: bytes) -> tuple[tuple[str, str], ...]:
    """Return what is wrong with a merge patch as (field, why), without any value of it; () when it can be taken."""
    if len(patch_json) > PATCH_LIMIT:
        return (("", f"is longer than {PATCH_LIMIT} bytes"),)
    try:
        patch = msgspec.json.decode(patch_json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return (("", "is not JSON"),)
    if not isinstance(patch, dict):
        return (("", "must be an object"),)
    if _depth(patch) > _NEST_LIMIT:
        return (("", f"is nested more than {_NEST_LIMIT} deep"),)
    given = _without_nulls(patch)
    found = set(_address_violations(given.get("addresses")) + _window_violations(given.get("quiet_hours")))
    try:
        _Profile.model_validate(given)
    except ValidationError as error:
        found |= {_said(detail) for detail in error.errors(include_url=False, include_input=False)}
    return tuple(sorted(found)[:VIOLATIONS_SHOWN])


def merge(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with a JSON merge patch applied (RFC 7396); neither is changed."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def erasure_mark(customer_id: str, channel: str, address: str) -> str:
    """Return what is kept of an address whose owner wants to be forgotten: its keyed hash (semantics 8)."""
    key = hashlib.blake2b(customer_id.encode()).digest()
    return hashlib.blake2b(f"{channel}|{address}".encode(), digest_size=16, key=key).hexdigest()


def to_profile(customer_id: str, document: Mapping[str, Any]) -> Profile:
    """Return the core's value of a profile that was built of patches without violations."""
    addresses = document.get("addresses") or {}
    suppressed = [
        Suppression(one["channel"], one["why"], one.get("set_time", 0)) for one in document.get("suppressed") or ()
    ]
    if marks := document.get(ERASED):
        again = (c for c in sorted(addresses) if erasure_mark(customer_id, c, addresses[c]) in marks)
        suppressed += [Suppression(channel, "ERASED") for channel in again]
    snoozed = instant(document.get("snoozed_until"))
    return Profile(
        customer=customer_id,
        addresses=tuple(Address(channel, addresses[channel]) for channel in sorted(addresses)),
        locale=document.get("locale") or "",
        timezone=document.get("timezone") or "",
        channels=tuple(document.get("channels") or ()),
        quiet_hours=_quiet_times(document.get("quiet_hours")),
        preferences=tuple(
            Preference(
                category=one.get("category", ""),
                channel=one.get("channel", ""),
                value=words.VALUES[one["value"]],
                set_time=one.get("set_time", 0),
                set_by=one.get("set_by", ""),
            )
            for one in document.get("preferences") or ()
        ),
        consents=tuple(document.get("consents") or ()),
        suppressed=tuple(suppressed),
        snoozed_until=int(snoozed.timestamp()) * SECOND + snoozed.microsecond if snoozed else 0,
        digest=_digest_times(document.get("digest")),
        attributes=dict(sorted((document.get("attributes") or {}).items())),
    )


def _digest_times(digest: Any) -> DigestTimes | None:
    if not isinstance(digest, Mapping) or not digest:
        return None
    every = HOUR if digest.get("every") == "1h" else DAY
    at = digest.get("at")
    return DigestTimes(every, words.minute_of_day(at)) if at else DigestTimes(every)


def _quiet_times(quiet: Any) -> QuietTimes | None:
    if not isinstance(quiet, Mapping):
        return None
    days = quiet.get("days") or {}
    windows = tuple(_window(days.get(day)) for day in words.WEEKDAYS)
    every = _window(quiet)
    return QuietTimes(every, windows) if every or any(windows) else None


def _window(stated: Any) -> Window | None:
    if not isinstance(stated, Mapping) or not stated.get("start") or not stated.get("end"):
        return None
    start, end = words.minute_of_day(stated["start"]), words.minute_of_day(stated["end"])
    return Window(start, end) if start != end else None


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None
    }


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _address_violations(addresses: Any) -> list[tuple[str, str]]:
    found = []
    for channel, address in addresses.items() if isinstance(addresses, dict) else ():
        if channel in words.CHANNELS and isinstance(address, str) and (why := _address_violation(channel, address)):
            found.append((f"addresses.{channel}", why))
    return found


def _address_violation(channel: str, address: str) -> str:
    if not address or len(address) > _ADDRESS_LIMIT:
        return f"must have 1 to {_ADDRESS_LIMIT} characters"
    if any(ord(character) < ord(" ") for character in address):
        return "must not have control characters"
    if channel == "sms" and _E164.match(address) is None:
        return "is not a phone number such as +4915112345678"
    if channel == "email":
        try:
            # Reserved names (example.org, .test) are what demos and tests use; whether it exists the provider says.
            validate_email(address, check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            return "is not an email address"
    return ""


def _window_violations(quiet: Any) -> list[tuple[str, str]]:
    if not isinstance(quiet, dict):
        return []
    days = quiet.get("days")
    windows = [("quiet_hours", quiet)]
    if isinstance(days, dict):
        windows += [(f"quiet_hours.days.{day}", days[day]) for day in words.WEEKDAYS if isinstance(days.get(day), dict)]
    return [
        (f"{name}.end", "is the same as start")
        for name, window in windows
        if window.get("start") is not None and window.get("start") == window.get("end")
    ]


_SAID: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a key of a profile",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "must be a name of letters, digits and '_'",
}


def _said(detail: ErrorDetails) -> tuple[str, str]:
    keys = [key for key in detail["loc"] if key != "[key]"]
    text = ""
    for key in keys:
        shown = f"[{key}]" if isinstance(key, int) else key if _KEY.match(key) else "*"
        text += shown if isinstance(key, int) else f".{shown}" if text else shown
    if detail["type"] == "wrong":
        return text, detail["msg"]
    return text, _SAID.get(detail["type"], "is not valid")
