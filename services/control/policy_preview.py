"""`clarion policy preview`: a template as each channel and language would show it.

Without an event the data is made up from the schemas of the event types whose rules use the template: once with every
field, once with those only that an event must have. The digest is shown with a message of each rule that may get into
one. Nothing here depends on the day: times are those of one instant.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.control.errors import ClarionError
from services.control.policy_facts import Opened, opened
from services.policy import words
from services.policy.documents import read
from services.policy.mistakes import nearest
from services.policy.samples import sample, sample_customer, sample_event, samples
from services.policy.shapes import fit
from services.policy.template_lint import DIGEST
from services.policy.templates import RenderError, Templates
from services.policy.testing import shapes
from services.policy.testing.moments import iso
from services.policy.testing.run import templates_of
from services.router.decision.model import MessageClass, Policy, Rule

_START: Final = 1_774_733_400_000_000  # 2026-03-28T21:30:00Z
_DIGEST_ITEMS: Final = 3


class Wishes(Struct, frozen=True):
    """What to show; files are (name, content), without content there is none."""

    template: str
    channels: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    data: tuple[str, bytes] = ("", b"")
    event: tuple[str, bytes] = ("", b"")


class Shown(Struct, frozen=True):
    """One message of an event type; `least`: of its data with what is required only.

    `wording` is the locale whose words are shown. `why_not`: it can't be written.
    """

    template: str
    type: str
    least: bool
    locale: str
    channel: str
    wording: str = ""
    headline: str = ""
    text: str = ""
    why_not: str = ""


def preview(folder: Path, wishes: Wishes) -> list[Shown]:
    """Render a template; raise ClarionError when the policy, the template or the data is not right."""
    found = opened(folder)
    templates = templates_of(found.bundle)
    if wishes.template not in templates.names:
        hint = nearest(wishes.template, templates.names)
        meant = f" (did you mean {hint!r}?)" if hint else f": it has {', '.join(templates.names)}"
        raise ClarionError(f"the policy has no template {wishes.template!r}{meant}")
    for channel in wishes.channels:
        if channel not in words.CHANNELS:
            raise ClarionError(f"{channel!r} is not one of {', '.join(words.CHANNELS)}")
    locales = wishes.locales or tuple(locale for name, locale in found.facts.templates if name == wishes.template)
    for locale in locales:
        try:
            words.locale(locale)
        except words.WordError as error:
            raise ClarionError(str(error)) from None
    channels = wishes.channels or _channels(found, wishes.template)
    return [
        _rendered(found, templates, wishes.template, locale, channel, facts)
        for facts in _events(found, wishes)
        for locale in locales
        for channel in channels
    ]


def as_text(shown: list[Shown]) -> str:
    """Write the messages one under the other."""
    lines: list[str] = []
    for each in shown:
        least = ", only what is required" if each.least else ""
        other = each.wording not in ("", each.locale)
        locale = f"{each.locale} (no wording of its own: that of {each.wording})" if other else each.locale
        lines += ["", f"{each.template}, {locale}, {each.channel} ({each.type}{least})"]
        headline = [each.headline, ""] if each.headline and each.channel not in ("sms", "push") else []
        body = [f"can't be written: {each.why_not}"] if each.why_not else [*headline, *each.text.splitlines()]
        lines += [f"  {line}".rstrip() for line in body]
    return "\n".join(lines[1:]) + "\n"


def as_json(shown: list[Shown]) -> bytes:
    """Return the messages as JSON."""
    return msgspec.json.encode(shown)


def _channels(found: Opened, template: str) -> tuple[str, ...]:
    policy = found.policy
    if template == DIGEST:
        using = [rule for rule in policy.rules if _may_be_digested(policy, rule)]
    else:
        using = [rule for rule in policy.rules if rule.template == template]
    return tuple(dict.fromkeys(channel for rule in using for channel in rule.plan.channels)) or words.CHANNELS


class _Facts(Struct):
    """What a message is rendered from."""

    seen: dict[str, Any]
    least: bool = False


def _events(found: Opened, wishes: Wishes) -> Iterator[_Facts]:
    """Yield `event` and `data` to render with: those given, or made up for each type."""
    if wishes.event[0]:
        facts = _given_event(found, wishes.event)
        _fitting(found, [(facts["event"]["type"], "")], facts["data"], wishes.event[0])
        yield _Facts(facts)
        return
    given = _object(wishes.data) if wishes.data[0] else None
    types = _types(found, wishes.template)
    for name, lifecycle in types if given is None else _fitting(found, types, given, wishes.data[0]):
        event = _made_up(found, name, lifecycle)
        schema = found.facts.events[name]["data"] if name in found.facts.events else {"type": "object"}
        usual = sample(schema) if given is None else given
        yield _Facts({"event": event, "data": usual})
        for least in samples(schema)[:1] if given is None else ():
            if least != usual:
                yield _Facts({"event": event, "data": least}, least=True)


def _fitting(found: Opened, types: list[tuple[str, str]], data: Any, file: str) -> list[tuple[str, str]]:
    """Return those of the types whose data this can be; raise ClarionError, with the fields, when it is of none."""
    known = found.policy.event_types
    wrong = {name: known[name].check(data) if name in known else () for name, _ in types}
    if all(wrong.values()):
        lines = [f"{file}: {path}: {why} ({name})" for name, faults in wrong.items() for path, why in faults]
        raise ClarionError("\n".join(lines))
    return [(name, lifecycle) for name, lifecycle in types if not wrong[name]]


def _types(found: Opened, template: str) -> list[tuple[str, str]]:
    """Return the event types whose rules use a template, each with a lifecycle that the rule takes."""
    types: dict[str, str] = {}
    for rule in found.policy.rules:
        if rule.template == template:
            compiled = found.examined.conditions.get(rule.name)
            taken = compiled.lifecycles if compiled is not None else frozenset(words.LIFECYCLES)
            for name in found.policy.event_types if "*" in rule.on else rule.on:
                known = words.LIFECYCLES if found.policy.event_types[name].lifecycle else words.LIFECYCLES[:1]
                types.setdefault(name, next((each for each in known if each in taken), known[0]))
    return sorted(types.items()) or [("several" if template == DIGEST else "no rule uses it", "point")]


def _made_up(found: Opened, name: str, lifecycle: str) -> dict[str, Any]:
    return {**sample_event(name, lifecycle, "minor"), "tenant": found.policy.tenant}


def _given_event(found: Opened, file: tuple[str, bytes]) -> dict[str, Any]:
    document = read(*file)
    if document.root is not None and isinstance(document.root.value, dict):
        document.root.value.pop("audience", None)
        document.root.value["audience"] = read(file[0], b"{everyone: true}").root
    event, mistakes = fit(shapes.Event, document)
    if event is None or mistakes or document.mistakes:
        raise ClarionError("\n".join(str(each) for each in [*document.mistakes, *mistakes]))
    made_up = _made_up(found, event.type, event.lifecycle)
    time = event.time.after(_START) if event.time is not None else _START
    own = {name: getattr(event, name) for name in ("id", "source", "subject", "severity", "sequence")}
    return {"event": {**made_up, **own, "time": iso(time)}, "data": event.data}


def _object(file: tuple[str, bytes]) -> dict[str, Any]:
    name, content = file
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClarionError(f"{name}: this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ClarionError(f"{name}: the data must be a JSON object")
    return value


def _rendered(found: Opened, templates: Templates, name: str, locale: str, channel: str, facts: _Facts) -> Shown:
    shown = Shown(name, facts.seen["event"]["type"], facts.least, locale, channel)
    zone = found.policy.defaults.timezone
    attributes = {key: str(kind) for key, kind in found.facts.attributes.items()}
    about = {"customer": sample_customer(attributes, locale, zone)}
    try:
        if name == DIGEST:
            content = templates.render_digest(channel, locale, _items(found, about), about)
        else:
            content = templates.render(name, channel, locale, {**facts.seen, **about})
    except RenderError as error:
        return msgspec.structs.replace(shown, why_not=str(error))
    return msgspec.structs.replace(shown, wording=content.locale, headline=content.headline, text=content.text)


def _items(found: Opened, about: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return a message of each of the first templates that may get into a digest."""
    names = dict.fromkeys(rule.template for rule in found.policy.rules if _may_be_digested(found.policy, rule))
    items = []
    for name in names:
        for facts in _events(found, Wishes(name)):
            if not facts.least:
                items.append((name, {**facts.seen, **about}))
                break
    return items[:_DIGEST_ITEMS]


def _may_be_digested(policy: Policy, rule: Rule) -> bool:
    """Whether a customer can have the messages of a rule in his digest."""
    required = rule.category in policy.categories and policy.categories[rule.category].required
    return not rule.ignore and rule.message_class is not MessageClass.CRITICAL and not required
