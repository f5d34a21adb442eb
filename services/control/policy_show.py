"""`clarion policy show`: a policy told in words, in the order in which it is applied."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from services.control.policy_facts import Facts, opened

_OVER = {
    "drop": "what is over it is not sent",
    "defer": "what is over it waits until there is room",
    "reroute": "what is over it takes the next channel",
    "digest": "what is over it goes into the next digest",
}
_PER = {
    "customer": "for each customer",
    "channel": "for each customer and channel",
    "category": "for each customer and category",
    "class": "for each customer and class",
    "rule": "for each customer and rule",
    "subject": "for each customer and subject",
}
_QUIET = {"hold": "wait for the end", "reroute": "take another channel", "drop": "are not sent"}


def described(folder: Path) -> Facts:
    """Read a policy folder; raise ClarionError when it is not right."""
    return opened(folder).facts


def as_json(facts: Facts) -> bytes:
    """Return the facts as JSON."""
    plain = {name: getattr(facts, name) for name in facts.__struct_fields__ if name not in ("places", "templates")}
    plain["rules"] = [{"name": name, "place": facts.places[name], **rule} for name, rule in facts.rules.items()]
    plain["caps"] = [{"name": name, **cap} for name, cap in facts.caps.items()]
    templates: dict[str, dict[str, Any]] = {}
    for (name, locale), parts in facts.templates.items():
        templates.setdefault(name, {})[locale] = parts
    return msgspec.json.encode({**plain, "templates": templates})


def as_text(facts: Facts) -> str:
    """Tell the facts."""
    sections: list[tuple[str, Iterable[str]]] = [
        ("for customers who said nothing", _defaults(facts.defaults)),
        ("categories", _categories(facts.categories)),
        ("caps, the first that blocks names what happens", map(_cap, facts.caps, facts.caps.values())),
        ("rules, the first that matches is applied", _rules(facts)),
        ("segments", [f"{name}: {source}" for name, source in facts.segments.items()]),
        ("locks", map(_lock, facts.locks)),
        ("event types", map(_event, facts.events, facts.events.values())),
        ("templates", _templates(facts)),
        ("attributes of customers", [f"{name}: {kind}" for name, kind in facts.attributes.items()]),
    ]
    lines = [f"{facts.tenant}, policy {facts.hash[:6]} ({facts.hash})"]
    for title, told in sections:
        lines += ["", title, *(f"  {line}" for line in list(told) or ["none"])]
    return "\n".join(lines) + "\n"


def _defaults(defaults: Mapping[str, Any]) -> Iterator[str]:
    yield f"locale {defaults.get('locale', 'en')}, time zone {defaults.get('timezone', 'UTC')}"
    if defaults.get("channels"):
        yield f"channels in this order: {_list(defaults['channels'])}"
    quiet = defaults.get("quiet_hours")
    if quiet:
        yield _quiet(quiet)
    for kind, wishes in (defaults.get("preferences") or {}).items():
        for name, value in wishes.items():
            yield f"{kind} {name}: {value}"
    digest = defaults.get("digest") or {}
    at = "" if digest.get("every") == "1h" else f" at {digest.get('at', '08:00')}"
    yield f"digests every {digest.get('every', '1d')}{at}, the customer's local time"
    yield f"an event that comes again within {defaults.get('dedup_window', '24h')} is a duplicate"


def _quiet(quiet: Mapping[str, Any]) -> str:
    times = [f"{quiet['start']} to {quiet['end']}"] if "start" in quiet else []
    times += [f"{day} {window['start']} to {window['end']}" for day, window in (quiet.get("days") or {}).items()]
    channels = _list(quiet.get("channels") or ()) or "all channels"
    spread = f", spread over {quiet['release_spread']}" if quiet.get("release_spread") else ""
    return f"quiet hours {', '.join(times)} on {channels}: messages {_QUIET[quiet.get('over', 'hold')]}{spread}"


def _categories(categories: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, category in categories.items():
        required = "; required: nobody can switch it off" if category.get("required") else ""
        yield f'{name} "{category["title"]}": {category["default"]}{required}'


def _cap(name: str, cap: Mapping[str, Any]) -> str:
    where = ", ".join(f"{key} {value}" for key, value in (cap.get("where") or {}).items())
    what = f" of {where}" if where else ""
    said = f"{name}: at most {cap['limit']}{what} within {cap['window']} {_PER[cap['per']]}; {_OVER[cap['over']]}"
    if cap.get("max_hold"):
        said += f", at most {cap['max_hold']}"
    if cap.get("exempt"):
        said += f"; {_list(cap['exempt'])} passes and counts"
    for message_class, places in (cap.get("reserve") or {}).items():
        said += f"; {places} kept free for {message_class}"
    return said


def _rules(facts: Facts) -> Iterator[str]:
    for number, (name, rule) in enumerate(facts.rules.items(), 1):
        yield f"{number}. {name} ({facts.places[name]})"
        for line in _rule(rule):
            yield f"   {line}"


def _rule(rule: Mapping[str, Any]) -> Iterator[str]:
    if rule.get("description"):
        yield str(rule["description"])
    types = rule["on"] if isinstance(rule["on"], list) else [rule["on"]]
    yield f"on {'every event' if types == ['*'] else _list(types, 'or')}"
    for key, words in (("when", "when"), ("who", "to customers with"), ("segment", "to the segment")):
        if rule.get(key):
            yield f"{words} {rule[key]}"
    if rule.get("ignore"):
        yield "makes no message"
        return
    yield f"class {rule['class']}, category {rule['category']}, template {rule['template']}, {_plan(rule['channels'])}"
    yield f"expires after {rule.get('expires_after', '72h')}"
    yield from _specials(rule)


def _plan(channels: Mapping[str, Any]) -> str:
    key = "first" if "first" in channels else "all"
    listed = channels[key] if isinstance(channels[key], list) else [channels[key]]
    order = ", in this order" if channels.get("order") == "fixed" else ""
    return f"{'the first' if key == 'first' else 'all'} of {_list(listed)}{order}"


def _specials(rule: Mapping[str, Any]) -> Iterator[str]:
    if rule.get("quiet_hours") == "ignore":
        yield "passes quiet hours"
    if rule.get("material"):
        yield f"updates only if {rule['material']}"
    if rule.get("once"):
        yield f"once for each {rule['once']} within {rule['once_window']}"
    for key, words in (("rollout", "only for"), ("holdout", "never for")):
        if rule.get(key):
            yield f"{words} {rule[key]['percent']} % of the customers ({key})"
    if rule.get("announce_transient"):
        yield "tells the end also of what was over before anyone was told"
    if rule.get("announce_always"):
        yield "tells the end also to those who were never told"
    if rule.get("continue"):
        yield "the rules after it are tried too"


def _lock(lock: Mapping[str, Any]) -> str:
    category, channel = lock.get("category") or "every category", lock.get("channel") or "any channel"
    return f"{category} never goes by {channel}: {lock['reason']}"


def _event(name: str, event: Mapping[str, Any]) -> str:
    fields = event["data"].get("properties") or {}
    needed = event["data"].get("required") or ()
    listed = ", ".join(field if field in needed else f"{field}?" for field in fields)
    lifecycle = ", has a lifecycle" if event.get("lifecycle") else ""
    return f"{name} ({event['owner']}{lifecycle}): {event['description']} Data: {listed or 'anything'}"


def _templates(facts: Facts) -> Iterator[str]:
    locales: dict[str, list[str]] = {}
    for name, locale in facts.templates:
        locales.setdefault(name, []).append(locale)
    for name, found in locales.items():
        yield f"{name}: {', '.join(found)}"


def _list(names: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
