"""JSON Schemas of a policy's files, for editors: they complete keys, explain them and mark mistakes while one types.

They are made of the shapes, so that an editor knows each key that `clarion policy check` knows. The check knows more:
names across files, conditions, templates.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.policy import words
from services.policy.keys_explained import EXPLAINED
from services.policy.profiles import SUPPRESSION_WHYS
from services.policy.schemas import DIALECT
from services.policy.shapes import (
    Cap,
    CapsFile,
    CategoriesFile,
    EventFile,
    Rule,
    RulesFile,
    Shape,
    TemplateFile,
    TenantFile,
)
from services.policy.testing.shapes import Entry, Expectation, TimelineFile
from services.router.decision.model import Feedback, Outcome, Reason

# File name of the schema -> the shape, and which files it is for.
_FILES: Final[Mapping[str, tuple[type[Shape], str]]] = {
    "clarion.json": (TenantFile, "clarion.yaml of a policy: the tenant and what holds for everyone"),
    "categories.json": (CategoriesFile, "categories.yaml of a policy: what customers switch on and off"),
    "caps.json": (CapsFile, "caps.yaml of a policy: how often at most"),
    "event.json": (EventFile, "events/*.yaml of a policy: a type of event and its data"),
    "rules.json": (RulesFile, "rules/*.yaml of a policy: who gets which message about what"),
    "template.json": (TemplateFile, "templates/NAME/LOCALE.yaml of a policy: the words, for all channels"),
    "test.json": (TimelineFile, "tests/*.yaml of a policy: what must come of what happens"),
}
# Entries that are read one by one, so that a mistake in one does not hide those in the others.
_ENTRIES: Final[Mapping[type[Shape], Mapping[str, type[Shape]]]] = {
    CapsFile: {"caps": Cap},
    RulesFile: {"rules": Rule},
    TimelineFile: {"timeline": Entry, "expect": Expectation},
}

# Keys of a mapping that are a closed list.
_KEYS_OF: Final[Mapping[str, Iterable[str]]] = {
    "QuietHours.days": words.WEEKDAYS,
    "DefaultPreferences.channel": words.CHANNELS,
    "Cap.reserve": tuple(words.CLASSES),
}
# The schema of an event's data is itself a schema; said shortly, so that editors need nothing from outside.
_DATA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"const": "object"},
        "required": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "properties": {"type": "object", "additionalProperties": {"type": ["object", "boolean"]}},
        "additionalProperties": {"type": ["object", "boolean"]},
        "$defs": {"type": "object"},
    },
}
_TIME: Final = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
_CHANNELS: Final = {"type": "array", "items": {"enum": list(words.CHANNELS)}}


def _closed(*required: str, **properties: Mapping[str, Any]) -> dict[str, Any]:
    named = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, **named, "properties": properties}


# The JSON form of a customer, as the doors take it.
_PROFILE: Final[Mapping[str, Any]] = _closed(
    addresses={"type": "object", "propertyNames": {"enum": list(words.CHANNELS)}},
    locale={"type": "string", "examples": ["de", "de-AT"]},
    timezone={"type": "string", "examples": ["Europe/Berlin"]},
    channels=_CHANNELS,
    quiet_hours=_closed(
        start=_TIME,
        end=_TIME,
        days={
            "type": "object",
            "propertyNames": {"enum": list(words.WEEKDAYS)},
            "additionalProperties": _closed("start", "end", start=_TIME, end=_TIME),
        },
    ),
    preferences={
        "type": "array",
        "items": _closed(
            "value",
            category={"type": "string"},
            channel={"enum": list(words.CHANNELS)},
            value={"enum": list(words.VALUES)},
        ),
    },
    consents=_CHANNELS,
    suppressed={
        "type": "array",
        "items": _closed(
            "channel", "why", channel={"enum": list(words.CHANNELS)}, why={"enum": list(SUPPRESSION_WHYS)}
        ),
    },
    attributes={"type": "object"},
    snoozed_until={"type": "string"},
    digest=_closed(every={"enum": ["1d", "1h"]}, at=_TIME),
)
_MOMENT: Final = {"type": "string", "examples": ["0m", "1h30m", "2026-03-28T22:30:00+01:00"]}
_REASONS: Final = {"enum": [reason.name for reason in Reason]}
# Values whose readers say nothing of themselves.
_VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "EventFile.data": _DATA,
    "TimelineFile.start": {"type": "string", "examples": ["2026-03-28T22:30:00+01:00"]},
    "TimelineFile.customers": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Profile"}},
    "Entry.at": _MOMENT,
    "Entry.profile": {"$ref": "#/$defs/Change"},
    "Event.time": _MOMENT,
    "Event.expirytime": _MOMENT,
    "Event.lifecycle": {"enum": list(words.LIFECYCLES)},
    "Event.severity": {"enum": list(words.SEVERITIES)},
    "Finding.outcome": {"enum": [each.name for each in Feedback]},
    "Control.expires_at": _MOMENT,
    "Expectation.at": _MOMENT,
    "Expectation.due": _MOMENT,
    "Expectation.next_free": _MOMENT,
    "Expectation.outcome": {"enum": [each.name for each in Outcome]},
    "Expectation.reason": _REASONS,
    "Expectation.verdicts": {
        "type": "object",
        "propertyNames": {"enum": list(words.CHANNELS)},
        "additionalProperties": _REASONS,
    },
}
_SENDS: Final = ("category", "class", "channels", "template")


def json_schemas() -> dict[str, str]:
    """Return the text of each schema by its file name."""
    return {name: _text(shape, title) for name, (shape, title) in _FILES.items()}


def sentences() -> tuple[set[str], set[str]]:
    """Return the keys of all shapes, and those that are explained; a test wants them to be the same."""
    keys: set[str] = set()
    for shape, title in _FILES.values():
        made = _schema(shape, title)
        named = {shape.__name__: made, **made["$defs"]}
        named = {name: inner for name, inner in named.items() if name not in {"Profile", "Change"}}
        keys |= {f"{name}.{key}" for name, inner in named.items() for key in inner["properties"]}
    return keys, set(EXPLAINED)


def _text(shape: type[Shape], title: str) -> str:
    return json.dumps(_schema(shape, title), indent=2, ensure_ascii=False) + "\n"


def _schema(shape: type[Shape], title: str) -> dict[str, Any]:
    made = shape.model_json_schema(by_alias=True)
    definitions = made.pop("$defs", {})
    for key, entry in _ENTRIES.get(shape, {}).items():
        inner = entry.model_json_schema(by_alias=True)
        definitions |= {**inner.pop("$defs", {}), entry.__name__: inner}
        made["properties"][key]["items"] = {"$ref": f"#/$defs/{entry.__name__}"}
    whole = {
        "$schema": DIALECT,
        "title": title,
        **_object(shape.__name__, made),
        "$defs": {name: _object(name, inner) for name, inner in sorted(definitions.items())},
    }
    if "Rule" in definitions:
        whole["$defs"]["Rule"] |= _sends_or_ignores()
    if "Entry" in definitions:
        whole["$defs"] |= {"Profile": _PROFILE, "Change": _changed(_PROFILE)}
    return whole


def _changed(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch of a profile: null removes, and it says whose it is."""
    keys = {name: {"anyOf": [inner, {"type": "null"}]} for name, inner in profile["properties"].items()}
    return {**profile, "required": ["customer"], "properties": {"customer": {"type": "string"}, **keys}}


def _sends_or_ignores() -> dict[str, Any]:
    """A rule that does not ignore says what it sends."""
    return {
        "if": {"required": ["ignore"], "properties": {"ignore": {"const": True}}},
        "else": {"required": list(_SENDS)},
    }


def _object(name: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping with closed keys, each with its sentence."""
    properties = {key: _key(f"{name}.{key}", inner) for key, inner in made.get("properties", {}).items()}
    required = {"required": made["required"]} if "required" in made else {}
    return {"type": "object", "additionalProperties": False, **required, "properties": properties}


def _key(path: str, made: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: inner for key, inner in made.items() if key not in {"title", "default"}}
    # Absent is absent: nobody writes null where a key can be left out.
    choices = [inner for inner in kept.get("anyOf", []) if inner != {"type": "null"}]
    if len(choices) == 1:
        kept = {**{key: inner for key, inner in kept.items() if key != "anyOf"}, **choices[0]}
    elif choices:
        kept["anyOf"] = choices
    kept = dict(_VALUES.get(path, kept))
    if path in _KEYS_OF:
        kept["propertyNames"] = {"enum": list(_KEYS_OF[path])}
    default = made.get("default")
    told = {"default": default} if isinstance(default, bool) or (isinstance(default, str) and default) else {}
    return {"description": EXPLAINED.get(path, ""), **kept, **told}
