"""Audiences by selector: CEL over `customer`, compiled against the attributes that a policy declares.

Doors compile a selector to say what is wrong with it, the router compiles it again to select. What an expression means
depends on nothing but the declared attributes, so a compiled one is kept for all policies that declare the same.
"""

from functools import lru_cache

from services.policy.expressions import Compiled, ExpressionError, Fault, Language, customer_language
from services.router.decision.model import Policy

# Compiling a longer one takes milliseconds, and whoever may publish may send many.
MAX_SELECTOR = 1_000
_KEPT = 256
_LANGUAGES = 16

Attributes = tuple[tuple[str, str], ...]


def selector(policy: Policy, source: str) -> Compiled:
    """Compile the selector of an audience under a policy; raise ExpressionError."""
    found = _compiled(tuple(sorted(policy.attributes.items())), source)
    if isinstance(found, ExpressionError):
        raise found
    return found


def mistakes(policy: Policy, source: str) -> list[str]:
    """Say what is wrong with a selector, each with its place."""
    try:
        selector(policy, source)
    except ExpressionError as error:
        return [_said(fault) for fault in error.faults]
    return []


def _said(fault: Fault) -> str:
    hint = f" (did you mean {fault.suggestion}?)" if fault.suggestion else ""
    return f"{fault.message} at character {fault.offset + 1}{hint}"


@lru_cache(maxsize=_KEPT)
def _compiled(attributes: Attributes, source: str) -> Compiled | ExpressionError:
    if len(source) > MAX_SELECTOR:
        return ExpressionError([Fault(MAX_SELECTOR, 1, f"it has more than {MAX_SELECTOR} characters")])
    try:
        return _language(attributes).compile(source, ["customer", "now"])
    except ExpressionError as error:
        return error


@lru_cache(maxsize=_LANGUAGES)
def _language(attributes: Attributes) -> Language:
    return customer_language(dict(attributes))
