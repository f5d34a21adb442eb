"""Rules: their names looked up, their conditions compiled in the language of the types they are about."""

from collections.abc import Sequence
from typing import Any

from services.policy import words
from services.policy.compiling.notes import Notes
from services.policy.compiling.types import Types
from services.policy.draft import Draft, PlacedRule
from services.policy.expressions import Compiled, ExpressionError, Language, customer_language, customer_type
from services.policy.mistakes import nearest
from services.policy.schemas import shared
from services.policy.shapes import Share as ShareShape
from services.router.decision.model import Condition, Key, Plan, Rule, Share

# What a rule that ignores has no use for.
_ONLY_OF_SENDERS = (
    *("category", "class", "channels", "template", "who", "segment", "material", "rollout", "holdout", "once"),
    *("once_window", "announce_transient", "announce_always"),
)


class Rules:
    """Compiles rules against the names and types of the rest of the policy; `conditions` are their `when` by name."""

    def __init__(self, found: Draft, types: Types, notes: Notes) -> None:
        self.conditions: dict[str, Compiled] = {}
        self._draft = found
        self._types = types
        self._notes = notes
        self._customer = customer_type(found.tenant.attributes if found.tenant else None)
        self._languages: dict[tuple[str, ...], Language] = {}
        self._segments = self._segments_of(found)

    def rule(self, placed: PlacedRule) -> Rule:
        """Compile one rule, noting what is wrong with it."""
        rule = placed.rule
        self._check_types(placed)
        if rule.ignore:
            for name in _ONLY_OF_SENDERS:
                if placed.document.find([*placed.keys, name])[1]:
                    self._notes.at(placed, [name], f"a rule that ignores has no {name!r}", at_key=True)
            if rule.continue_:
                self._notes.at(placed, ["continue"], "a rule that ignores can't continue", at_key=True)
        else:
            self._sending(placed)
        compiled = Rule(
            name=rule.name,
            place=placed.place,
            on=tuple(rule.on),
            when=self._condition(placed, "when", rule.when, ("event", "data")),
            who=self._condition(placed, "who", rule.who, ("event", "data", "customer")),
            ignore=rule.ignore,
            go_on=rule.continue_,
            category=rule.category or "",
            message_class=words.CLASSES[rule.class_ or "informational"],
            plan=self._plan(placed),
            template=rule.template or "",
            material=self._condition(placed, "material", rule.material, ("data", "previous")),
            expires_after=rule.expires_after,
            respects_quiet_hours=rule.quiet_hours == "respect",
            segment=self._segment(placed),
            rollout=_share(rule.rollout, f"rollout|{rule.name}"),
            holdout=_share(rule.holdout, f"holdout|{rule.name}"),
            once=self._once(placed),
            once_window=rule.once_window or 0,
            announce_transient=rule.announce_transient,
            announce_always=rule.announce_always,
        )
        if rule.expires_after == 0:
            self._notes.at(placed, ["expires_after"], "must be longer than nothing")
        return compiled

    def _check_types(self, placed: PlacedRule) -> None:
        names = placed.rule.on
        listed = isinstance((placed.document.find([*placed.keys, "on"])[0] or _NOWHERE).value, list)
        for index, name in enumerate(names):
            keys: list[str | int] = ["on", index] if listed else ["on"]
            if name == "*":
                if len(names) > 1:
                    self._notes.at(placed, keys, "'*' stands alone: it is every type")
            elif name not in self._types.data and self._draft.whole("events"):
                self._notes.at(placed, keys, f"unknown event type {name[:60]!r}", nearest(name, self._types.data))
            if name in names[:index]:
                self._notes.at(placed, keys, f"the type {name[:60]!r} is named twice")

    def _sending(self, placed: PlacedRule) -> None:
        rule, tenant = placed.rule, self._draft
        values = {"category": rule.category, "class": rule.class_, "channels": rule.channels, "template": rule.template}
        for name, value in values.items():
            if value is None and not placed.document.find([*placed.keys, name])[1]:
                self._notes.at(
                    placed, [], f"{name!r} is missing (a rule that sends names it; one that does not says ignore)"
                )
        if rule.category is not None and tenant.categories is not None:
            self._notes.known(placed, ["category"], "category", rule.category, tenant.categories.categories)
        if rule.template is not None:
            self._notes.known(placed, ["template"], "template", rule.template, tenant.template_names)

    def _plan(self, placed: PlacedRule) -> Plan:
        channels = placed.rule.channels
        if channels is None:
            return Plan(())
        listed = channels.first if channels.first is not None else channels.all
        if (channels.first is None) == (channels.all is None):
            self._notes.at(placed, ["channels"], "needs one of 'first' and 'all'")
        key = "first" if channels.first is not None else "all"
        if not listed and listed is not None:
            self._notes.at(placed, ["channels", key], "must not be empty")
        for index, name in enumerate(listed or []):
            if name in (listed or [])[:index]:
                self._notes.at(placed, ["channels", key, index], f"the channel {name!r} is named twice")
        return Plan(tuple(listed or ()), all=channels.first is None, fixed=channels.order == "fixed")

    def _segments_of(self, found: Draft) -> dict[str, Condition | None]:
        """Compile the named segments; None stands for one that is wrong."""
        segments: dict[str, Condition | None] = {}
        if found.tenant is None:
            return segments
        document, language = found.documents["clarion.yaml"], customer_language(found.tenant.attributes)
        for name, source in found.tenant.segments.items():
            try:
                segments[name] = language.compile(source, ["customer", "now"]).condition
            except ExpressionError as error:
                segments[name] = None
                self._notes.inside(document, ["segments", name], error)
        return segments

    def _segment(self, placed: PlacedRule) -> Condition | None:
        name = placed.rule.segment
        if name is None:
            return None
        if self._draft.tenant is not None:
            self._notes.known(placed, ["segment"], "segment", name, self._segments)
        return self._segments.get(name)

    def _once(self, placed: PlacedRule) -> Key | None:
        rule = placed.rule
        if (rule.once is None) != (rule.once_window is None):
            missing = "once" if rule.once is None else "once_window"
            self._notes.at(
                placed, ["once_window" if rule.once is None else "once"], f"{missing!r} is missing", at_key=True
            )
        if rule.once_window == 0:
            self._notes.at(placed, ["once_window"], "must be longer than nothing")
        language = self._language(rule.on)
        if rule.once is None or language is None:
            return None
        try:
            compiled = language.compile_key(rule.once, ["event", "data", "customer", "now"])
        except ExpressionError as error:
            self._notes.inside(placed.document, [*placed.keys, "once"], error)
            return None
        return Key(compiled.source, compiled.evaluate)

    def _condition(self, placed: PlacedRule, key: str, source: str | None, names: Sequence[str]) -> Condition | None:
        if source is None:
            return None
        language = self._language(placed.rule.on)
        if language is None:
            return None
        try:
            compiled = language.compile(source, [*names, "now"])
        except ExpressionError as error:
            self._notes.inside(placed.document, [*placed.keys, key], error)
            return None
        if key == "when":
            self.conditions[placed.rule.name] = compiled
        return compiled.condition

    def _language(self, on: Sequence[str]) -> Language | None:
        """Return the language of a rule's types; None when a type is unknown: that is the mistake to report."""
        names = tuple(sorted(self._types.data)) if "*" in on else tuple(on)
        types = [self._types.data[name] for name in names if name in self._types.data]
        if len(types) < len(names) or not types:
            return None
        if names not in self._languages:
            self._languages[names] = Language(shared(types), self._customer)
        return self._languages[names]


class _Nowhere:
    value: Any = None


_NOWHERE = _Nowhere()


def _share(share: ShareShape | None, salt: str) -> Share | None:
    return None if share is None else Share(share.percent, share.salt or salt)
