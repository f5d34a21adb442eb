"""What a customer reads: the message of a revision as a channel shows it, from the same templates as the real one."""

from collections.abc import Mapping
from typing import Any

from services.policy.templates import Content, RenderError, Templates
from services.policy.testing.moments import iso
from services.policy.testing.world import Happened
from services.router.decision.model import Decision, Defaults, Event, Profile


class Messages:
    """Renders what was decided to be sent under one policy."""

    def __init__(self, templates: Templates, defaults: Defaults) -> None:
        self._templates = templates
        self._defaults = defaults

    def message(self, happened: Happened, channel: str) -> Content | None:
        """Return what is sent by a channel, None: nothing is; raise RenderError when it can't be written."""
        decision = happened.decision
        send = next((each for each in decision.sends if each.channel == channel), None)
        if send is None or decision.rule is None or decision.event is None:
            return None
        about = {"customer": self._customer(decision, happened.profile)}
        locale = decision.locale or self._defaults.locale
        flush = next((each for each in happened.digests if each.send_id == send.send_id), None)
        if flush is not None:
            items = [(item.rule.template, {**event_facts(item.event), **about}) for item in flush.items]
            return self._templates.render_digest(channel, locale, items, about)
        return self._templates.render(decision.rule.template, channel, locale, {**event_facts(decision.event), **about})

    def _customer(self, decision: Decision, profile: Profile | None) -> Mapping[str, Any]:
        return {
            "id": decision.customer,
            "locale": decision.locale or self._defaults.locale,
            "timezone": (profile.timezone if profile is not None else "") or self._defaults.timezone,
            "attributes": dict(profile.attributes) if profile is not None else {},
        }


def event_facts(event: Event) -> dict[str, Any]:
    """Return what templates see of an event: `event` and `data`."""
    return {
        "event": {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": iso(event.time),
            "lifecycle": event.lifecycle.name.lower(),
            "severity": event.severity.name.lower(),
            "sequence": event.sequence,
            "tenant": event.tenant,
        },
        "data": event.data,
    }


__all__ = ["Messages", "RenderError", "event_facts"]
