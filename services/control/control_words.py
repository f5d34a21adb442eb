"""A control in words and as JSON."""

from services.common.clock import iso
from services.policy import words
from services.router.decision.model import Control

_CLASSES = {value: name for name, value in words.CLASSES.items()}


def facts(control: Control) -> dict[str, str]:
    """Return a control as JSON: what is given, times as RFC 3339."""
    found = {"name": control.name, "kind": control.kind.name.lower(), **_match(control)}
    more = {"author": control.author, "reason": control.reason, "expires": _until(control)}
    return {**found, **{key: value for key, value in more.items() if value}}


def line(control: Control) -> str:
    """Say a control in one line."""
    match = ", ".join(f"{key} {value}" for key, value in _match(control).items()) or "everything"
    until = f", until {_until(control)[:19].replace('T', ' ')} UTC" if control.expires else ""
    by = f", by {control.author}" if control.author else ""
    why = f": {control.reason}" if control.reason else ""
    return f"{control.name}  {control.kind.name.lower()} {match}{until}{by}{why}"


def _match(control: Control) -> dict[str, str]:
    given = {
        "rule": control.rule,
        "category": control.category,
        "channel": control.channel,
        "class": _CLASSES[control.message_class] if control.message_class is not None else "",
        "source": control.source,
        "event": control.event,
    }
    return {key: value for key, value in given.items() if value}


def _until(control: Control) -> str:
    return iso(control.expires) if control.expires else ""
