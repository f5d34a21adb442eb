"""What `clarion policy check` says: every mistake with its place, and warnings of what is probably not meant.

A policy with mistakes can't be compiled; warnings may stand. Mistakes in rule tests are found here only: they keep a
policy from being put in force, not from being compiled where it is in force. The warnings here are about rules that
never match, messages that promise an end nobody tells or that expire unsent, and things that nothing uses or nobody
hears.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from services.policy.bundle import Bundle
from services.policy.compile import Examined, examine
from services.policy.draft import PlacedRule
from services.policy.mistakes import Mistake, Report
from services.policy.shapes import QuietHours, Rule, Where
from services.policy.template_lint import DIGEST
from services.policy.testing.files import mistakes_of as mistakes_of_tests
from services.policy.wording import wording
from services.policy.words import LIFECYCLES
from services.router.decision.model import MINUTE

__all__ = ["Mistake", "Report", "check", "render"]

_WIDTH: Final = 140
_DAY_MINUTES: Final = 24 * 60
_RED, _YELLOW, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def check(bundle: Bundle, trial: Callable[[Examined], Iterable[Mistake]] | None = None) -> Report:
    """Find everything that is wrong with a policy, and everything that is probably not meant.

    `trial` tries what was examined and returns further mistakes: it needs a process, which is not for this library.
    """
    if not bundle.files:  # another folder was meant: what all it lacks would only hide that
        return Report((Mistake("clarion.yaml", 1, 1, "", "no policy here: clarion.yaml is missing"),), ())
    examined = examine(bundle)
    warnings = sorted({warning for find in _WARNINGS for warning in find(examined)})
    tried = trial(examined) if trial is not None else ()
    mistakes = sorted({*examined.mistakes, *mistakes_of_tests(examined), *tried})
    return Report(tuple(mistakes), tuple(warnings))


def render(report: Report, bundle: Bundle, *, color: bool = False) -> str:
    """Write a report as people read it: each mistake with its line and carets, then the warnings, then the count."""
    lines: list[str] = []
    for mistake in report.mistakes:
        lines.append(_printable(str(mistake)))
        lines.extend(_excerpt(mistake, bundle, color=color))
    for warning in report.warnings:
        word = f"{_YELLOW}warning{_RESET}" if color else "warning"
        lines.append(f"{word}: {_printable(str(warning))}")
    counts = f"{_count(len(report.mistakes), 'mistake')}, {_count(len(report.warnings), 'warning')}"
    lines.append(f"{counts} in {_count(len(bundle.files), 'file')}")
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _excerpt(mistake: Mistake, bundle: Bundle, *, color: bool) -> Iterator[str]:
    lines = bundle.files.get(mistake.path, b"").decode(errors="replace").split("\n")
    if mistake.line > len(lines) or not lines[mistake.line - 1].strip():
        return
    line, column = _printable(lines[mistake.line - 1]), mistake.column - 1
    if len(line) > _WIDTH:
        begin = max(0, min(column - _WIDTH // 3, len(line) - _WIDTH))
        line, column = line[begin : begin + _WIDTH], column - begin
    carets = "^" * max(1, min(mistake.length, len(line) - column))
    yield f"{mistake.line:6} | {line}"
    yield f"       | {' ' * column}{_RED if color else ''}{carets}{_RESET if color else ''}"


def _printable(text: str) -> str:
    # What a policy file contains must not steer the terminal.
    return "".join(character if character.isprintable() else " " for character in text)


# --- warnings ------------------------------------------------------------------------------------


def _shadowed(examined: Examined) -> Iterator[Mistake]:
    """Find rules all of whose events an earlier rule takes."""
    types = {placed.event.type for placed in examined.draft.events}
    taken: dict[str, PlacedRule] = {}
    last = examined.draft.rules[-1:]
    for placed in examined.draft.rules:
        own = _types(placed, types)
        if own and own <= taken.keys() and [placed] != last:
            by = taken[min(own)]
            message = (
                f"rule {placed.rule.name} can never match: rule {by.rule.name} ({_where(by)}) takes all its events"
            )
            yield placed.document.mistake(placed.keys, message)
        if placed.rule.when is None and not placed.rule.continue_ and not placed.guessed:
            for name in own:
                taken.setdefault(name, placed)


def _repeated(examined: Examined) -> Iterator[Mistake]:
    """Find rules that ask for the very same as an earlier rule, which ends the walk."""
    first: dict[tuple[tuple[str, ...], str], PlacedRule] = {}
    for placed in examined.draft.rules:
        rule = placed.rule
        if rule.when is None or placed.guessed:
            continue
        key = (tuple(sorted(rule.on)), " ".join(rule.when.split()))
        by = first.get(key)
        if by is not None:
            message = (
                f"rule {rule.name} can never match: rule {by.rule.name} ({_where(by)}) has the same 'on' and 'when'"
            )
            yield placed.document.mistake([*placed.keys, "when"], message)
        elif not rule.continue_:
            first[key] = placed


def _without_lifecycle(examined: Examined) -> Iterator[Mistake]:
    """Find rules that ask for a lifecycle which events of their types never have."""
    if not examined.draft.whole("events"):
        return
    lasting = {placed.event.type: placed.event.lifecycle for placed in examined.draft.events}
    for placed in examined.draft.rules:
        compiled = examined.conditions.get(placed.rule.name)
        own = _types(placed, set(lasting))
        if compiled is None or not own or placed.guessed or "point" in compiled.lifecycles:
            continue
        if compiled.lifecycles and not any(lasting[name] for name in own):
            names = ", ".join(sorted(own)) if "*" not in placed.rule.on else "no event type"
            verb = "has" if "*" in placed.rule.on else "has no" if len(own) == 1 else "have no"
            message = f"rule {placed.rule.name} can never match: {names} {verb} `lifecycle: true`, so all is 'point'"
            yield placed.document.mistake([*placed.keys, "when"], message)


def _where(placed: PlacedRule) -> str:
    line = placed.document.find(placed.keys)[0]
    return f"line {line.line if line else 1} of {placed.document.path.rpartition('/')[2]}"


def _never_closed(examined: Examined) -> Iterator[Mistake]:
    """Find rules that tell of a beginning whose end no rule tells."""
    lasting = {placed.event.type for placed in examined.draft.events if placed.event.lifecycle}
    told: dict[str, set[str]] = {name: set() for name in lasting}
    openers: dict[str, PlacedRule] = {}
    for placed in examined.draft.rules:
        if placed.rule.ignore:
            continue
        lifecycles = _lifecycles(examined, placed)
        for name in _types(placed, lasting):
            told[name] |= lifecycles
            if "opened" in lifecycles and not placed.guessed:
                openers.setdefault(name, placed)
    for name, placed in sorted(openers.items()):
        if not told[name] & {"resolved", "cancelled"}:
            message = f"rule {placed.rule.name} tells that {name} began, but no rule tells that it is over"
            yield placed.document.mistake(placed.keys, message)


def _unused_templates(examined: Examined) -> Iterator[Mistake]:
    if not examined.draft.rules_known:
        return
    # Any customer may ask for digests.
    used = {DIGEST, *(placed.rule.template for placed in examined.draft.rules)}
    for template in examined.draft.templates:
        if template.name not in used:
            yield Mistake(template.document.path, 1, 1, "", f"no rule uses the template {template.name!r}")


def _unused_categories(examined: Examined) -> Iterator[Mistake]:
    categories = examined.draft.categories
    if not examined.draft.rules_known or categories is None:
        return
    used = {placed.rule.category for placed in examined.draft.rules}
    document = examined.draft.documents["categories.yaml"]
    for name in categories.categories:
        if name not in used:
            yield document.mistake(["categories", name], f"no rule has the category {name!r}", at_key=True)


def _expires_in_the_night(examined: Examined) -> Iterator[Mistake]:
    """Find rules whose messages, held by quiet hours, would expire before the morning."""
    quiet = examined.draft.tenant.defaults.quiet_hours if examined.draft.tenant else None
    if quiet is None or quiet.over != "hold":
        return
    windows = [(window.start, window.end) for window in quiet.days.values()]
    if quiet.start is not None and quiet.end is not None:
        windows.append((quiet.start, quiet.end))
    longest = max(((end - start) % _DAY_MINUTES for start, end in windows), default=0) * MINUTE
    for placed in examined.draft.rules:
        rule = placed.rule
        held = rule.class_ != "critical" and rule.quiet_hours == "respect" and _quiet(rule, quiet)
        if not rule.ignore and held and rule.expires_after < longest:
            message = (
                f"rule {rule.name} expires before quiet hours end: what comes at their beginning is never sent"
                f" (they last up to {longest // (60 * MINUTE)} h)"
            )
            keys = [*placed.keys, "expires_after"]
            yield placed.document.mistake(keys, message)


def _quiet(rule: Rule, quiet: QuietHours) -> bool:
    """Whether every channel of the rule's plan has quiet hours."""
    plan = (rule.channels.first or rule.channels.all or []) if rule.channels else []
    return bool(plan) and (not quiet.channels or all(channel in quiet.channels for channel in plan))


def _idle_caps(examined: Examined) -> Iterator[Mistake]:
    """Find caps that no message of any rule could ever count for."""
    if not examined.draft.rules_known:
        return
    for placed in examined.draft.caps:
        where = placed.cap.where
        if not any(_counts(where, other.rule) for other in examined.draft.rules if not other.rule.ignore):
            yield placed.document.mistake(placed.keys, f"no rule makes a message that the cap {placed.cap.name} counts")


def _counts(where: Where, rule: Rule) -> bool:
    plan = (rule.channels.first or rule.channels.all or []) if rule.channels else []
    return (
        where.category in ("", rule.category)
        and where.class_ in ("", rule.class_)
        and where.rule in ("", rule.name)
        and (not where.channel or where.channel in plan)
    )


def _unheard(examined: Examined) -> Iterator[Mistake]:
    """Find required categories none of whose messages goes by a channel that customers have by default."""
    draft = examined.draft
    usual = draft.tenant.defaults.channels if draft.tenant else []
    if not draft.rules_known or draft.categories is None or not usual:
        return
    document = draft.documents["categories.yaml"]
    for name, category in draft.categories.categories.items():
        plans = [p.rule.channels for p in draft.rules if p.rule.category == name and p.rule.channels is not None]
        planned = {channel for plan in plans for channel in [*(plan.first or []), *(plan.all or [])]}
        if category.required and planned and planned.isdisjoint(usual):
            message = f"the category {name!r} is required, and its rules use none of the channels that customers have"
            yield document.mistake(["categories", name], f"{message} ({', '.join(usual)})", at_key=True)


def _types(placed: PlacedRule, known: set[str]) -> set[str]:
    return set(known) if "*" in placed.rule.on else {name for name in placed.rule.on if name in known}


def _lifecycles(examined: Examined, placed: PlacedRule) -> set[str]:
    compiled = examined.conditions.get(placed.rule.name)
    return set(compiled.lifecycles if compiled is not None else LIFECYCLES)


_WARNINGS: Final[tuple[Callable[[Examined], Iterator[Mistake]], ...]] = (
    _shadowed,
    _repeated,
    _without_lifecycle,
    _never_closed,
    _unused_templates,
    _unused_categories,
    _expires_in_the_night,
    _idle_caps,
    _unheard,
    wording,
)
