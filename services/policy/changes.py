"""What a change makes of a profile's JSON form, with the record of who wished what and when.

A patch replaces lists whole (RFC 7396), so a wish that stands in the new list as it stood in the old one keeps its
date and author; a wish that is new gets those of the change (policy.md: the door adds when and by whom).
"""

from collections.abc import Mapping
from typing import Any

from services.policy.profiles import ERASED, erasure_mark, merge

_STAMPED = ("preferences", "suppressed")
_STAMPS = ("set_time", "set_by")


def changed(document: Mapping[str, Any], patch: Mapping[str, Any], when: int, author: str) -> dict[str, Any]:
    """Return a profile after a patch without violations, accepted at `when` (microseconds since 1970) from `author`."""
    after = merge(document, patch)
    for name in _STAMPED:
        if isinstance(patch.get(name), list):
            before = document.get(name) or ()
            after[name] = [_stamped(wish, before, when, author) for wish in patch[name]]
    return after


def erased(customer: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is left of a profile after an erasure: the marks of its addresses.

    No change of the profile reaches the marks, so whoever puts one of these addresses there again can't have it used.
    """
    marks = {erasure_mark(customer, c, address) for c, address in (document.get("addresses") or {}).items()}
    return {ERASED: sorted({*marks, *(document.get(ERASED) or ())})}


def _stamped(wish: Mapping[str, Any], before: Any, when: int, author: str) -> dict[str, Any]:
    for known in before:
        if {key: value for key, value in known.items() if key not in _STAMPS} == wish:
            return dict(known)
    return {**wish, "set_time": when, "set_by": author}
