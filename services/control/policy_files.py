"""The event, the customer and the data that a command about policies is given: each one JSON value of bounded size.

They are taken as the doors take JSON: what readers could read differently is refused. A mistake that has a place is
told with it.
"""

import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.common.strict_json import JsonMistake, parse
from services.control.errors import ClarionError
from services.policy.documents import Document
from services.policy.documents import read as read_document
from services.policy.printable import printable_lines

FILE_LIMIT: Final = 1 << 16


class File(NamedTuple):
    """A file by the name that a person gave it."""

    name: str
    content: bytes


def read_json(name: str) -> File:
    """Read a file, `-` for stdin; no more of it than it may have. Raises ClarionError and OSError."""
    if name == "-":
        name = "stdin"
        content = sys.stdin.buffer.read(FILE_LIMIT + 1) if sys.stdin is not None else b""
    else:
        with Path(name).open("rb") as opened:
            content = opened.read(FILE_LIMIT + 1)
    if len(content) > FILE_LIMIT:
        raise ClarionError(f"{name} has more than {FILE_LIMIT} bytes")
    return File(name, content)


def document(file: tuple[str, bytes]) -> Document:
    """Return JSON with its places; raise ClarionError when it is not JSON as the doors take it."""
    found = read_document(*file)
    if found.mistakes:
        raise ClarionError(printable_lines("\n".join(str(mistake) for mistake in sorted(found.mistakes))))
    value(file)
    return found


def value(file: tuple[str, bytes]) -> Any:
    """Return what JSON says; raise ClarionError when it is not JSON as the doors take it."""
    name, content = file
    try:
        return parse(content)
    except JsonMistake as error:
        raise ClarionError(f"{name} {error}") from None
