"""Why a customer has no decision about an event: the same timeline, with the event for him by name.

A selector and a rule's `who` leave no record of those whom they do not select. Were the event addressed to the
customer by name, the record would say which condition failed.
"""

from msgspec.structs import replace

from services.policy.testing.timeline import Happens, Timeline, means
from services.policy.testing.world import Happened, History, live
from services.router.decision.model import Policy, Scope, Truth


def why_not(timeline: Timeline, policy: Policy, reference: str, customer: str) -> tuple[str, History, Happened] | None:
    """Return a sentence and what would have been decided had the event named the customer; None: it did, or never came.

    The sentence is about the audience, where that is what left the customer out.
    """
    for place, entry in enumerate(timeline.entries):
        deed = entry.deed
        if not isinstance(deed, Happens) or not means(reference, deed.event) or customer in deed.event.customers:
            continue
        event = replace(deed.event, customers=(customer,), select="", everyone=False)
        entries = list(timeline.entries)
        entries[place] = replace(entry, deed=Happens(event))
        history = live(replace(timeline, entries=tuple(entries)), policy)
        own = [each for each in history.happened if _is_about(each, reference, customer)]
        if own:
            return _audience(deed, own[0], policy), history, own[0]
    return None


def _is_about(happened: Happened, reference: str, customer: str) -> bool:
    event = happened.decision.event
    return event is not None and means(reference, event) and happened.decision.customer in ("", customer)


def _audience(deed: Happens, happened: Happened, policy: Policy) -> str:
    event, profile = deed.event, happened.profile
    if event.customers:
        return f"the event is for {', '.join(event.customers)}"
    if profile is None:
        return "" if happened.decision.customer == "" else f"nothing is known of this customer at {policy.tenant}"
    if event.select and deed.selector is not None:
        scope = Scope(event, profile, None, happened.decision.time)
        if deed.selector.evaluate(scope) is not Truth.TRUE:
            return f"the event's audience is {event.select} ({deed.selector.show(scope)})"
    return ""
