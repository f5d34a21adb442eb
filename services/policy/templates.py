"""From a template and the facts of one message to what a customer reads.

One content model serves all channels: parts are rendered as plain text, and text and HTML are made of the finished
parts, so that every channel says the same. What comes from data is never markup and never a template: HTML is escaped
as a whole, values in links are percent-encoded. A value that is missing, or that can't be written as the template
wants, raises RenderError: a message with a hole is not sent. Errors name the template and the part, never a value.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

import minijinja
from msgspec import Struct

from services.policy import formats, words
from services.policy.bundle import Bundle
from services.policy.compile import PolicyError, examine
from services.policy.email_html import page
from services.policy.formats import FormatError
from services.policy.shapes import TemplateFile
from services.policy.template_lint import ONE_LINE, OVERRIDES, PARTS
from services.policy.words import CHANNELS

__all__ = ["Content", "PolicyError", "RenderError", "Templates", "compile_templates"]

# What the doors let in must be fit to be rendered: an event has at most 64 KiB, nested 32 deep.
INPUT_LIMIT: Final = 65_536
LIST_LIMIT: Final = 32_768
OUTPUT_LIMIT: Final = 20_000
_DEPTH_LIMIT: Final = 34
_BLANKS: Final = "\n\t\u00a0"
# The order in which a reader wants them: the fact, what it means for him, what comes next, what we say to it.
_BODY: Final = ("what", "why", "impact", "next", "apology")


class RenderError(Exception):
    """The message can't be written; says which template and part, never a value."""


class Content(Struct, frozen=True):
    """What a customer reads: `headline` is one line, `text` the whole as plain text, `html` for mail only."""

    headline: str
    parts: Mapping[str, str]
    text: str
    html: str = ""
    locale: str = ""


class Templates:
    """The templates of one policy, compiled."""

    def __init__(self, files: Mapping[tuple[str, str], TemplateFile], locale: str, timezone: str) -> None:
        self._files = files
        self._locale = locale
        self._timezone = timezone
        self._plain = formats.environment()
        self._link = formats.environment(finalizer=_in_link)
        for (name, wording), file in files.items():
            for part, source in _sources(file):
                engine = self._link if part == "url" else self._plain
                engine.add_template(f"{name}/{wording}/{part}", source)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, sorted."""
        return tuple(sorted({name for name, _ in self._files}))

    def render(self, name: str, channel: str, locale: str, context: Mapping[str, Any]) -> Content:
        """Write the message of a template for a channel; `context` holds event, data and customer as JSON values."""
        if channel not in CHANNELS:
            raise RenderError(f"{name}: {channel!r} is no channel")
        wording = self._wording(name, locale or self._locale)
        # The customer's own variant (de-AT) writes the dates, even where the words are those of de.
        spoken = locale if _is_variant(locale, wording) else wording
        facts = self._facts(name, spoken, context)
        file = self._files[name, wording]
        parts = {
            part: self._part(f"{name}/{wording}", part, facts) for part in PARTS if getattr(file, part) is not None
        }
        for part in ("headline", "what"):
            if not parts[part]:
                raise RenderError(f"{name}/{wording}: {part} is empty")
        action = self._action(f"{name}/{wording}", file, facts)
        override = self._override(f"{name}/{wording}", channel, file, {**facts, **parts, "action": action})
        shown = {part: text for part, text in parts.items() if text}
        if action:
            shown |= {"action.label": action["label"], "action.url": action["url"]}
        text = override if override is not None else _text(channel, shown)
        return Content(
            headline=parts["headline"],
            parts=MappingProxyType(shown),
            text=text,
            html=page(wording, shown, override) if channel == "email" else "",
            locale=wording,
        )

    def _wording(self, name: str, locale: str) -> str:
        for candidate in (locale, *_shorter(locale), self._locale):
            if (name, candidate) in self._files:
                return candidate
        raise RenderError(f"there is no template {name!r}")

    def _facts(self, name: str, locale: str, context: Mapping[str, Any]) -> dict[str, Any]:
        customer = dict(context.get("customer") or {})
        customer["locale"] = customer.get("locale") or self._locale
        customer["timezone"] = customer.get("timezone") or self._timezone
        facts = {
            "event": _frozen(name, context.get("event") or {}),
            "data": _frozen(name, context.get("data") or {}),
            "customer": _frozen(name, customer),
        }
        return {**facts, formats.LOCALE: locale, formats.ZONE: customer["timezone"]}

    def _part(
        self, place: str, part: str, facts: Mapping[str, Any], engine: minijinja.Environment | None = None
    ) -> str:
        try:
            text = (engine or self._plain).render_template(f"{place}/{part}", **facts)
        except minijinja.TemplateError as error:
            raise RenderError(f"{place}: {part}, line {error.line}: {_reason(error)}") from None
        except FormatError as error:
            raise RenderError(f"{place}: {part}: {error}") from None
        except (ValueError, TypeError, KeyError, OverflowError, ArithmeticError) as error:
            raise RenderError(f"{place}: {part}: {type(error).__name__}") from None
        if len(text) > OUTPUT_LIMIT:
            raise RenderError(f"{place}: {part} is longer than {OUTPUT_LIMIT} characters")
        return _line(text) if part in ONE_LINE or part == "label" else _clean(text)

    def _action(self, place: str, file: TemplateFile, facts: Mapping[str, Any]) -> dict[str, str]:
        if file.action is None:
            return {}
        label = self._part(place, "label", facts)
        return {"label": label, "url": self._part(place, "url", facts, self._link)}

    def _override(self, place: str, channel: str, file: TemplateFile, facts: Mapping[str, Any]) -> str | None:
        if channel not in OVERRIDES or getattr(file, channel) is None:
            return None
        text = self._part(place, channel, facts)
        if not text:
            raise RenderError(f"{place}: {channel} is empty")
        return text


def compile_templates(bundle: Bundle) -> Templates:
    """Compile the templates of a policy; raise PolicyError with all mistakes of the policy."""
    examined = examine(bundle)
    tenant = examined.draft.tenant
    if examined.mistakes or tenant is None:
        raise PolicyError(examined.mistakes)
    files = {(template.name, template.locale): template.parts for template in examined.draft.templates}
    return Templates(files, tenant.defaults.locale, tenant.defaults.timezone)


def _sources(file: TemplateFile) -> list[tuple[str, str]]:
    sources = [(part, text) for part in (*PARTS, *OVERRIDES) if (text := getattr(file, part)) is not None]
    if file.action is not None:
        sources += [("label", file.action.label), ("url", file.action.url)]
    return sources


def _shorter(locale: str) -> list[str]:
    """Return what a locale falls back to: `zh-Hant-TW` to `zh-Hant` and `zh`."""
    parts = locale.split("-")
    return ["-".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def _is_variant(locale: str, wording: str) -> bool:
    try:
        words.locale(locale)
    except words.WordError:
        return False
    return locale.partition("-")[0] == wording.partition("-")[0]


def _in_link(value: Any) -> str:
    return quote(str(value), safe="")


def _reason(error: minijinja.TemplateError) -> str:
    return {"UndefinedError": "a value is missing", "OutOfFuel": "it takes too many steps"}.get(error.kind, error.kind)


def _text(channel: str, parts: Mapping[str, str]) -> str:
    """Put the parts together: paragraphs for mail, one line for channels that have no room."""
    body = [parts[part] for part in _BODY if part in parts]
    if channel in {"sms", "push"}:
        return _line(" ".join([parts["headline"] + ".", *body[:1], parts.get("action.url", "")]))
    if "action.url" in parts:
        body.append(f"{parts['action.label']}: {parts['action.url']}")
    if "closing" in parts:
        body.append(parts["closing"])
    return "\n\n".join(body) + "\n"


def _line(text: str) -> str:
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    # Control characters have no meaning in a message, but some in headers and terminals.
    return "".join(character for character in text if character.isprintable() or character in _BLANKS).strip()


def _frozen(name: str, value: Any, depth: int = 0) -> Any:
    """Return a value that no template can change, without nulls: absent is absent."""
    if depth > _DEPTH_LIMIT:
        raise RenderError(f"{name}: the data is nested more than {_DEPTH_LIMIT} deep")
    if isinstance(value, Mapping):
        return MappingProxyType(
            {str(key): _frozen(name, inner, depth + 1) for key, inner in value.items() if inner is not None}
        )
    if isinstance(value, str):
        if len(value) > INPUT_LIMIT:
            raise RenderError(f"{name}: a text of the data is longer than {INPUT_LIMIT} characters")
        return value
    if isinstance(value, Sequence):
        if len(value) > LIST_LIMIT:
            raise RenderError(f"{name}: a list of the data has more than {LIST_LIMIT} entries")
        return tuple(_frozen(name, inner, depth + 1) for inner in value if inner is not None)
    return value
