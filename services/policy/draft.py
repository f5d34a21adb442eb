"""The files of a policy, read and shaped, before anything is compared between them.

Each rule and each cap is shaped by itself, so that a mistake in one does not hide the mistakes in the others. One
that has its shape but for unknown keys is checked further, in the sense that was probably meant.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct, field

from services.policy import words
from services.policy.bundle import Bundle
from services.policy.documents import Document, read
from services.policy.mistakes import Mistake
from services.policy.shapes import (
    Cap,
    CapsFile,
    CategoriesFile,
    EventFile,
    Rule,
    RulesFile,
    TemplateFile,
    TenantFile,
    fit,
)

_PLACES: Final = (
    "clarion.yaml, categories.yaml, caps.yaml, events/*.yaml, rules/*.yaml, templates/NAME/LOCALE.yaml, tests/*.yaml"
)


class PlacedRule(Struct, frozen=True):
    """A rule and where it stands; `guessed` says that keys of it were unknown, so that it may mean something else."""

    document: Document
    keys: tuple[str | int, ...]
    rule: Rule
    guessed: bool = False

    @property
    def place(self) -> str:
        """`rules/10-outages.yaml:3`."""
        node = self.document.find(self.keys)[0]
        return f"{self.document.path}:{node.line if node else 1}"


class PlacedCap(Struct, frozen=True):
    """A cap and where it stands."""

    document: Document
    keys: tuple[str | int, ...]
    cap: Cap


class PlacedEvent(Struct, frozen=True):
    """An event type and where it stands."""

    document: Document
    event: EventFile


class PlacedTemplate(Struct, frozen=True):
    """One wording and where it stands."""

    document: Document
    name: str
    locale: str
    parts: TemplateFile


class Draft(Struct):
    """What could be read; `whole` says that nothing of the kind was lost to a mistake, so names can be looked up."""

    documents: dict[str, Document] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    tenant: TenantFile | None = None
    categories: CategoriesFile | None = None
    caps: list[PlacedCap] = field(default_factory=list)
    events: list[PlacedEvent] = field(default_factory=list)
    rules: list[PlacedRule] = field(default_factory=list)
    templates: list[PlacedTemplate] = field(default_factory=list)
    template_names: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    def whole(self, kind: str) -> bool:
        """Whether everything of a kind (events, rules, caps) could be read."""
        return kind not in self.lost

    @property
    def rules_known(self) -> bool:
        """Whether every rule could be read as it stands, so that what no rule does can be said."""
        return self.whole("rules") and not any(placed.guessed for placed in self.rules)


def draft(bundle: Bundle) -> Draft:
    """Read all files of a policy."""
    found = Draft()
    found.mistakes.extend(bundle.mistakes())
    if found.mistakes:
        return found
    for path, content in bundle.files.items():
        reader = _reader(path)
        if reader is None:
            found.mistakes.append(Mistake(path, 1, 1, "", f"a policy has no such file (it has {_PLACES})"))
            continue
        document = found.documents[path] = read(path, content)
        found.mistakes.extend(document.mistakes)
        reader(found, document)
    for path in ("clarion.yaml", "categories.yaml"):
        if path not in bundle.files:
            found.mistakes.append(Mistake(path, 1, 1, "", "the file is missing"))
    return found


def _reader(path: str) -> Callable[[Draft, Document], None] | None:
    if path in _FILES:
        return _FILES[path]
    parts = path.split("/")
    match parts:
        case ["events", name] if name.endswith(".yaml"):
            return _event
        case ["rules", name] if name.endswith(".yaml"):
            return _rules
        case ["templates", _, name] if name.endswith(".yaml"):
            return _template
        case ["tests", name] if name.endswith(".yaml"):
            return _test
    return None


def _tenant(found: Draft, document: Document) -> None:
    found.tenant, mistakes = fit(TenantFile, document)
    found.mistakes.extend(mistakes)


def _categories(found: Draft, document: Document) -> None:
    found.categories, mistakes = fit(CategoriesFile, document)
    found.mistakes.extend(mistakes)


def _caps(found: Draft, document: Document) -> None:
    file, mistakes = fit(CapsFile, document)
    found.mistakes.extend(mistakes)
    for index in range(len(file.caps) if file else 0):
        keys = ("caps", index)
        cap, mistakes = fit(Cap, document, keys)
        found.mistakes.extend(mistakes)
        if cap is None:
            found.lost.add("caps")
        else:
            found.caps.append(PlacedCap(document, keys, cap))


def _event(found: Draft, document: Document) -> None:
    event, mistakes = fit(EventFile, document)
    found.mistakes.extend(mistakes)
    if event is None:
        found.lost.add("events")
    else:
        found.events.append(PlacedEvent(document, event))


def _rules(found: Draft, document: Document) -> None:
    file, mistakes = fit(RulesFile, document)
    found.mistakes.extend(mistakes)
    if file is None:
        found.lost.add("rules")
    for index in range(len(file.rules) if file else 0):
        keys = ("rules", index)
        rule, mistakes = fit(Rule, document, keys)
        found.mistakes.extend(mistakes)
        if rule is None:
            found.lost.add("rules")
        else:
            found.rules.append(PlacedRule(document, keys, rule, guessed=bool(mistakes)))


def _template(found: Draft, document: Document) -> None:
    _, name, file = document.path.split("/")
    found.template_names.add(name)
    locale = file.removesuffix(".yaml")
    try:
        words.locale(locale)
    except words.WordError as error:
        found.mistakes.append(Mistake(document.path, 1, 1, "", f"the file name: {error}"))
    parts, mistakes = fit(TemplateFile, document)
    found.mistakes.extend(mistakes)
    if parts is None:
        found.lost.add("templates")
    else:
        found.templates.append(PlacedTemplate(document, name, locale, parts))


def _test(_found: Draft, _document: Document) -> None:
    """Here rule tests only have to be YAML; what they say is read in `testing.files`, for `check` and `run`."""


_FILES: Final[Mapping[str, Callable[[Draft, Document], None]]] = {
    "clarion.yaml": _tenant,
    "categories.yaml": _categories,
    "caps.yaml": _caps,
}
