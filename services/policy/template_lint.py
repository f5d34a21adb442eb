"""What is wrong with a policy's templates, found before anything is sent.

Every name in a template is typed: `data` by the schemas of the events whose rules use it, overrides see the parts
besides. The template `digest` stands for many messages: it sees their finished parts as `items`, and no event of its
own, so no rule may use it. What a single template may do is in `template_walk`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from services.policy.draft import Draft, PlacedTemplate
from services.policy.expressions import EVENT, customer_type
from services.policy.mistakes import Mistake
from services.policy.schemas import Field, Kind, shared
from services.policy.shapes import TemplateFile
from services.policy.template_walk import Names, faults

PARTS: Final = ("headline", "what", "why", "impact", "next", "apology", "closing")
OVERRIDES: Final = ("email", "sms", "push", "chat", "webhook", "inbox")
ONE_LINE: Final = ("headline", "sms", "push")
DIGEST: Final = "digest"

_TEXT: Final = Field(Kind.STRING)
_ACTION: Final[Mapping[str, Field]] = {"label": _TEXT, "url": _TEXT}
# What a digest knows of each message in it: every template has the mandatory parts, the others may be absent.
_ITEM: Final = Field(
    Kind.OBJECT,
    fields={
        **{part: Field(Kind.STRING, optional=part not in {"headline", "what"}) for part in PARTS},
        "action": Field(Kind.OBJECT, optional=True, fields=_ACTION),
        "event": EVENT,
    },
)
_ITEMS: Final[Mapping[str, Field]] = {"items": Field(Kind.LIST, item=_ITEM), "more": Field(Kind.INTEGER)}


def lint(found: Draft, types: Mapping[str, Field]) -> list[Mistake]:
    """Return what is wrong with the templates of a policy."""
    mistakes = [*_missing(found), *_misused(found)]
    customer = customer_type(found.tenant.attributes if found.tenant else None)
    certain = {name: Field(Kind.STRING) for name in ("id", "locale", "timezone")}
    customer = Field(Kind.OBJECT, fields={**customer.fields, **certain})
    for template in found.templates:
        declared, seen_by_it = _facts_of(found, types, template.name)
        names = Names({**seen_by_it, "customer": customer}, declared)
        for keys, source, sees in _sources(template.parts):
            seen = names if not sees else Names({**names.types, **sees}, declared)
            mistakes += [
                template.document.mistake_inside(keys, fault.offset, fault.length, fault.message, fault.suggestion)
                for fault in faults(source, seen)
            ]
        mistakes.extend(_url(template))
    return mistakes


def _missing(found: Draft) -> list[Mistake]:
    if found.tenant is None:
        return []
    locale = found.tenant.defaults.locale
    return [
        Mistake(f"templates/{name}/{locale}.yaml", 1, 1, "", f"the wording in the default locale {locale!r} is missing")
        for name in sorted(found.template_names)
        if f"templates/{name}/{locale}.yaml" not in found.documents
    ]


def _misused(found: Draft) -> list[Mistake]:
    message = f"the template {DIGEST!r} is for digests: it sees no event"
    return [
        placed.document.mistake([*placed.keys, "template"], message)
        for placed in found.rules
        if placed.rule.template == DIGEST
    ]


def _facts_of(found: Draft, types: Mapping[str, Field], name: str) -> tuple[str, Mapping[str, Field]]:
    """Return what a template sees besides the customer; `data` is what the events of the rules that use it share."""
    if name == DIGEST:
        return "", _ITEMS
    used = used_types(found, types, name)
    if not used or any(event not in types for event in used):
        return "", {"event": EVENT, "data": Field(Kind.ANY)}
    files = {placed.event.type: placed.document.path for placed in found.events}
    declared = " and ".join(files[event] for event in used)
    return declared, {"event": EVENT, "data": shared([types[event] for event in used])}


def used_types(found: Draft, known: Iterable[str], name: str) -> list[str]:
    """Return the event types of the rules that use a template, sorted."""
    used = {event for placed in found.rules if placed.rule.template == name for event in placed.rule.on}
    return sorted(known if "*" in used else used)


def _sources(parts: TemplateFile) -> list[tuple[list[str | int], str, Mapping[str, Field]]]:
    """Return the templates of a file with the names that they see beyond event, data and customer."""
    sources: list[tuple[list[str | int], str, Mapping[str, Field]]] = [
        ([name], text, {}) for name in PARTS if (text := getattr(parts, name)) is not None
    ]
    given: dict[str, Field] = {name: _TEXT for name in PARTS if getattr(parts, name) is not None}
    if parts.action is not None:
        sources += [(["action", "label"], parts.action.label, {}), (["action", "url"], parts.action.url, {})]
        given["action"] = Field(Kind.OBJECT, fields=_ACTION)
    sources += [([name], text, given) for name in OVERRIDES if (text := getattr(parts, name)) is not None]
    return sources


def _url(template: PlacedTemplate) -> list[Mistake]:
    action = template.parts.action
    if action is None or re.match(r"https?://[^\s{}/]+(/|$)", action.url):
        return []
    message = "must begin with https:// and the name of the host, written out"
    return [template.document.mistake(["action", "url"], message)]
