"""From the files of a policy to one immutable value of the decision core.

`compile_policy` is pure and deterministic: the same bundle gives the same policy wherever it is compiled. It gives a
policy only if nothing at all is wrong; `examine` goes as far as it can and gathers every mistake. Names are compared
only where the file that defines them could be read, so that one mistake does not make ten.
"""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from services.policy import words
from services.policy.bundle import Bundle
from services.policy.documents import Document
from services.policy.draft import Draft, PlacedCap, PlacedEvent, PlacedRule, draft
from services.policy.expressions import Compiled, ExpressionError, Language, customer_language, customer_type
from services.policy.mistakes import Mistake, PolicyError, nearest
from services.policy.schemas import Field, Schema, SchemaError, shared
from services.policy.shapes import Digest as DigestShape
from services.policy.shapes import QuietHours, TenantFile
from services.policy.shapes import Share as ShareShape
from services.policy.template_lint import lint
from services.router.decision.model import (
    DAY,
    HOUR,
    Cap,
    Category,
    Condition,
    Defaults,
    DigestTimes,
    EventType,
    Key,
    Lock,
    Plan,
    Policy,
    Preference,
    QuietPolicy,
    QuietTimes,
    Rule,
    Share,
    Window,
)

__all__ = ["Examined", "PolicyError", "compile_policy", "examine"]


class Examined(Struct):
    """What became of a bundle. `conditions` holds the compiled `when` of each rule by name, for the warnings."""

    draft: Draft
    mistakes: list[Mistake]
    policy: Policy | None = None
    conditions: dict[str, Compiled] = field(default_factory=dict)


def compile_policy(bundle: Bundle) -> Policy:
    """Compile a policy; raise PolicyError with all mistakes."""
    examined = examine(bundle)
    if examined.policy is None:
        raise PolicyError(examined.mistakes)
    return examined.policy


def examine(bundle: Bundle) -> Examined:
    """Compile as far as possible and gather every mistake."""
    found = draft(bundle)
    compiler = _Compiler(found)
    rules = [compiler.rule(placed) for placed in found.rules]
    caps = [compiler.cap(placed) for placed in found.caps]
    compiler.compare()
    mistakes = sorted({*found.mistakes, *compiler.mistakes, *lint(found, compiler.types)})
    examined = Examined(found, mistakes, conditions=compiler.conditions)
    if not mistakes and found.tenant is not None and found.categories is not None:
        examined.policy = Policy(
            tenant=found.tenant.tenant,
            hash=bundle.hash,
            defaults=_defaults(found.tenant),
            categories=MappingProxyType(
                {
                    name: Category(name, category.title, words.VALUES[category.default], category.required)
                    for name, category in found.categories.categories.items()
                }
            ),
            caps=tuple(caps),
            locks=tuple(Lock(lock.category, lock.channel, lock.reason) for lock in found.tenant.locks),
            event_types=MappingProxyType(compiler.event_types),
            rules=tuple(rules),
            rules_by_type=MappingProxyType(_by_type(rules, compiler.event_types)),
            rules_by_name=MappingProxyType({rule.name: rule for rule in rules if not rule.ignore}),
            digests=DIGEST in found.template_names,
            memory=max([0, *(cap.window for cap in caps), *(rule.once_window for rule in rules)]),
        )
    return examined


def _by_type(rules: Sequence[Rule], types: Iterable[str]) -> dict[str, tuple[Rule, ...]]:
    """Return for each type the rules that name it or "*", in order, in one walk over the rules."""
    by_type: dict[str, list[Rule]] = {name: [] for name in types}
    for rule in rules:
        for name in by_type if "*" in rule.on else rule.on:
            by_type[name].append(rule)
    return {name: tuple(found) for name, found in by_type.items()}


class _Compiler:
    """Compiles rules and caps against the names and types of the rest of the policy."""

    def __init__(self, found: Draft) -> None:
        self.mistakes: list[Mistake] = []
        self.types: dict[str, Field] = {}
        self.event_types: dict[str, EventType] = {}
        self.conditions: dict[str, Compiled] = {}
        self._draft = found
        self._customer = customer_type(found.tenant.attributes if found.tenant else None)
        self._languages: dict[tuple[str, ...], Language] = {}
        self._segments = self._segments_of(found)
        for placed in found.events:
            self._event(placed)

    # --- event types ---

    def _event(self, placed: PlacedEvent) -> None:
        name = placed.event.type
        try:
            schema = Schema(placed.event.data)
        except SchemaError as error:
            self.mistakes.append(placed.document.mistake(["data", *error.keys], str(error)))
            self._draft.lost.add("events")
            return
        if name in self.types:
            self.mistakes.append(placed.document.mistake(["type"], f"the type {name!r} is declared twice"))
            return
        self.types[name] = schema.type
        self.event_types[name] = EventType(name, placed.event.lifecycle, schema.check)

    # --- rules ---

    def rule(self, placed: PlacedRule) -> Rule:
        """Compile one rule, noting what is wrong with it."""
        rule = placed.rule
        self._types_of(placed)
        if rule.ignore:
            for name in _ONLY_OF_SENDERS:
                if placed.document.find([*placed.keys, name])[1]:
                    self._at(placed, [name], f"a rule that ignores has no {name!r}", at_key=True)
            if rule.continue_:
                self._at(placed, ["continue"], "a rule that ignores can't continue", at_key=True)
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
            self._at(placed, ["expires_after"], "must be longer than nothing")
        return compiled

    def _at(
        self,
        placed: PlacedRule | PlacedCap,
        keys: Sequence[str | int],
        message: str,
        hint: str = "",
        *,
        at_key: bool = False,
    ) -> None:
        self.mistakes.append(placed.document.mistake([*placed.keys, *keys], message, hint, at_key=at_key))

    def _types_of(self, placed: PlacedRule) -> None:
        names = placed.rule.on
        listed = isinstance((placed.document.find([*placed.keys, "on"])[0] or _NOWHERE).value, list)
        for index, name in enumerate(names):
            keys: list[str | int] = ["on", index] if listed else ["on"]
            if name == "*":
                if len(names) > 1:
                    self._at(placed, keys, "'*' stands alone: it is every type")
            elif name not in self.types and self._draft.whole("events"):
                self._at(placed, keys, f"unknown event type {name[:60]!r}", nearest(name, self.types))
            if name in names[:index]:
                self._at(placed, keys, f"the type {name[:60]!r} is named twice")

    def _sending(self, placed: PlacedRule) -> None:
        rule, tenant = placed.rule, self._draft
        values = {"category": rule.category, "class": rule.class_, "channels": rule.channels, "template": rule.template}
        for name, value in values.items():
            if value is None and not placed.document.find([*placed.keys, name])[1]:
                self._at(placed, [], f"{name!r} is missing (a rule that sends names it; one that does not says ignore)")
        if rule.category is not None and tenant.categories is not None:
            self._known(placed, ["category"], "category", rule.category, tenant.categories.categories)
        if rule.template is not None:
            self._known(placed, ["template"], "template", rule.template, tenant.template_names)

    def _known(
        self, placed: PlacedRule | PlacedCap, keys: Sequence[str | int], what: str, name: str, known: Iterable[str]
    ) -> None:
        if name not in (names := list(known)):
            self._at(placed, keys, f"unknown {what} {name[:60]!r}", nearest(name, names))

    def _plan(self, placed: PlacedRule) -> Plan:
        channels = placed.rule.channels
        if channels is None:
            return Plan(())
        listed = channels.first if channels.first is not None else channels.all
        if (channels.first is None) == (channels.all is None):
            self._at(placed, ["channels"], "needs one of 'first' and 'all'")
        key = "first" if channels.first is not None else "all"
        if not listed and listed is not None:
            self._at(placed, ["channels", key], "must not be empty")
        for index, name in enumerate(listed or []):
            if name in (listed or [])[:index]:
                self._at(placed, ["channels", key, index], f"the channel {name!r} is named twice")
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
                self._inside(document, ["segments", name], error)
        return segments

    def _segment(self, placed: PlacedRule) -> Condition | None:
        name = placed.rule.segment
        if name is None:
            return None
        if self._draft.tenant is not None:
            self._known(placed, ["segment"], "segment", name, self._segments)
        return self._segments.get(name)

    def _once(self, placed: PlacedRule) -> Key | None:
        rule = placed.rule
        if (rule.once is None) != (rule.once_window is None):
            missing = "once" if rule.once is None else "once_window"
            self._at(placed, ["once_window" if rule.once is None else "once"], f"{missing!r} is missing", at_key=True)
        if rule.once_window == 0:
            self._at(placed, ["once_window"], "must be longer than nothing")
        language = self._language(rule.on)
        if rule.once is None or language is None:
            return None
        try:
            return language.compile_key(rule.once, ["event", "data", "customer", "now"])
        except ExpressionError as error:
            self._inside(placed.document, [*placed.keys, "once"], error)
            return None

    def _inside(self, document: Document, keys: Sequence[str | int], error: ExpressionError) -> None:
        for fault in error.faults:
            self.mistakes.append(
                document.mistake_inside(keys, fault.offset, fault.length, fault.message, fault.suggestion)
            )

    def _condition(self, placed: PlacedRule, key: str, source: str | None, names: Sequence[str]) -> Condition | None:
        if source is None:
            return None
        language = self._language(placed.rule.on)
        if language is None:
            return None
        try:
            compiled = language.compile(source, [*names, "now"])
        except ExpressionError as error:
            self._inside(placed.document, [*placed.keys, key], error)
            return None
        if key == "when":
            self.conditions[placed.rule.name] = compiled
        return compiled.condition

    def _language(self, on: Sequence[str]) -> Language | None:
        """Return the language of a rule's types; None when a type is unknown: that is the mistake to report."""
        names = tuple(sorted(self.types)) if "*" in on else tuple(on)
        types = [self.types[name] for name in names if name in self.types]
        if len(types) < len(names) or not types:
            return None
        if names not in self._languages:
            self._languages[names] = Language(shared(types), self._customer)
        return self._languages[names]

    # --- caps ---

    def cap(self, placed: PlacedCap) -> Cap:
        """Compile one cap, noting what is wrong with it."""
        cap, tenant = placed.cap, self._draft
        if cap.where.category and tenant.categories is not None:
            self._known(placed, ["where", "category"], "category", cap.where.category, tenant.categories.categories)
        if cap.where.rule and tenant.whole("rules"):
            self._known(placed, ["where", "rule"], "rule", cap.where.rule, (r.rule.name for r in tenant.rules))
        if cap.window == 0:
            self._at(placed, ["window"], "must be longer than nothing")
        if cap.over == "reroute" and cap.per != "channel" and not cap.where.channel:
            self._at(placed, ["over"], "'reroute' needs a cap whose 'per' or 'where' names channel")
        if cap.max_hold is not None and cap.over != "defer":
            self._at(placed, ["max_hold"], "only a cap with 'over: defer' holds", at_key=True)
        if sum(cap.reserve.values()) >= cap.limit:
            message = f"the reserves add up to {sum(cap.reserve.values())}, not less than the limit {cap.limit}"
            self._at(placed, ["reserve"], message)
        return Cap(
            name=cap.name,
            per=words.PERS[cap.per],
            limit=cap.limit,
            window=cap.window,
            over=words.CAP_OVERS[cap.over],
            where_channel=cap.where.channel,
            where_category=cap.where.category,
            where_class=words.CLASSES[cap.where.class_] if cap.where.class_ else None,
            where_rule=cap.where.rule,
            exempt=frozenset(words.CLASSES[name] for name in cap.exempt),
            reserve=tuple(sorted((words.CLASSES[name], count) for name, count in cap.reserve.items())),
            max_hold=cap.max_hold or cap.window,
        )

    # --- the whole ---

    def compare(self) -> None:
        """Check what concerns the policy as a whole."""
        self._twice("rule", [(placed, placed.rule.name) for placed in self._draft.rules])
        self._twice("cap", [(placed, placed.cap.name) for placed in self._draft.caps])
        self._last_rule()
        tenant = self._draft.tenant
        if tenant is not None:
            document = self._draft.documents["clarion.yaml"]
            self._quiet_hours(document, tenant.defaults.quiet_hours)
            self._settings(document, tenant)
            self._digest_template(tenant)

    def _digest_template(self, tenant: TenantFile) -> None:
        """Whoever may put messages into a digest needs the words for it."""
        if DIGEST in self._draft.template_names:
            return
        needs = f"needs the template {DIGEST!r}"
        for kind, given in (
            ("channel", tenant.defaults.preferences.channel),
            ("category", tenant.defaults.preferences.category),
        ):
            for name, value in given.items():
                if value == "digest":
                    keys = ["defaults", "preferences", kind, name]
                    self.mistakes.append(self._draft.documents["clarion.yaml"].mistake(keys, f"'digest' {needs}"))
        categories = self._draft.categories
        for name, category in categories.categories.items() if categories else ():
            if category.default == "digest":
                document = self._draft.documents["categories.yaml"]
                self.mistakes.append(document.mistake(["categories", name, "default"], f"'digest' {needs}"))
        for placed in self._draft.caps:
            if placed.cap.over == "digest":
                self._at(placed, ["over"], f"'digest' {needs}")

    def _twice(self, what: str, named: Sequence[tuple[PlacedRule | PlacedCap, str]]) -> None:
        seen: set[str] = set()
        for placed, name in named:
            if name in seen:
                self._at(placed, ["name"], f"the {what} name {name!r} is used twice")
            seen.add(name)

    def _last_rule(self) -> None:
        paths = [path for path in self._draft.documents if path.startswith("rules/")]
        wanted = 'the last rule must be `on: "*"` with `ignore: true` and nothing else'
        if not paths:
            self.mistakes.append(Mistake("rules/", 1, 1, "", f"there is no rule; {wanted}"))
            return
        if not self._draft.whole("rules"):
            return
        if not self._draft.rules:
            self.mistakes.append(self._draft.documents[paths[-1]].mistake(["rules"], wanted))
            return
        last = self._draft.rules[-1]
        if last.rule.on != ["*"] or not last.rule.ignore or last.rule.when is not None:
            self._at(last, [], wanted)

    def _quiet_hours(self, document: Document, quiet: QuietHours | None) -> None:
        keys = ["defaults", "quiet_hours"]
        if quiet is None:
            return
        if (quiet.start is None) != (quiet.end is None):
            missing = "end" if quiet.end is None else "start"
            self.mistakes.append(document.mistake(keys, f"{missing!r} is missing", at_key=True))
        if quiet.start is None and quiet.end is None and not quiet.days:
            self.mistakes.append(document.mistake(keys, "needs 'start' and 'end', or 'days'", at_key=True))
        if quiet.start is not None and quiet.start == quiet.end:
            self.mistakes.append(document.mistake([*keys, "end"], "start and end are the same"))
        for day, window in quiet.days.items():
            if window.start == window.end:
                self.mistakes.append(document.mistake([*keys, "days", day, "end"], "start and end are the same"))

    def _settings(self, document: Document, tenant: TenantFile) -> None:
        categories = self._draft.categories
        if categories is None:
            return
        names = categories.categories
        places: list[tuple[list[str | int], str]] = [
            (["locks", index, "category"], lock.category) for index, lock in enumerate(tenant.locks) if lock.category
        ]
        places += [
            (["defaults", "preferences", "category", name], name) for name in tenant.defaults.preferences.category
        ]
        for keys, name in places:
            if name not in names:
                at_key = keys[0] == "defaults"
                message = f"unknown category {name[:60]!r}"
                self.mistakes.append(document.mistake(keys, message, nearest(name, names), at_key=at_key))


class _Nowhere:
    value: Any = None


_NOWHERE = _Nowhere()


# The template that puts several messages together.
DIGEST = "digest"
# What a rule that ignores has no use for.
_ONLY_OF_SENDERS = (
    *("category", "class", "channels", "template", "who", "segment", "material", "rollout", "holdout", "once"),
    *("once_window", "announce_transient", "announce_always"),
)


def _share(share: ShareShape | None, salt: str) -> Share | None:
    return None if share is None else Share(share.percent, share.salt or salt)


def _defaults(tenant: TenantFile) -> Defaults:
    stated = tenant.defaults
    preferences = [
        *(Preference("", channel, words.VALUES[value]) for channel, value in stated.preferences.channel.items()),
        *(Preference(category, "", words.VALUES[value]) for category, value in stated.preferences.category.items()),
    ]
    return Defaults(
        locale=stated.locale,
        timezone=stated.timezone,
        channels=tuple(stated.channels),
        quiet_hours=_quiet_policy(stated.quiet_hours),
        preferences=tuple(preferences),
        dedup_window=stated.dedup_window,
        digest=_digest_times(stated.digest),
    )


def _digest_times(digest: DigestShape | None) -> DigestTimes:
    if digest is None:
        return DigestTimes()
    every = HOUR if digest.every == "1h" else DAY
    return DigestTimes(every) if digest.at is None else DigestTimes(every, digest.at)


def _quiet_policy(quiet: QuietHours | None) -> QuietPolicy | None:
    if quiet is None:
        return None
    every = Window(quiet.start, quiet.end) if quiet.start is not None and quiet.end is not None else None
    days = tuple(
        Window(window.start, window.end) if (window := quiet.days.get(day)) else None for day in words.WEEKDAYS
    )
    times = QuietTimes(every, days)
    return QuietPolicy(times, tuple(quiet.channels), words.QUIET_OVERS[quiet.over], quiet.release_spread)
