"""What a door says of a message, in the words of the line of JSON that it was made from.

The door speaks of the wire: `audience.customers.ids[0]`, `POINT`. Who wrote the line has never seen these.
"""

import difflib
import re

from services.policy.profiles import PROFILE_KEYS

_FIELDS = (
    ("audience.customers.ids", "audience.customers"),
    ("data_content_type", "datacontenttype"),
    ("expire_time", "expirytime"),
    ("merge_patch", "the line"),
)
# Fields whose values are words that the wire writes in capitals.
_WORDS = frozenset({"lifecycle", "severity"})
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b")
_UNKNOWN_KEY = "is not a key of a profile"


def as_in_the_line(field: str, description: str) -> tuple[str, str]:
    """Return field and description of a violation as the line names them."""
    words = _CAPITALS.sub(lambda found: found[0].lower(), description) if field in _WORDS else description
    if words == _UNKNOWN_KEY and (near := difflib.get_close_matches(field, PROFILE_KEYS, 1)):
        words = f"{words} (did you mean {near[0]}?)"
    for wire, line in _FIELDS:
        field, words = field.replace(wire, line), words.replace(wire, line)
    return field, words
