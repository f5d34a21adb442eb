"""What rule tests can name of a policy: types, rules, categories, attributes, and its language of selectors."""

from collections.abc import Mapping

from msgspec import Struct

from services.policy.compile import Examined
from services.policy.documents import Document
from services.policy.expressions import ExpressionError, Language, customer_language
from services.router.decision.model import Condition, EventType


class Names(Struct):
    """What tests can name of a policy; None: a mistake kept it from being known. `events` could be compiled."""

    tenant: str
    types: frozenset[str] | None
    events: Mapping[str, EventType]
    rules: frozenset[str] | None
    categories: frozenset[str] | None
    attributes: Mapping[str, str] | None
    selectors: dict[str, Condition | ExpressionError] = {}
    language: Language | None = None

    def selector(self, source: str) -> Condition | ExpressionError:
        """Compile an audience's expression, each once."""
        if source not in self.selectors:
            self.language = self.language or customer_language(self.attributes)
            try:
                self.selectors[source] = self.language.compile(source, ["customer", "now"]).condition
            except ExpressionError as error:
                self.selectors[source] = error
        return self.selectors[source]


def names_of(examined: Examined) -> Names:
    """Return what tests can name of a policy, as far as it could be read."""
    found = examined.draft
    rules = frozenset(placed.rule.name for placed in found.rules if not placed.rule.ignore)
    return Names(
        tenant=found.tenant.tenant if found.tenant else "",
        types=frozenset(placed.event.type for placed in found.events) if found.whole("events") else None,
        events=examined.events,
        rules=rules if found.whole("rules") else None,
        categories=frozenset(found.categories.categories) if found.categories else None,
        attributes=found.tenant.attributes if found.tenant else None,
    )


def documents_of(examined: Examined) -> list[Document]:
    """Return the test files of a policy that are YAML, by path."""
    found = examined.draft.documents
    return [found[path] for path in sorted(found) if path.startswith("tests/") and found[path].root is not None]
