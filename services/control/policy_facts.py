"""A policy as it is written, without its places: what `show` tells and `diff` compares.

Values stay in the words of the files (`4h`, `22:00`), so that what people read here is what they find there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from services.control.errors import ClarionError
from services.control.policies import read
from services.policy.bundle import Bundle
from services.policy.check import render
from services.policy.compile import Examined, examine
from services.policy.documents import Document
from services.policy.mistakes import Report
from services.router.decision.model import Policy

Plain = Mapping[str, Any]


class Facts(Struct, frozen=True):
    """What a policy says. Caps and rules are in their order; templates are parts by (name, locale)."""

    tenant: str
    hash: str
    defaults: Plain
    attributes: Plain
    segments: Plain
    jargon: Plain
    locks: tuple[Plain, ...]
    categories: Mapping[str, Plain]
    caps: Mapping[str, Plain]
    rules: Mapping[str, Plain]
    places: Mapping[str, str]
    events: Mapping[str, Plain]
    templates: Mapping[tuple[str, str], Plain]


class Opened(Struct):
    """A policy folder that compiles."""

    bundle: Bundle
    examined: Examined
    policy: Policy
    facts: Facts


def opened(folder: Path) -> Opened:
    """Open a policy folder; raise ClarionError with all mistakes of the policy itself."""
    bundle = read(folder)
    examined = examine(bundle)
    if examined.policy is None:
        said = render(Report(tuple(examined.mistakes)), bundle)
        raise ClarionError(f"the policy in {folder} is not right:\n{said}")
    return Opened(bundle, examined, examined.policy, _facts(examined, examined.policy))


def _facts(examined: Examined, policy: Policy) -> Facts:
    draft = examined.draft
    tenant = _plain(draft.documents["clarion.yaml"])
    return Facts(
        tenant=policy.tenant,
        hash=policy.hash,
        defaults=tenant.get("defaults") or {},
        attributes=tenant.get("attributes") or {},
        segments=tenant.get("segments") or {},
        jargon=tenant.get("jargon") or {},
        locks=tuple(tenant.get("locks") or ()),
        categories=_plain(draft.documents["categories.yaml"]).get("categories") or {},
        caps={placed.cap.name: _at(placed.document, placed.keys) for placed in draft.caps},
        rules={placed.rule.name: _at(placed.document, placed.keys) for placed in draft.rules},
        places={placed.rule.name: placed.place for placed in draft.rules},
        events={placed.event.type: _plain(placed.document) for placed in draft.events},
        templates={(placed.name, placed.locale): _plain(placed.document) for placed in draft.templates},
    )


def _plain(document: Document) -> dict[str, Any]:
    value = document.root.plain() if document.root is not None else {}
    return value if isinstance(value, dict) else {}


def _at(document: Document, keys: tuple[str | int, ...]) -> dict[str, Any]:
    node = document.find(keys)[0]
    value = node.plain() if node is not None else {}
    return {key: inner for key, inner in value.items() if key != "name"}
