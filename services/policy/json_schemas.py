"""JSON Schemas of a policy's files, for editors: they complete keys, explain them and mark mistakes while one types.

They are made of the shapes, so that an editor knows each key that `clarion policy check` knows. The check knows more:
names across files, conditions, templates. What a key is for is said here, once for each, in a sentence.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.policy import words
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

# File name of the schema -> the shape, and which files it is for.
_FILES: Final[Mapping[str, tuple[type[Shape], str]]] = {
    "clarion.json": (TenantFile, "clarion.yaml of a policy: the tenant and what holds for everyone"),
    "categories.json": (CategoriesFile, "categories.yaml of a policy: what customers switch on and off"),
    "caps.json": (CapsFile, "caps.yaml of a policy: how often at most"),
    "event.json": (EventFile, "events/*.yaml of a policy: a type of event and its data"),
    "rules.json": (RulesFile, "rules/*.yaml of a policy: who gets which message about what"),
    "template.json": (TemplateFile, "templates/NAME/LOCALE.yaml of a policy: the words, for all channels"),
}
# Entries that are read one by one, so that a mistake in one does not hide those in the others.
_ENTRIES: Final[Mapping[type[Shape], tuple[str, type[Shape]]]] = {CapsFile: ("caps", Cap), RulesFile: ("rules", Rule)}

_SAID: Final[Mapping[str, str]] = {
    "TenantFile.tenant": "Name of the tenant; events and customers belong to it.",
    "TenantFile.defaults": "What holds where a customer or a rule says nothing.",
    "TenantFile.attributes": "What is known of customers, with its type; conditions and texts can use only these.",
    "TenantFile.segments": "Named groups of customers: a condition over `customer`. Rules name them with `segment`.",
    "TenantFile.jargon": "Words that customers do not use, by language; the check warns of them in texts.",
    "TenantFile.locks": "What is never sent, whatever anyone prefers: by law, or by our own decision.",
    "Defaults.locale": "Language of customers who gave none; every text must exist in it.",
    "Defaults.timezone": "IANA zone of customers who gave none.",
    "Defaults.channels": "Order of channels for customers who gave none.",
    "Defaults.quiet_hours": "When customers are left in peace, in their own zone.",
    "Defaults.preferences": "What holds for customers who said nothing, before a category's default.",
    "Defaults.dedup_window": "How long the same event is recognised; default 24h.",
    "Defaults.digest": "When digests go out; default every day at 08:00.",
    "QuietHours.start": 'Local time, quoted: "22:00".',
    "QuietHours.end": 'Local time, quoted: "07:00"; may be on the next day.',
    "QuietHours.days": "Other times for the nights that begin on these weekdays.",
    "QuietHours.channels": "The channels that keep quiet; default all.",
    "QuietHours.over": "hold: wait for the end. reroute: the next channel that is not quiet. drop: not at all.",
    "QuietHours.release_spread": "What waited goes out spread over so long, so that not everyone calls at once.",
    "Window.start": "Local time, quoted.",
    "Window.end": "Local time, quoted; may be on the next day.",
    "Digest.every": "1d: once a day at `at`. 1h: at every full hour.",
    "Digest.at": "Customer's local time, quoted.",
    "DefaultPreferences.channel": "By channel: instant, digest or off.",
    "DefaultPreferences.category": "By category: instant, digest or off.",
    "Lock.category": "Only messages of this category; left out: all.",
    "Lock.channel": "Only on this channel; left out: on all.",
    "Lock.reason": "Why; `clarion explain` prints it.",
    "CategoriesFile.categories": "Categories by name.",
    "Category.title": "What customers read where they switch it on and off.",
    "Category.default": "What holds for customers who said nothing: instant, digest or off.",
    "Category.required": "Nobody can switch it off; it then goes to one channel, the preferred first.",
    "CapsFile.caps": "Order matters: the first cap that blocks says what happens.",
    "Cap.name": "Unique; decisions name it.",
    "Cap.per": "What is counted together, always within one customer.",
    "Cap.where": "Only messages that match all of these count and are held back.",
    "Cap.limit": "So many within the window, at most.",
    "Cap.window": "The window slides: at no instant are there more than `limit` within it.",
    "Cap.over": "drop: not sent. defer: waits for room. reroute: the next channel. digest: with the next digest.",
    "Cap.max_hold": "How long `defer` waits at most; default the window.",
    "Cap.exempt": "Classes that pass and still count.",
    "Cap.reserve": "Places kept free for a class and those above it.",
    "Where.channel": "This channel.",
    "Where.category": "This category.",
    "Where.class": "This class.",
    "Where.rule": "This rule.",
    "EventFile.type": "Name of the type, as upstream systems send it.",
    "EventFile.owner": "The team that answers for it.",
    "EventFile.description": "What happened when such an event comes.",
    "EventFile.lifecycle": "true: it is opened, updated, and resolved or cancelled. false: it happens at one point.",
    "EventFile.data": "JSON Schema 2020-12 of the data; gives fields their types in conditions and texts.",
    "RulesFile.rules": "Tried in order, over all files by name; the first that matches is applied.",
    "Rule.name": "Unique; decisions, caps and tests name it.",
    "Rule.owner": "The team that answers for it.",
    "Rule.description": "What it is for, in a sentence.",
    "Rule.on": 'Event types, one or a list; "*" alone is every type.',
    "Rule.when": "CEL condition over `event` and `data`; left out: always.",
    "Rule.who": "CEL condition over `customer`, `event` and `data`: who of the audience is meant.",
    "Rule.ignore": "true: no message, and the walk over the rules ends.",
    "Rule.continue": "true: later rules are tried too.",
    "Rule.category": "What it is about: a name of categories.yaml.",
    "Rule.class": "How urgent. critical passes quiet hours; marketing needs consent.",
    "Rule.channels": "The channels it may take.",
    "Rule.template": "The words: a folder of templates/.",
    "Rule.material": "For `updated`: CEL over `data` and `previous`; false: nothing new, nothing is sent.",
    "Rule.expires_after": "After so long from the event it is not sent any more; default 72h.",
    "Rule.quiet_hours": "ignore: goes out at night too.",
    "Rule.segment": "A name of `segments` in clarion.yaml: only for these customers.",
    "Rule.once": "CEL that gives a text: one message for each such text within `once_window`.",
    "Rule.once_window": "How long `once` remembers.",
    "Rule.announce_transient": "true: the end is told even if the beginning was still waiting and never went out.",
    "Rule.announce_always": "true: the end is told even to customers who never heard of the beginning.",
    "Rule.rollout": "Only a stable part of the customers gets it yet.",
    "Rule.holdout": "A stable part of the customers never gets it, to compare with.",
    "Channels.first": "The first of these that works, in the customer's order.",
    "Channels.all": "Every one of these that works.",
    "Channels.order": "preferred: the customer's order. fixed: as written.",
    "Share.percent": "0 to 100, at most two decimals.",
    "Share.salt": "Rules with the same text share the same customers; default the rule's name.",
    "TemplateFile.headline": "The fact in one line; mandatory.",
    "TemplateFile.what": "What happened, in a sentence or two; mandatory.",
    "TemplateFile.why": "Why it happened.",
    "TemplateFile.impact": "What it means for this customer.",
    "TemplateFile.next": "What happens next and by when, or what the customer should do.",
    "TemplateFile.apology": "Where it was ours: what went wrong, that we regret it, what we do.",
    "TemplateFile.action": "The one thing to do, as a link.",
    "TemplateFile.closing": "What stands at the end: a number to call, thanks.",
    "TemplateFile.email": "Replaces the whole in mails; may use the parts.",
    "TemplateFile.sms": "Replaces the whole in texts; one line, short; may use the parts.",
    "TemplateFile.push": "Replaces the whole in push messages; one line, short; may use the parts.",
    "TemplateFile.chat": "Replaces the whole in chats; may use the parts.",
    "TemplateFile.webhook": "Replaces the whole in webhooks; may use the parts.",
    "TemplateFile.inbox": "Replaces the whole in the inbox; may use the parts.",
    "Action.label": "What the link says.",
    "Action.url": "https:// and the host, written out; values in it are encoded.",
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
_SENDS: Final = ("category", "class", "channels", "template")


def json_schemas() -> dict[str, str]:
    """Return the text of each schema by its file name."""
    return {name: _text(shape, title) for name, (shape, title) in _FILES.items()}


def sentences() -> tuple[set[str], set[str]]:
    """Return the keys of all shapes, and those that have a sentence here; a test wants them to be the same."""
    keys: set[str] = set()
    for shape, title in _FILES.values():
        made = _schema(shape, title)
        named = {shape.__name__: made, **made["$defs"]}
        keys |= {f"{name}.{key}" for name, inner in named.items() for key in inner["properties"]}
    return keys, set(_SAID)


def _text(shape: type[Shape], title: str) -> str:
    return json.dumps(_schema(shape, title), indent=2, ensure_ascii=False) + "\n"


def _schema(shape: type[Shape], title: str) -> dict[str, Any]:
    made = shape.model_json_schema(by_alias=True)
    definitions = made.pop("$defs", {})
    if shape in _ENTRIES:
        key, entry = _ENTRIES[shape]
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
    return whole


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
    if path == "EventFile.data":
        kept = dict(_DATA)
    if path in _KEYS_OF:
        kept["propertyNames"] = {"enum": list(_KEYS_OF[path])}
    default = made.get("default")
    told = {"default": default} if isinstance(default, bool) or (isinstance(default, str) and default) else {}
    return {"description": _SAID.get(path, ""), **kept, **told}
