"""Whom a fan-out may be for on this partition, in customer order.

Only who can belong to the audience is looked at: the named, those of an attribute that the selector asks for, everyone;
of a closing event also those who were told of its subject or wait to be. Whether one really belongs the core says.
"""

from bisect import bisect_right

from services.router.decision.model import Event
from services.router.fanouts import View, order
from services.router.state import State


def members(state: State, event: Event, view: View, after: str, limit: int) -> list[str]:
    """Return the next customers behind one ("": from the first); fewer than `limit`: there are no more."""
    if event.customers:
        start = bisect_right(event.customers, order(after), key=order) if after else 0
        return list(event.customers[start : start + limit])
    # The first of a union are among the first of its parts.
    found: set[str] = set()
    if view.attribute:
        for value in view.values:
            found.update(state.with_attribute(event.tenant, view.attribute, value, after, limit))
    elif event.everyone or view.selector is not None:
        found.update(state.customers(event.tenant, after, limit))
    if event.lifecycle.closing and event.subject:
        found.update(state.concerned(event.tenant, event.source, event.subject, after, limit))
    return sorted(found, key=order)[:limit]
