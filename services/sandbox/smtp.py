"""The pretend mail provider: an SMTP server that records each message before it answers.

Faults are met after the final dot, where a real provider decides. A message that is too large, or whose lines are
too long, is refused by the protocol itself and only counted.
Drain: messages under way get their answer, then connections are closed.
"""

import asyncio
import logging
import socket
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.common.clock import Clock, iso
from services.common.lifecycle import CannotListenError
from services.sandbox import mail, metrics
from services.sandbox.faults import Fault, FaultKind, Faults
from services.sandbox.message import Answer, Message
from services.sandbox.store import Store

MAX_MESSAGE_BYTES = 1_048_576
_NAME = "clarion-sandbox"
_IDLE_SECONDS = 300.0
_DRAIN_SECONDS = 3.0
_PROTOCOL_REFUSALS = {"552 ": Answer.TOO_LARGE, "500 Line too long": Answer.REFUSED}
_OTHERWISE = {
    FaultKind.REFUSE: (Answer.REFUSED, "550 5.1.1 Fault of the sandbox: no such mailbox"),
    FaultKind.TRY_LATER: (Answer.TRY_LATER, "451 4.3.2 Fault of the sandbox: try again later"),
    FaultKind.RATE_LIMIT: (Answer.RATE_LIMITED, "421 4.7.0 Fault of the sandbox: too many messages, closing"),
    FaultKind.ACCEPT_THEN_DROP: (Answer.ACCEPTED_UNANSWERED, ""),
}
_AS_USUAL = {FaultKind.STALL: Answer.ACCEPTED_LATE, FaultKind.ANSWER_TWICE: Answer.ACCEPTED_TWICE}
_log = structlog.get_logger()


class SmtpServer:
    """Listens for mail and records it."""

    def __init__(self, store: Store, faults: Faults, clock: Clock) -> None:
        self._store = store
        self._faults = faults
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed = asyncio.Event()
        self._failure: OSError | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the address; raise CannotListenError when the port is taken."""
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's: it quotes what clients send
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=512)
        except OSError as error:
            raise CannotListenError(f"{host}:{port}") from error
        address: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return address

    @property
    def listening(self) -> bool:
        """Whether the server answers."""
        return self._server is not None and self._server.is_serving()

    async def broken(self) -> None:
        """Wait until messages can no longer be recorded, and raise why: an OSError."""
        await self._failed.wait()
        if self._failure:
            raise self._failure

    async def drain(self) -> None:
        """Take no new connections, answer what is under way, close all."""
        if self._server is None:
            return
        self._server.close()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("left messages without an answer", messages=self._under_way)
        tasks = [connection.hang_up() for connection in tuple(self._connections)]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def handle_DATA(self, connection: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Record a message and answer as the fault that it meets demands."""
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._answered(connection, envelope)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def handle_exception(self, error: Exception) -> str:
        """Answer what aiosmtpd could not read; the answer and the log hold nothing of the client's bytes."""
        _log.warning("could not read a command", error=type(error).__name__)
        return "500 5.5.2 Error: bad syntax"

    async def _answered(self, connection: SMTP, envelope: Envelope) -> str:
        raw = bytes(envelope.original_content or b"")
        content = mail.read(raw)
        to = tuple(mail.clean(address) for address in envelope.rcpt_tos)
        message_id = content.header("Message-ID")
        fault = self._faults.meet("email", to, message_id or raw.hex())
        number = self._store.next_number
        answer, reply = _answer(fault, number)
        message = Message(
            number=number,
            receive_time=iso(self._clock.now()),
            channel="email",
            sender=mail.clean(envelope.mail_from or ""),
            to=to,
            subject=content.header("Subject"),
            preview=content.preview,
            message_id=message_id,
            idempotency_key=mail.left_part(message_id),
            customer=content.header("X-Clarion-Customer"),
            size=len(raw),
            answer=answer,
            accepted=answer.accepted,
            reply=reply,
        )
        try:
            self._store.record(message, raw)
        except OSError as error:  # what can't be recorded must not be accepted, and nothing later can be
            self._failure = error
            self._failed.set()
            return "451 4.3.0 The sandbox can't write the message"
        metrics.MESSAGES.labels("email", answer).inc()
        return await _given(connection, fault, reply)

    def _connection(self) -> "_Connection":
        return _Connection(self, self._connections)


class _Connection(SMTP):
    """One connection of a client."""

    def __init__(self, server: SmtpServer, all_connections: set["_Connection"]) -> None:
        super().__init__(
            server,
            data_size_limit=MAX_MESSAGE_BYTES,
            enable_SMTPUTF8=True,
            hostname=_NAME,
            ident="Clarion sandbox",
            timeout=_IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
        )
        self._all = all_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the connections that a drain closes."""
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self._all.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Leave them."""
        self._all.discard(self)
        super().connection_lost(error)

    async def push(self, status: Any) -> None:
        """Count what the protocol refuses on its own, and send the line."""
        for beginning, answer in _PROTOCOL_REFUSALS.items():
            if isinstance(status, str) and status.startswith(beginning):
                metrics.MESSAGES.labels("email", answer).inc()
        await super().push(status)

    def hang_up(self) -> asyncio.Task[None]:
        """Close the connection; the task that is returned ends with it."""
        if self.transport is not None:
            self.transport.close()
        assert self._handler_coroutine is not None  # noqa: S101  # made in connection_made
        return self._handler_coroutine


def _answer(fault: Fault | None, number: int) -> tuple[Answer, str]:
    """Decide what a message is answered: what it is called, and the line on the wire."""
    if fault and fault.kind in _OTHERWISE:
        return _OTHERWISE[fault.kind]
    return _AS_USUAL[fault.kind] if fault else Answer.ACCEPTED, f"250 2.0.0 Ok: recorded as {number}"


async def _given(connection: SMTP, fault: Fault | None, reply: str) -> str:
    """Do what a fault does to the connection, and return the line that is still to be sent."""
    if fault is None:
        return reply
    match fault.kind:
        case FaultKind.STALL:
            await asyncio.sleep(fault.seconds)
        case FaultKind.ANSWER_TWICE:
            return f"{reply}\r\n{reply}"
        case FaultKind.RATE_LIMIT:
            await connection.push(reply)
            await _closed(connection)
        case FaultKind.ACCEPT_THEN_DROP:
            await _closed(connection)
        case FaultKind.REFUSE | FaultKind.TRY_LATER:
            pass
    return reply


async def _closed(connection: SMTP) -> None:
    """Close the connection and wait until that cancels the task we are in, so that nothing is sent any more."""
    if connection.transport is not None:
        connection.transport.close()
    await asyncio.Event().wait()
