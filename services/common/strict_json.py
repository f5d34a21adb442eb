"""JSON as every door takes it.

What parsers read differently is refused: a key given twice, NaN and infinity, numbers beyond 64 bits, text that is
not UTF-8 or not Unicode, deep nesting. So whoever reads the accepted bytes later, in any language, reads the same.
"""

import json
from typing import Any

import msgspec

MAX_DEPTH = 32

_LARGEST = 2**63 - 1
_SMALLEST = -(2**63)


class JsonMistake(ValueError):  # noqa: N818  # it is the writer's mistake, not ours
    """Why bytes are not JSON that every reader understands alike; the sentence quotes no values."""


def parse(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value that the bytes say; raise JsonMistake when readers could disagree about it."""
    try:
        value = msgspec.json.decode(data)
        if data.count(b"[") + data.count(b"{") > max_depth:  # else it can't be that deep
            _check_depth(value, max_depth, max_depth)
        # msgspec keeps the last of two equal keys without a word, so a second reader looks for them.
        _READER.decode(data.decode())
    except JsonMistake:
        raise
    except UnicodeDecodeError as error:
        raise JsonMistake(f"is not UTF-8 (byte {error.start} of a text)") from None
    except msgspec.MsgspecError as error:
        raise JsonMistake(f"is not JSON: {_place_only(error)}") from None
    except RecursionError:
        raise JsonMistake(f"is nested deeper than {max_depth} levels") from None
    except ValueError:
        raise JsonMistake("is not JSON") from None
    return value


def _check_depth(value: Any, left: int, allowed: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise JsonMistake(f"is nested deeper than {allowed} levels")
    for member in value.values() if isinstance(value, dict) else value:
        _check_depth(member, left - 1, allowed)


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise JsonMistake("has a key twice in one object")


def _whole(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _LARGEST + 1  # noqa: PLR2004  # more digits than 64 bits can have
    if not _SMALLEST <= number <= _LARGEST:
        raise JsonMistake("has a whole number beyond 64 bits")
    return number


def _place_only(error: msgspec.MsgspecError) -> str:
    text = str(error).removeprefix("JSON is malformed: ")
    return text.split(" - at ")[0].lower()


_READER = json.JSONDecoder(object_pairs_hook=_distinct, parse_int=_whole)
