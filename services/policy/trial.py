"""Trying every template of a policy with sample data, before it is in force.

The lint refuses what could grow without bound; this is the proof by doing. It is pure, and meant for a process of its
own with little memory and time, since a template that the lint misjudged could take both from whoever tries it. What
only depends on the data (a text that is no currency, a part that comes out empty) is no mistake of the template.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from services.policy.compile import Examined
from services.policy.samples import sample_customer, sample_event, samples
from services.policy.shapes import TemplateFile
from services.policy.template_lint import DIGEST, OVERRIDES, used_types
from services.policy.templates import ITEM_LIMIT, RenderError, Templates, TooMuchError

MEMORY: Final = "it takes too much memory"
STEPS: Final = "it takes too many steps"

# A template that many types use is tried with some of them.
_TYPES: Final = 5
_ITEMS: Final = 20
_SEVERITIES: Final = ("info", "major", "critical")
_LIFECYCLES: Final = ("opened", "updated", "resolved")


class Wording(Struct, frozen=True):
    """One file of templates: its parts as they stand in it, and the event types whose rules use it."""

    name: str
    locale: str
    parts: Mapping[str, Any]
    types: tuple[str, ...] = ()


class Work(Struct, frozen=True):
    """What there is to try; `samples` holds data by event type."""

    locale: str
    timezone: str
    wordings: tuple[Wording, ...]
    samples: Mapping[str, tuple[Any, ...]]
    customer: Mapping[str, Any]


def work_of(examined: Examined) -> Work:
    """Return what of a policy there is to try: the templates without mistakes."""
    found = examined.draft
    wrong = {mistake.path for mistake in examined.mistakes}
    made = {placed.event.type: samples(placed.event.data) for placed in found.events}
    if found.tenant is None:
        return Work("en", "UTC", (), {}, {})
    defaults = found.tenant.defaults
    return Work(
        locale=defaults.locale,
        timezone=defaults.timezone,
        wordings=tuple(
            Wording(
                template.name,
                template.locale,
                template.parts.model_dump(exclude_none=True),
                tuple(name for name in used_types(found, made, template.name) if made.get(name))[:_TYPES],
            )
            for template in found.templates
            if template.document.path not in wrong
        ),
        samples=made,
        customer=sample_customer(found.tenant.attributes, defaults.locale, defaults.timezone),
    )


class Trial:
    """Tries the wordings of a policy one by one."""

    def __init__(self, work: Work) -> None:
        self._work = work
        files = {
            (wording.name, wording.locale): TemplateFile.model_validate(wording.parts) for wording in work.wordings
        }
        self._templates = Templates(files, work.locale, work.timezone)

    def reason(self, index: int) -> str:
        """Say why a wording can't be used; "" when nothing is wrong."""
        wording = self._work.wordings[index]
        # Without an override a channel's text is put together of the parts: one of them stands for all.
        channels = [name for name in OVERRIDES if name in wording.parts] or ["inbox"]
        try:
            if wording.name == DIGEST:
                self._digest(wording, channels)
            else:
                self._message(wording, channels)
        except TooMuchError as error:
            return str(error).partition(": ")[2]
        except MemoryError:
            return MEMORY
        return ""

    def _message(self, wording: Wording, channels: list[str]) -> None:
        for number, context in enumerate(self._contexts(wording)):
            for channel in channels:
                try:
                    self._templates.render(wording.name, channel, wording.locale, context)
                except TooMuchError as error:
                    # The longest data may make a text too long; the least data, or a budget of steps, may not.
                    if number == 0 or STEPS in str(error):
                        raise
                except RenderError:
                    continue

    def _digest(self, wording: Wording, channels: list[str]) -> None:
        known = [(other, self._contexts(other)) for other in self._work.wordings if other.name != DIGEST]
        items = [(other.name, contexts[0]) for other, contexts in known[:_ITEMS] if self._is_written(other, contexts)]
        many = (items * ITEM_LIMIT)[:ITEM_LIMIT]
        for shown in (many[:1], many):
            for channel in channels if shown else ():
                try:
                    self._templates.render_digest(channel, wording.locale, shown, {"customer": self._work.customer})
                except TooMuchError:
                    raise
                except RenderError:
                    continue

    def _is_written(self, wording: Wording, contexts: list[dict[str, Any]]) -> bool:
        try:
            self._templates.render(wording.name, "inbox", wording.locale, contexts[0])
        except RenderError:
            return False
        return True

    def _contexts(self, wording: Wording) -> list[dict[str, Any]]:
        """Return what a template sees, the least data first; without types nothing is known of its data."""
        made = [(name, data) for name in wording.types for data in self._work.samples[name]] or [("", {})]
        return [
            {
                "event": sample_event(name, _LIFECYCLES[number % 3], _SEVERITIES[number % 3]),
                "data": data,
                "customer": {**self._work.customer, "locale": wording.locale},
            }
            for number, (name, data) in enumerate(made)
        ]
