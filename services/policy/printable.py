"""What people are shown of texts that others wrote: nothing in them may steer a terminal.

Control characters, line separators that only some programs know, and what turns the direction of writing become
blanks. All else stays, so that a message looks as its customer would see it.
"""

import re
from typing import Final

_STEERING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_STEERING_IN_LINES: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return one line of a text, as long as it was."""
    return _STEERING.sub(" ", text)


def printable_lines(text: str) -> str:
    """Return a text of several lines; its line ends and tabs stay."""
    return _STEERING_IN_LINES.sub(" ", text)
