"""Stops and pauses as records of `clarion.controls.v1`, and which are in force.

A control has the key `tenant|name`; deleting the record lifts it. A record that says nothing, or whose key speaks for
another tenant or name, changes nothing and is named in `refused`. Controls that the router has no part in (those of
fan-outs) are kept too: whoever asks takes the kinds that concern him.
"""

from google.protobuf.message import DecodeError

from clarion.v1 import control_pb2
from services.policy import words
from services.router.decision.model import Control, ControlKind

_CLASS_NAMES = {value: name for name, value in words.CLASSES.items()}


def control_record(tenant: str, control: Control) -> tuple[bytes, bytes]:
    """Return key and value of a control's record."""
    message = control_pb2.Control(
        tenant=tenant,
        name=control.name,
        kind=control_pb2.ControlKind.ValueType(int(control.kind)),
        author=control.author,
        reason=control.reason,
        expire_time_us=control.expires,
    )
    message.match.rule = control.rule
    message.match.category = control.category
    message.match.channel = control.channel
    message.match.message_class = _CLASS_NAMES[control.message_class] if control.message_class is not None else ""
    message.match.source = control.source
    message.match.event = control.event
    return control_key(tenant, control.name), message.SerializeToString(deterministic=True)


def name_of(control: Control) -> str:
    """Return a name for a control: its kind and what it matches, `stop-rule-offer`, else `stop-all`."""
    given = {
        "rule": control.rule,
        "category": control.category,
        "channel": control.channel,
        "class": _CLASS_NAMES[control.message_class] if control.message_class is not None else "",
        "source": control.source,
        "event": control.event,
    }
    parts = [part for key, value in given.items() if value for part in (key, value)]
    return "-".join([control.kind.name.lower(), *(parts or ["all"])])


def control_key(tenant: str, name: str) -> bytes:
    """Return the key of a control's record."""
    return f"{tenant}|{name}".encode()


def parse_control(key: bytes, value: bytes) -> tuple[str, Control]:
    """Return tenant and control of a record; raise ValueError when it says nothing that can be obeyed."""
    try:
        message = control_pb2.Control.FromString(value)
    except DecodeError as error:
        raise ValueError("not a control") from error
    if key != control_key(message.tenant, message.name):
        raise ValueError("the key is not tenant|name")
    match = message.match
    if match.message_class and match.message_class not in words.CLASSES:
        raise ValueError(f"{match.message_class[:40]!r} is no class")
    return message.tenant, Control(
        name=message.name,
        kind=ControlKind(message.kind),
        rule=match.rule,
        category=match.category,
        channel=match.channel,
        message_class=words.CLASSES[match.message_class] if match.message_class else None,
        source=match.source,
        event=match.event,
        author=message.author,
        reason=message.reason,
        expires=message.expire_time_us,
    )


class Controls:
    """The controls in force by tenant, fed by the records of `clarion.controls.v1` in their order."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._by_tenant: dict[str, dict[str, Control]] = {}

    def take(self, key: bytes, value: bytes | None) -> str:
        """Take one record; return the tenant whose controls changed, "" if none did."""
        name = key.decode(errors="replace")
        if value is None:
            tenant, _, control = name.partition("|")
            return tenant if self._by_tenant.get(tenant, {}).pop(control, None) is not None else ""
        try:
            tenant, found = parse_control(key, value)
        except ValueError as error:
            self.refused[name] = str(error)
            return ""
        self.refused.pop(name, None)
        self._by_tenant.setdefault(tenant, {})[found.name] = found
        return tenant

    def of(self, tenant: str) -> tuple[Control, ...]:
        """Return a tenant's controls in order of their names, those that have ended by themselves too."""
        found = self._by_tenant.get(tenant, {})
        return tuple(found[name] for name in sorted(found))
