"""Email over SMTP, with connections that are kept open.

The conversation is led command by command, since its step tells what a lost connection means: before the final dot
the message was certainly not taken, after it nobody knows.
A message has text and HTML of the same content. It is plain ASCII on the wire, so that every server takes it as it is;
for the same send it is the same to the byte. Nothing that comes from events or customers can add a header:
the header block is made here, line by line, from checked or encoded values.
"""

import asyncio
import re
import ssl
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from unicodedata import category

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException
from msgspec import Struct

from services.senders import outcome
from services.senders.channels.addresses import on_the_wire
from services.senders.message import Letter, Message
from services.senders.outcome import Kind, Outcome, Phase, Reason

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNFIT = re.compile(rb"\x00|\r(?!\n)|(?<!\r)\n")
_LONGEST_LINE = 998
_LONGEST_PLAIN_LINE = 76
_MESSAGES_A_CONNECTION = 500
_IDLE_SECONDS = 20.0
_GO_ON = 3
_REFUSALS = (4, 5)
_JOINERS = "\u200c\u200d"


class Server(Struct, frozen=True):
    """The SMTP server to hand messages to, and the sender's address; no TLS context: plain text."""

    host: str
    port: int
    sender: str
    timeout: float
    start_tls: bool = False
    use_tls: bool = False
    tls_context: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = None
    sender_name: str = ""

    @property
    def domain(self) -> str:
        """What the sender's Message-IDs end in, and the name it greets with."""
        return self.sender.rpartition("@")[2]


class _Connection:
    """One open conversation; `phase` is the command whose answer is awaited."""

    def __init__(self, smtp: aiosmtplib.SMTP) -> None:
        self.smtp = smtp
        self.phase = Phase.CONNECT
        self.sent = 0
        self.idle_since = 0.0


class Email:
    """The email channel."""

    provider = "smtp"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle: list[_Connection] = []

    def compose(self, letter: Letter) -> Message | Outcome:
        """Make the bytes of the mail; a recipient that can't stand in a mail's header is refused."""
        address = on_the_wire(letter.address)
        if address is None:
            return Outcome(Kind.REJECTED, Reason.BAD_ADDRESS, hard=True)
        try:
            content = mail(letter, address, self._server)
        except UnicodeError:  # a lone surrogate, which JSON can hold and no mail can
            return Outcome(Kind.REJECTED, Reason.RENDER_ERROR)
        return Message(address, content) if _fits_the_wire(content) else Outcome(Kind.REJECTED, Reason.RENDER_ERROR)

    async def send(self, message: Message, idempotency_key: str) -> Outcome:
        """Hand a mail to the server; SMTP has no idempotency, the key is the left part of the Message-ID already."""
        _ = idempotency_key
        connection = self._kept()
        if connection is not None:
            result = await self._converse(connection, message)
            if not _went_stale(connection, result):
                return result
        return await self._converse(self._new(), message)

    async def close(self) -> None:
        """Leave the server."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.smtp.close()

    async def _converse(self, connection: _Connection, message: Message) -> Outcome:
        smtp = connection.smtp
        try:
            async with asyncio.timeout(self._server.timeout), self._closing(connection):
                if not smtp.is_connected:
                    await smtp.connect()
                    if smtp.is_ehlo_or_helo_needed:
                        await smtp.ehlo()
                return await self._transact(connection, message)
        except SMTPResponseException as error:
            return outcome.of_answer(connection.phase, error.code, error.message)
        except TimeoutError:
            return outcome.of_break(connection.phase, timed_out=True)
        except (SMTPException, OSError):
            return outcome.of_break(connection.phase, timed_out=False)

    async def _transact(self, connection: _Connection, message: Message) -> Outcome:
        """Lead one mail transaction; raise what goes wrong with the connection."""
        smtp = connection.smtp
        try:
            connection.phase = Phase.MAIL
            await smtp.mail(self._server.sender)
            connection.phase = Phase.RCPT
            await smtp.rcpt(message.address)
        except SMTPResponseException as error:
            return await self._refused(connection, error.code, error.message)
        connection.phase = Phase.DATA
        answer = await smtp.execute_command(b"DATA")
        if answer.code // 100 != _GO_ON:
            return await self._refused(connection, answer.code, answer.message)
        protocol = smtp.protocol
        if protocol is None:
            return outcome.of_break(Phase.DATA, timed_out=False)
        protocol.write(_dotted(message.content))
        connection.phase = Phase.BODY
        answer = await protocol.read_response(timeout=self._server.timeout)
        result = outcome.of_answer(Phase.BODY, answer.code, answer.message)
        if result.kind is Kind.UNKNOWN:
            smtp.close()
        else:
            self._keep(connection)
        return result

    async def _refused(self, connection: _Connection, code: int, text: str) -> Outcome:
        """Judge a refusal and clear the transaction, so that the connection can serve the next one.

        An answer that is no refusal belongs to something else: the server and we are out of step.
        """
        result = outcome.of_answer(connection.phase, code, text)
        if code // 100 not in _REFUSALS:
            connection.smtp.close()
            return result
        try:
            await connection.smtp.rset()
        except (SMTPException, OSError):
            connection.smtp.close()
        else:
            self._keep(connection)
        return result

    def _new(self) -> _Connection:
        server = self._server
        return _Connection(
            aiosmtplib.SMTP(
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                local_hostname=server.domain,
                timeout=server.timeout,
                use_tls=server.use_tls,
                start_tls=server.start_tls,
                tls_context=server.tls_context,
            ),
        )

    def _kept(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.smtp.is_connected and now - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.smtp.close()
        return None

    def _keep(self, connection: _Connection) -> None:
        connection.sent += 1
        connection.idle_since = asyncio.get_running_loop().time()
        if connection.sent < _MESSAGES_A_CONNECTION and connection.smtp.is_connected:
            self._idle.append(connection)
        else:
            connection.smtp.close()

    @asynccontextmanager
    async def _closing(self, connection: _Connection) -> AsyncIterator[None]:
        """Close the connection whenever the conversation does not end as it should, also when it is cancelled."""
        try:
            yield
        except BaseException:
            connection.smtp.close()
            raise


def _went_stale(connection: _Connection, result: Outcome) -> bool:
    """Tell whether a kept connection turned out to be closed: servers do that, and it says nothing of the message."""
    closed = result.reason is Reason.CONNECTION_LOST or result.code.startswith("421")
    return connection.phase is Phase.MAIL and closed


def mail(letter: Letter, address: str, server: Server) -> bytes:
    """Return a mail as it goes over the wire, before dots are doubled; raise UnicodeError for what is no text."""
    domain = server.domain
    headers = (
        ("From", formataddr((server.sender_name, server.sender))),
        ("To", address),
        ("Subject", _subject(letter.headline)),
        ("Date", format_datetime(datetime.fromtimestamp(letter.time // 1_000_000, UTC))),
        ("Message-ID", f"<{letter.name}@{domain}>"),
        ("References", f"<{letter.thread}@{domain}>"),
        ("Auto-Submitted", "auto-generated"),
    )
    boundary = f"=_{letter.name}"
    lines = [
        *(f"{name}: {value}" for name, value in headers),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        *_part(boundary, "plain", letter.text),
        *_part(boundary, "html", letter.html),
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


def _part(boundary: str, subtype: str, text: str) -> tuple[str, ...]:
    """Return the lines of one part, in the shortest encoding that is plain ASCII with short lines."""
    unified = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    encoding, body = "7bit", unified
    if not unified.isascii() or max(map(len, unified.split("\n"))) > _LONGEST_PLAIN_LINE:
        raw = unified.encode()
        quoted, packed = b2a_qp(raw, istext=True), encodebytes(raw)
        chosen = min(quoted, packed, key=len)
        encoding, body = "quoted-printable" if chosen is quoted else "base64", chosen.decode("ascii")
    return (
        f"--{boundary}",
        f'Content-Type: text/{subtype}; charset="utf-8"',
        f"Content-Transfer-Encoding: {encoding}",
        "",
        body.replace("\n", "\r\n"),
    )


def _subject(headline: str) -> str:
    """Encode a headline as RFC 2047 says; blanks and controls of any kind become one blank, marks of direction none."""
    words = " ".join("".join(map(_shown, headline)).split())
    charset = "us-ascii" if words.isascii() and "=?" not in words else "utf-8"
    return Header(words, charset, header_name="Subject").encode(linesep="\r\n")


def _shown(character: str) -> str:
    """Return what a header shows of a character: joiners hold letters and emoji together, other marks could lie."""
    match category(character):
        case "Cc" | "Zl" | "Zp":
            return " "
        case "Cf" if character not in _JOINERS:
            return ""
        case _:
            return character


def _dotted(content: bytes) -> bytes:
    """Return content with leading dots doubled and the final dot."""
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _fits_the_wire(content: bytes) -> bool:
    """Tell whether all lines end in CRLF and none is too long."""
    lines = content.split(b"\r\n")
    return lines[-1] == b"" and all(len(line) <= _LONGEST_LINE for line in lines) and not _UNFIT.search(content)
