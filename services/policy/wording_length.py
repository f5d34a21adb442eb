"""How long the texts of a template come out, estimated: literal text plus a typical length for each printed value.

A headline is one line of a mailbox. A text message is sent in segments, each of which is paid for; one character
outside the alphabet of GSM makes them less than half as long. A push message is cut by the phone.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from services.policy.passages import Reading

HEADLINE: Final = 100
PUSH: Final = 180
SEGMENTS: Final = 3

_TYPICAL: Final[Mapping[str, int]] = {
    "date": 14,
    "time": 8,
    "datetime": 24,
    "money": 10,
    "number": 5,
    "length": 2,
    "phone": 17,
    "join": 40,
}
_PLAIN: Final = 15
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_DOUBLE: Final = frozenset("^{}\\[~]|€\f")
_ONE_SEGMENT: Final = {True: 160, False: 70}
_OF_MANY: Final = {True: 153, False: 67}

Texts = Mapping[str, Sequence[Reading]]


def too_long(texts: Texts, channels: Collection[str]) -> Iterator[tuple[list[str], str]]:
    """Yield keys and what is wrong for each text that its channel would cut or make dear.

    `texts` are the readings of the parts by name; `channels` are those that the rules plan.
    """
    headline = _longest("headline", texts)
    if len(headline) > HEADLINE:
        yield ["headline"], f"{_about(headline)}; a headline has room for {HEADLINE}"
    short = f"{headline}. {_longest('what', texts)} {_longest('action.url', texts)}"
    for channel in ("sms", "push"):
        if channel not in texts and channel not in channels:
            continue
        text = _longest(channel, texts) if channel in texts else short
        keys = [channel] if channel in texts else ["what"]
        parts = segments(text)
        if channel == "sms" and parts > SEGMENTS:
            yield keys, f"{_about(text)}; that is a text message of {parts} segments, more than {SEGMENTS}"
        if channel == "push" and len(text) > PUSH:
            yield keys, f"{_about(text)}; a push message has room for {PUSH}"


def segments(text: str) -> int:
    """Return in how many segments a text message is sent."""
    is_gsm = all(character in _GSM or character in _GSM_DOUBLE for character in text)
    length = sum(2 if character in _GSM_DOUBLE else 1 for character in text) if is_gsm else len(text)
    return 1 if length <= _ONE_SEGMENT[is_gsm] else -(-length // _OF_MANY[is_gsm])


def _about(text: str) -> str:
    return f"about {len(text)} characters with values of usual length"


def _longest(name: str, texts: Texts) -> str:
    """Return the longest way a text can read, values filled up with letters."""
    return max((_filled(reading, texts) for reading in texts.get(name, ())), key=len, default="")


def _filled(reading: Reading, texts: Texts) -> str:
    filled, last = "", 0
    for index, expression in reading.values:
        filled += reading.text[last:index] + _value(expression, texts)
        last = index + 1
    # What is left of VALUE stands for an address of the web, character by character.
    return " ".join((filled + reading.text[last:]).replace("\ufffc", "x").split())


def _value(expression: str, texts: Texts) -> str:
    if expression in texts and re.fullmatch(r"[\w.]+", expression):
        return _longest(expression, texts)
    name = re.search(r"\|\s*(\w+)\s*(?:\([^|]*\))?\s*\Z", expression)
    return "x" * _TYPICAL.get(name[1] if name else "", _PLAIN)
