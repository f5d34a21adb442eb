"""One event and one customer, each a file of its own, as a timeline in which that event comes."""

from typing import Any

from services.policy.documents import Document, Node
from services.policy.mistakes import Mistake
from services.policy.shapes import fit
from services.policy.testing import people, shapes
from services.policy.testing.files import Reader
from services.policy.testing.names import Names
from services.policy.testing.timeline import Entry, Timeline


def scene(event: Document, customer: Document, names: Names, at: int) -> tuple[Timeline | None, list[Mistake]]:
    """Read an event and a customer as a timeline in which that event comes at `at`, and what is wrong with them.

    The customer's file has his name under `customer`, as a line of `clarion customer put` has. An event without
    audience is for this customer.
    """
    mistakes = [*event.mistakes, *customer.mistakes]
    written, profile = None if event.root is None else event.root.plain(), None
    if customer.root is not None:
        profile = customer.root.plain()
    name = profile.pop("customer", None) if isinstance(profile, dict) else None
    if customer.root is not None and (not isinstance(name, str) or not name):
        mistakes.append(customer.mistake([], "'customer' is missing: {\"customer\": ID, ...profile}"))
    if mistakes or not isinstance(name, str) or not isinstance(profile, dict):
        return None, sorted(mistakes)
    if isinstance(written, dict) and "audience" not in written and event.root is not None:
        event.root.value["audience"] = _node({"customers": [name]}, event.root)
    shaped, found = fit(shapes.Event, event)
    what = Reader(event, names, at)
    happens = what.happens([], shaped, at) if shaped is not None else None
    mistakes = sorted({*found, *people.check(customer, [], profile, names)[0], *what.mistakes})
    if happens is None or mistakes:
        return None, mistakes
    return Timeline(event.path, at, {name: profile}, (Entry(at, 1, happens),), ()), []


def _node(value: Any, near: Node) -> Node:
    """Return a value as if it stood where another one does."""
    if isinstance(value, dict):
        value = {key: _node(inner, near) for key, inner in value.items()}
    elif isinstance(value, list):
        value = [_node(inner, near) for inner in value]
    return Node(value, near.line, near.column, near.start, near.start)
