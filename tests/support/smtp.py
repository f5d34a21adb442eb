"""A real SMTP server on loopback whose faults a test chooses; keeps each message as the bytes that came."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CERTIFICATE = Path(__file__).parent / "tls" / "localhost.pem"
"""A certificate and its key for localhost, for tests only."""


@dataclass
class Mailbox:
    """What the server got, and what it does: `answers` by command, "drop" closes the connection instead."""

    port: int = 0
    contents: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    open_ones: list["_Server"] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._answer(server, "MAIL", "250 2.1.0 sender ok")

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answer(server, "RCPT", "250 2.1.5 recipient ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        assert isinstance(envelope.original_content, bytes)
        self.contents.append(envelope.original_content)
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        return await self._answer(server, "DATA", "250 2.0.0 queued")

    async def _answer(self, server: SMTP, command: str, usual: str) -> str:
        answer = self.answers.get(command, usual)
        if answer == "stall":
            await self.stalled.wait()
            return usual
        if answer == "drop" and server.transport is not None:
            server.transport.close()
        return answer

    def hang_up(self) -> None:
        """Close all connections, as a server does with idle ones."""
        for server in self.open_ones:
            if server.transport is not None:
                server.transport.close()


class _Server(SMTP):
    def __init__(self, mailbox: Mailbox, **options: Any) -> None:
        super().__init__(mailbox, hostname="mail.test", **options)
        mailbox.connections += 1
        mailbox.open_ones.append(self)


@asynccontextmanager
async def running_mailbox(
    *, start_tls: bool = False, tls: bool = False, login: tuple[str, str] | None = None
) -> AsyncIterator[Mailbox]:
    """Run a server on a free port."""
    mailbox = Mailbox()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    options: dict[str, Any] = {"tls_context": context, "require_starttls": True} if start_tls else {}
    if login is not None:
        wanted = LoginPassword(login[0].encode(), login[1].encode())
        options |= {
            "authenticator": lambda _server, _session, _envelope, _mechanism, data: AuthResult(success=data == wanted),
            "auth_required": True,
            "auth_require_tls": start_tls,
        }
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Server(mailbox, **options), "127.0.0.1", 0, ssl=context if tls else None)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        mailbox.stalled.set()
        server.close()
        mailbox.hang_up()
        await _end([one._handler_coroutine for one in mailbox.open_ones])


async def _end(conversations: list[asyncio.Task[None] | None]) -> None:
    """End what the server still waits for: a failed handshake leaves it waiting."""
    tasks = [task for task in conversations if task is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
