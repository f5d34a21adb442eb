"""Email over SMTP, with connections that are kept open.

The conversation is led command by command, since its step tells what a lost connection means: before the final dot
the message was certainly not taken, after it nobody knows.
A message has text and HTML of the same content. It is plain ASCII on the wire, so that every server takes it as it is;
for the same send it is the same to the byte. Nothing that comes from events or customers can add a header:
the header block is made here, line by line, from checked or encoded values.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, formataddr
from unicodedata import category

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException
from msgspec import Struct

from services.senders import outcome
from services.senders.channels.addresses import on_the_wire
from services.senders.message import Letter, Message
from services.senders.outcome import Kind, Outcome, Phase, Reason

_ASCII_BODIES = SMTP_POLICY.clone(cte_type="7bit")
_LONGEST_LINE = 998
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
    block = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return block.encode("ascii") + _body(letter).as_bytes()


def _body(letter: Letter) -> EmailMessage:
    body = EmailMessage(policy=_ASCII_BODIES)
    body.set_content(_lines(letter.text))
    body.add_alternative(_lines(letter.html), subtype="html")
    body.set_boundary(f"=_{letter.name}")
    return body


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


def _lines(text: str) -> str:
    """Return text whose lines end in one way and that has no control characters but tabs."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in unified if c in "\n\t" or category(c) != "Cc")


def _dotted(content: bytes) -> bytes:
    """Return content with leading dots doubled and the final dot."""
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in content.split(b"\r\n")) + b".\r\n"


def _fits_the_wire(content: bytes) -> bool:
    """Tell whether all lines end in CRLF and none is too long."""
    lines = content.split(b"\r\n")
    return lines[-1] == b"" and all(len(line) <= _LONGEST_LINE and not set(line) & {10, 13, 0} for line in lines)
