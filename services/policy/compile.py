"""From the files of a policy to one immutable value of the decision core.

`compile_policy` is pure and deterministic: the same bundle gives the same policy wherever it is compiled. It gives a
policy only if nothing at all is wrong; `examine` goes as far as it can and gathers every mistake. Names are compared
only where the file that defines them could be read, so that one mistake does not make ten.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct, field

from services.policy import words
from services.policy.bundle import Bundle
from services.policy.compiling.agreement import Agreement
from services.policy.compiling.caps import cap
from services.policy.compiling.defaults import defaults
from services.policy.compiling.notes import Notes
from services.policy.compiling.rules import Rules
from services.policy.compiling.types import Types, types
from services.policy.compiling.walks import walk
from services.policy.draft import Draft, draft
from services.policy.expressions import Compiled
from services.policy.mistakes import Mistake, PolicyError
from services.policy.template_lint import DIGEST, lint
from services.router.decision.model import Cap, Category, EventType, Lock, Policy, Rule, Walk

__all__ = ["Examined", "PolicyError", "compile_policy", "examine"]


class Examined(Struct):
    """What became of a bundle.

    `conditions` holds the compiled `when` of each rule by name, for the warnings, `events` the types that could be
    compiled.
    """

    draft: Draft
    mistakes: list[Mistake]
    policy: Policy | None = None
    conditions: dict[str, Compiled] = field(default_factory=dict)
    events: dict[str, EventType] = field(default_factory=dict)


def compile_policy(bundle: Bundle) -> Policy:
    """Compile a policy; raise PolicyError with all mistakes."""
    examined = examine(bundle)
    if examined.policy is None:
        raise PolicyError(examined.mistakes)
    return examined.policy


def examine(bundle: Bundle) -> Examined:
    """Compile as far as possible and gather every mistake."""
    found, notes = draft(bundle), Notes()
    known = types(found, notes)
    compiler = Rules(found, known, notes)
    rules = tuple(compiler.rule(placed) for placed in found.rules)
    caps = tuple(cap(placed, found, notes) for placed in found.caps)
    Agreement(found, notes).compare()
    mistakes = sorted({*found.mistakes, *notes.mistakes, *lint(found, known.data)})
    examined = Examined(found, mistakes, conditions=compiler.conditions, events=known.events)
    if not mistakes:
        examined.policy = _policy(found, bundle.hash, known, rules, caps, compiler.conditions)
    return examined


def _policy(
    found: Draft,
    policy_hash: str,
    known: Types,
    rules: tuple[Rule, ...],
    caps: tuple[Cap, ...],
    conditions: Mapping[str, Compiled],
) -> Policy | None:
    if found.tenant is None or found.categories is None:
        return None
    return Policy(
        tenant=found.tenant.tenant,
        hash=policy_hash,
        defaults=defaults(found.tenant),
        categories=MappingProxyType(
            {
                name: Category(name, category.title, words.VALUES[category.default], category.required)
                for name, category in found.categories.categories.items()
            }
        ),
        caps=caps,
        locks=tuple(Lock(lock.category, lock.channel, lock.reason) for lock in found.tenant.locks),
        event_types=MappingProxyType(known.events),
        rules=rules,
        walks=MappingProxyType(_walks(rules, known, conditions)),
        rules_by_name=MappingProxyType({rule.name: rule for rule in rules if not rule.ignore}),
        digests=DIGEST in found.template_names,
        memory=max([0, *(cap.window for cap in caps), *(rule.once_window for rule in rules)]),
        attributes=MappingProxyType(dict(found.tenant.attributes)),
    )


def _walks(rules: Sequence[Rule], known: Types, conditions: Mapping[str, Compiled]) -> dict[str, Walk]:
    """Return how the rules of each type are walked."""
    demanded = {name: compiled.demands for name, compiled in conditions.items()}
    return {name: walk(own, demanded, known.data[name]) for name, own in _by_type(rules, known.events).items()}


def _by_type(rules: Sequence[Rule], names: Iterable[str]) -> dict[str, tuple[Rule, ...]]:
    """Return for each type the rules that name it or "*", in order, in one walk over the rules."""
    by_type: dict[str, list[Rule]] = {name: [] for name in names}
    for rule in rules:
        for name in by_type if "*" in rule.on else rule.on:
            by_type[name].append(rule)
    return {name: tuple(found) for name, found in by_type.items()}
