"""What a rule test says of a customer, checked as the door would check it, and against the policy."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.policy import words
from services.policy.documents import Document
from services.policy.mistakes import Mistake, nearest
from services.policy.profiles import PROFILE_KEYS, violations
from services.policy.testing.names import Names

_INNER_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "addresses": words.CHANNELS,
    "quiet_hours": ("start", "end", "days"),
    "preferences": ("category", "channel", "value"),
    "suppressed": ("channel", "why"),
    "digest": ("every", "at"),
}
_STEP = re.compile(r"([A-Za-z_*][A-Za-z0-9_*-]*)|\[([0-9]+)\]")

Keys = Sequence[str | int]


def check(document: Document, keys: Keys, patch: Mapping[str, Any], names: Names) -> tuple[list[Mistake], bool]:
    """Return what is wrong with a profile, or a patch of it, at a place of a file, and whether it can be taken."""
    found = violations(msgspec.json.encode(patch))
    if found:
        return [_violation(document, keys, field, why) for field, why in found], False
    mistakes = []
    for index, wish in enumerate(patch.get("preferences") or ()):
        name = wish.get("category")
        if name and names.categories is not None and name not in names.categories:
            where = [*keys, "preferences", index, "category"]
            hint = nearest(name, names.categories)
            mistakes.append(document.mistake(where, f"unknown category {name[:60]!r}", hint))
    declared = names.attributes or {}
    for name in patch.get("attributes") or ():
        # Others may be on a profile too; a name that is almost a declared one is a slip.
        if name not in declared and (meant := nearest(name, declared)):
            where = [*keys, "attributes", name]
            mistakes.append(document.mistake(where, f"undeclared attribute {name!r}", meant, at_key=True))
    return mistakes, True


def _no_channel(inner: Sequence[str | int]) -> bool:
    return len(inner) > 1 and inner[0] == "addresses" and inner[1] not in words.CHANNELS


def _violation(document: Document, keys: Keys, field: str, why: str) -> Mistake:
    inner: list[str | int] = [match[1] or int(match[2]) for match in _STEP.finditer(field)]
    unknown = bool(inner) and (why == "is not a key of a profile" or _no_channel(inner))
    given = document.find([*keys, *inner])
    if why == "must be text" and given[1] and given[0] is not None and isinstance(given[0].value, int | float):
        why += ": put it in quotes"
    known = PROFILE_KEYS if len(inner) == 1 else _INNER_KEYS.get(str(inner[0]), ()) if inner else ()
    hint = nearest(str(inner[-1]), known) if unknown else ""
    return document.mistake([*keys, *inner], why, hint, at_key=unknown)
