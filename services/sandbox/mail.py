"""Reads a mail as a person would: headers, subject, text and HTML.

Whatever the bytes are, an answer comes: what can't be decoded is replaced, what can't be parsed is left out.
Only charsets of people are used; codecs that are programs (punycode, unicode_escape) are not.
Nothing here is escaped: whoever shows it does that.
"""

import html
import re
from binascii import Error as Base64Error
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message as Mail
from email.parser import BytesParser
from email.policy import compat32

from msgspec import Struct

PREVIEW_LENGTH = 140
_LOOKED_AT = 20_000  # characters: nobody may make us search through a mebibyte of markup
_HEADER_LENGTH = 10_000
_CHARSETS = re.compile(
    r"(utf-?(8|16|32)|(us-)?ascii|iso-?8859|latin|windows-|cp\d|koi8|gb|big5|euc|shift_?jis|iso-2022)"
)
_INVISIBLE = re.compile(r"<(style|script|head|title)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


class Attachment(Struct, frozen=True, gc=False):
    """A part of a mail that is neither its text nor its HTML; size in bytes."""

    name: str
    type: str
    size: int


class Content(Struct, frozen=True):
    """What a mail says; `text` and `html` are None when it has no such part."""

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]

    def header(self, name: str) -> str:
        """Return the first header of this name, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def preview(self) -> str:
        """The beginning of the text in one line."""
        text = self.text
        if text is None:
            text = html.unescape(_TAG.sub(" ", _INVISIBLE.sub(" ", (self.html or "")[:_LOOKED_AT])))
        return " ".join(text[:_LOOKED_AT].split())[:PREVIEW_LENGTH]


def read(raw: bytes) -> Content:
    """Read the bytes of a mail."""
    try:
        mail = BytesParser(policy=compat32).parsebytes(raw)
    except RecursionError:  # parts in parts in parts, a thousand deep
        mail = BytesParser(policy=compat32).parsebytes(raw, headersonly=True)
        return Content(_headers(mail), None, None, ())
    text: str | None = None
    markup: str | None = None
    attachments: list[Attachment] = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        attached = part.get_content_disposition() == "attachment"
        if kind == "text/plain" and text is None and not attached:
            text = _decoded(part)
        elif kind == "text/html" and markup is None and not attached:
            markup = _decoded(part)
        else:
            attachments.append(Attachment(_shown(part.get_filename() or ""), kind, len(_payload(part))))
    return Content(_headers(mail), text, markup, tuple(attachments))


def left_part(message_id: str) -> str:
    """Return what stands before the @ of a Message-ID: Clarion's idempotency key."""
    return message_id.strip().strip("<>").rpartition("@")[0]


def clean(text: str) -> str:
    """Make text that came as bytes of unknown charset fit for UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _headers(mail: "Mail[str, str]") -> tuple[tuple[str, str], ...]:
    return tuple((clean(name), _shown(value)) for name, value in mail.raw_items())


def _shown(value: str) -> str:
    flat = clean("".join(str(value).splitlines()))[:_HEADER_LENGTH].strip()
    if "=?" not in flat:
        return flat
    try:
        return clean(str(make_header(decode_header(flat))))
    except (HeaderParseError, Base64Error, LookupError, ValueError):
        return flat


def _payload(part: "Mail[str, str]") -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decoded(part: "Mail[str, str]") -> str:
    charset = part.get_content_charset("utf-8")
    if not _CHARSETS.match(charset):
        charset = "utf-8"
    try:
        text = _payload(part).decode(charset, "replace")
    except (LookupError, ValueError):
        text = _payload(part).decode("utf-8", "replace")
    return clean(text.replace("\r\n", "\n"))
