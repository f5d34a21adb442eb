"""From a template and the facts of one message to what a customer reads.

One content model serves all channels: parts are rendered as plain text, and text and HTML are made of the finished
parts, so that every channel says the same. What comes from data is never markup and never a template: HTML is escaped
as a whole, values in links are percent-encoded. A value that is missing, or that can't be written as the template
wants, raises RenderError: a message with a hole is not sent. Errors name the template and the part, never a value.

A digest is many messages in one: each is written by its own template, then the template `digest` writes the whole of
their parts. What is too much for one message is left out at the end, and the template is told how many that are.
"""

from collections.abc import Callable, Mapping, Sequence
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
from services.policy.template_lint import DIGEST, ONE_LINE, OVERRIDES, PARTS
from services.policy.words import CHANNELS

__all__ = ["Content", "PolicyError", "RenderError", "Templates", "compile_templates"]

# What the doors let in must be fit to be rendered: an event has at most 64 KiB, nested 32 deep.
INPUT_LIMIT: Final = 65_536
LIST_LIMIT: Final = 32_768
OUTPUT_LIMIT: Final = 20_000
ITEM_LIMIT: Final = 500
_DEPTH_LIMIT: Final = 34
_BLANKS: Final = "\n\t\u00a0"
# The order in which a reader wants them: the fact, what it means for him, what comes next, what we say to it.
_BODY: Final = ("what", "why", "impact", "next", "apology")


class RenderError(Exception):
    """The message can't be written; says which template and part, never a value."""


class TooMuchError(RenderError):
    """The message can't be written because that takes too many steps, or because it is too long."""


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
        self._whole = formats.environment(fuel=formats.DIGEST_FUEL)
        for (name, wording), file in files.items():
            for part, source in _sources(file):
                engine = self._link if part == "url" else self._engine(name)
                engine.add_template(f"{name}/{wording}/{part}", source)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, sorted."""
        return tuple(sorted({name for name, _ in self._files}))

    def render(self, name: str, channel: str, locale: str, context: Mapping[str, Any]) -> Content:
        """Write the message of a template for a channel; `context` holds event, data and customer as JSON values."""
        wording, facts = self._facts(name, locale, context)
        return self._write(name, wording, channel, facts)

    def render_digest(
        self, channel: str, locale: str, items: Sequence[tuple[str, Mapping[str, Any]]], context: Mapping[str, Any]
    ) -> Content:
        """Write many messages as one with the template `digest`.

        An item is the name of its template and what `render` takes for it; `context` holds the customer. The first
        ITEM_LIMIT items are shown, fewer if a part would be too long with them; `more` counts those that are not.
        An item that can't be written raises RenderError: who leaves it out knows why, and says so.
        """
        wording = self._wording(DIGEST, locale or self._locale)
        reader = self._reader(DIGEST, wording, locale, context)
        shown = tuple(self._item(name, locale, seen) for name, seen in items[:ITEM_LIMIT])

        def whole(count: int) -> Content:
            facts = {**reader, "items": shown[:count], "more": len(items) - count}
            return self._write(DIGEST, wording, channel, facts)

        try:
            return whole(len(shown))
        except TooMuchError:
            return _as_many_as_fit(whole, len(shown) - 1)

    def _item(self, name: str, locale: str, context: Mapping[str, Any]) -> Mapping[str, Any]:
        wording, facts = self._facts(name, locale, context)
        parts, action = self._parts(name, wording, facts)
        item: dict[str, Any] = {part: text for part, text in parts.items() if text}
        if action:
            item["action"] = MappingProxyType(action)
        return MappingProxyType({**item, "event": facts["event"]})

    def _write(self, name: str, wording: str, channel: str, facts: Mapping[str, Any]) -> Content:
        if channel not in CHANNELS:
            raise RenderError(f"{name}: {channel!r} is no channel")
        parts, action = self._parts(name, wording, facts)
        override = self._override(name, wording, channel, {**facts, **parts, "action": action})
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

    def _parts(self, name: str, wording: str, facts: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the parts, empty ones too, and the action."""
        file = self._files[name, wording]
        parts = {part: self._part(name, wording, part, facts) for part in PARTS if getattr(file, part) is not None}
        for part in ("headline", "what"):
            if not parts[part]:
                raise RenderError(f"{name}/{wording}: {part} is empty")
        if file.action is None:
            return parts, {}
        return parts, {key: self._part(name, wording, key, facts) for key in ("label", "url")}

    def _engine(self, name: str) -> minijinja.Environment:
        return self._whole if name == DIGEST else self._plain

    def _wording(self, name: str, locale: str) -> str:
        for candidate in (locale, *_shorter(locale), self._locale):
            if (name, candidate) in self._files:
                return candidate
        raise RenderError(f"there is no template {name!r}")

    def _facts(self, name: str, locale: str, context: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the wording that a locale falls back to, and what it sees."""
        wording = self._wording(name, locale or self._locale)
        facts = {
            "event": _frozen(name, context.get("event") or {}),
            "data": _frozen(name, context.get("data") or {}),
            **self._reader(name, wording, locale, context),
        }
        return wording, facts

    def _reader(self, name: str, wording: str, locale: str, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a template sees of who reads it, and how his dates are written."""
        customer = dict(context.get("customer") or {})
        customer["locale"] = customer.get("locale") or self._locale
        customer["timezone"] = customer.get("timezone") or self._timezone
        # The customer's own variant (de-AT) writes the dates, even where the words are those of de.
        spoken = locale if _is_variant(locale, wording) else wording
        return {
            "customer": _frozen(name, customer),
            formats.LOCALE: spoken,
            formats.ZONE: customer["timezone"],
        }

    def _part(self, name: str, wording: str, part: str, facts: Mapping[str, Any]) -> str:
        place = f"{name}/{wording}"
        engine = self._link if part == "url" else self._engine(name)
        try:
            text = engine.render_template(f"{place}/{part}", **facts)
        except minijinja.TemplateError as error:
            kind = TooMuchError if error.kind == "OutOfFuel" else RenderError
            raise kind(f"{place}: {part}, line {error.line}: {_reason(error)}") from None
        except FormatError as error:
            raise RenderError(f"{place}: {part}: {error}") from None
        except (ValueError, TypeError, KeyError, OverflowError, ArithmeticError) as error:
            raise RenderError(f"{place}: {part}: {type(error).__name__}") from None
        if len(text) > OUTPUT_LIMIT:
            raise TooMuchError(f"{place}: {part} is longer than {OUTPUT_LIMIT} characters")
        return _line(text) if part in ONE_LINE or part == "label" else _clean(text)

    def _override(self, name: str, wording: str, channel: str, facts: Mapping[str, Any]) -> str | None:
        if channel not in OVERRIDES or getattr(self._files[name, wording], channel) is None:
            return None
        text = self._part(name, wording, channel, facts)
        if not text:
            raise RenderError(f"{name}/{wording}: {channel} is empty")
        return text


def compile_templates(bundle: Bundle) -> Templates:
    """Compile the templates of a policy; raise PolicyError with all mistakes of the policy."""
    examined = examine(bundle)
    tenant = examined.draft.tenant
    if examined.mistakes or tenant is None:
        raise PolicyError(examined.mistakes)
    files = {(template.name, template.locale): template.parts for template in examined.draft.templates}
    return Templates(files, tenant.defaults.locale, tenant.defaults.timezone)


def _as_many_as_fit(whole: Callable[[int], Content], most: int) -> Content:
    """Return the digest of as many items, at most so many, as there is room for; raise if not even one fits."""
    found, fewest = whole(1), 2
    while fewest <= most:
        count = (fewest + most) // 2
        try:
            found, fewest = whole(count), count + 1
        except TooMuchError:
            most = count - 1
    return found


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
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable() or character in _BLANKS)
    return text.strip()


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
