"""The email channel against a real SMTP server on loopback: what goes over the wire, and what each fault means."""

import asyncio
import email
import ssl
from contextlib import closing
from email.message import EmailMessage
from email.policy import default
from socket import create_server
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.senders.channels.email import Email, Server
from services.senders.message import Letter, Message
from services.senders.outcome import Kind, Outcome, Reason
from tests.support.sending import START
from tests.support.smtp import CERTIFICATE, Mailbox, running_mailbox

TAKEN = Outcome(Kind.ACCEPTED, Reason.TAKEN, code="250 2.0.0")


def letter(**changes: object) -> Letter:
    fields: dict[str, object] = {
        "name": "abcd",
        "thread": "efgh",
        "address": "ana@example.org",
        "headline": "Your order is on its way",
        "text": "Hello,\n\nyour order left our house today.\n",
        "html": "<p>Hello,</p>\n<p>your order left our house today.</p>\n",
        "time": START,
        **changes,
    }
    return Letter(**fields)  # type: ignore[arg-type]


def channel(port: int, **changes: object) -> Email:
    fields: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "messages@northwind.example",
        "sender_name": "Northwind",
        "timeout": 5.0,
        **changes,
    }
    return Email(Server(**fields))  # type: ignore[arg-type]


def composed(made: Email, **changes: object) -> Message:
    message = made.compose(letter(**changes))
    assert isinstance(message, Message)
    return message


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def assert_fit_for_the_wire(content: bytes) -> None:
    assert content.isascii()
    assert content.endswith(b"\r\n")
    for line in content.split(b"\r\n"):
        assert len(line) <= 998
        assert not set(line) & {0, 10, 13}


async def one_try(mailbox: Mailbox, **changes: object) -> Outcome:
    made = channel(mailbox.port, **changes)
    try:
        return await made.send(composed(made), "abcd")
    finally:
        await made.close()


async def test_a_mail_arrives_byte_for_byte() -> None:
    async with running_mailbox() as mailbox:
        assert await one_try(mailbox) == TAKEN
    assert mailbox.envelopes == [("messages@northwind.example", ["ana@example.org"])]
    expected = (
        b"From: Northwind <messages@northwind.example>\r\n"
        b"To: ana@example.org\r\n"
        b"Subject: Your order is on its way\r\n"
        b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"
        b"Message-ID: <abcd@northwind.example>\r\n"
        b"References: <efgh@northwind.example>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative; boundary="=_abcd"\r\n'
        b"\r\n"
        b"--=_abcd\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello,\r\n\r\nyour order left our house today.\r\n\r\n"
        b"--=_abcd\r\n"
        b'Content-Type: text/html; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"<p>Hello,</p>\r\n<p>your order left our house today.</p>\r\n\r\n"
        b"--=_abcd--\r\n"
    )
    assert mailbox.contents == [expected]


async def test_umlauts_long_lines_and_dots_arrive_as_they_were_written() -> None:
    text = "Grüße aus Köln\n.\n..\n.dot\nFrom here\n" + "lang " * 500 + "\n" + "ü" * 3000 + "\n漢字 👩‍👩‍👧\n"
    headline = "Stromausfall in Mühlheim: " + "wir arbeiten daran " * 12 + "👩‍👩‍👧"
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        message = composed(made, text=text, html=f"<p>{text}</p>\n", headline=headline)
        assert await made.send(message, "abcd") == TAKEN
        await made.close()
    assert_fit_for_the_wire(mailbox.contents[0])
    mail = parsed(mailbox.contents[0])
    assert mail["Subject"] == headline
    assert body(mail, "plain") == text
    assert body(mail, "html") == f"<p>{text}</p>\n"
    assert all(len(line) <= 78 for line in mailbox.contents[0].split(b"\r\n\r\n")[0].split(b"\r\n"))


async def test_lines_that_begin_with_a_dot_neither_vanish_nor_end_the_mail() -> None:
    text = ".\n..\n.dot\nFrom here\n\n.\n"
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        assert await made.send(composed(made, text=text), "abcd") == TAKEN
        await made.close()
    assert b"\r\n.\r\n..\r\n.dot\r\n" in mailbox.contents[0]
    assert body(parsed(mailbox.contents[0]), "plain") == text


@pytest.mark.parametrize("broken", ["\r\n", "\n", "\r", "\x00", "\x0b", "\u2028", "\u0085"])
async def test_a_headline_cannot_add_a_header(broken: str) -> None:
    made = channel(1)
    content = composed(made, headline=f"Hello{broken}Bcc: eve@example.org").content
    assert_fit_for_the_wire(content)
    assert parsed(content).keys() == parsed(composed(made).content).keys()
    assert parsed(content)["Subject"] == "Hello Bcc: eve@example.org"


async def test_marks_of_direction_are_not_shown_in_a_headline() -> None:
    content = composed(channel(1), headline="Pay \u202eevil\u202c now\u200b").content
    assert parsed(content)["Subject"] == "Pay evil now"


async def test_a_headline_that_looks_encoded_stays_as_it_is() -> None:
    content = composed(channel(1), headline="=?utf-8?q?free?= money").content
    assert parsed(content)["Subject"] == "=?utf-8?q?free?= money"


async def test_control_characters_are_left_out_of_the_text() -> None:
    content = composed(channel(1), text="a\x00b\x07c\td\r\ne\rf\n").content
    assert body(parsed(content), "plain") == "abc\td\ne\nf\n"


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.org\r\nRCPT TO:<eve@example.org>",
        "ana@example.org>\r\nDATA",
        "ana@example.org, eve@example.org",
        "Ana <ana@example.org>",
        "ana@example.org SIZE=1",
        '"a b"@example.org',
        "ana",
        "@example.org",
        "ana@",
        "änä@example.org",
        "a" * 250 + "@example.org",
        "ana@exam\x00ple.org",
    ],
)
async def test_what_is_not_one_plain_address_is_refused_without_a_call(address: str) -> None:
    assert channel(1).compose(letter(address=address)) == Outcome(Kind.REJECTED, Reason.BAD_ADDRESS, hard=True)


async def test_a_domain_of_another_script_goes_in_its_ascii_form() -> None:
    assert composed(channel(1), address="ana@bücher.example").address == "ana@xn--bcher-kva.example"


@pytest.mark.parametrize("changes", [{"headline": "\ud800"}, {"text": "\ud800"}, {"headline": "x" * 2000}])
async def test_what_is_no_text_is_a_render_error(changes: dict[str, str]) -> None:
    assert channel(1).compose(letter(**changes)) == Outcome(Kind.REJECTED, Reason.RENDER_ERROR)


async def test_the_same_send_makes_the_same_bytes() -> None:
    assert composed(channel(1), text="ü") == composed(channel(1), text="ü")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_is_written_fits_the_wire(headline: str, text: str) -> None:
    made = channel(1).compose(letter(headline=headline, text=text, html=text))
    if isinstance(made, Message):
        assert_fit_for_the_wire(made.content)
        assert len(parsed(made.content).keys()) == 9
        assert body(parsed(made.content), "plain") == as_shown(text)


def as_shown(text: str) -> str:
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(each for each in unified if each in "\n\t" or category(each) != "Cc")


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        (
            "RCPT",
            "550 5.1.1 no such mailbox",
            Outcome(Kind.REJECTED, Reason.ADDRESS_REFUSED, hard=True, code="550 5.1.1"),
        ),
        ("RCPT", "451 4.7.1 greylisted", Outcome(Kind.RETRY, Reason.TRY_LATER, code="451 4.7.1")),
        ("MAIL", "550 5.7.1 not you", Outcome(Kind.REJECTED, Reason.MESSAGE_REFUSED, code="550 5.7.1")),
        ("DATA", "554 5.6.0 spam", Outcome(Kind.REJECTED, Reason.MESSAGE_REFUSED, code="554 5.6.0")),
        ("DATA", "452 4.3.1 full", Outcome(Kind.RETRY, Reason.TRY_LATER, code="452 4.3.1")),
        ("MAIL", "drop", Outcome(Kind.RETRY, Reason.CONNECTION_LOST)),
        ("RCPT", "drop", Outcome(Kind.RETRY, Reason.CONNECTION_LOST)),
        ("DATA", "drop", Outcome(Kind.UNKNOWN, Reason.CONNECTION_LOST)),
        ("MAIL", "stall", Outcome(Kind.RETRY, Reason.NO_ANSWER)),
        ("RCPT", "stall", Outcome(Kind.RETRY, Reason.NO_ANSWER)),
        ("DATA", "stall", Outcome(Kind.UNKNOWN, Reason.NO_ANSWER)),
    ],
)
async def test_each_fault_has_its_outcome(command: str, answer: str, expected: Outcome) -> None:
    async with running_mailbox() as mailbox:
        mailbox.answers = {command: answer}
        assert await one_try(mailbox, timeout=0.3 if answer == "stall" else 5.0) == expected


async def test_nobody_there_is_tried_again() -> None:
    with closing(create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    made = channel(port)
    assert await made.send(composed(made), "abcd") == Outcome(Kind.RETRY, Reason.NO_CONNECTION)


async def test_a_server_that_never_greets_is_tried_again() -> None:
    with closing(create_server(("127.0.0.1", 0))) as silent:
        made = channel(silent.getsockname()[1], timeout=0.2)
        assert await made.send(composed(made), "abcd") == Outcome(Kind.RETRY, Reason.NO_CONNECTION)


async def test_connections_are_kept_and_used_again() -> None:
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        for _ in range(20):
            assert await made.send(composed(made), "abcd") == TAKEN
        assert mailbox.connections == 1
        await asyncio.gather(*(made.send(composed(made), "abcd") for _ in range(8)))
        assert mailbox.connections <= 8
        await made.close()
    assert len(mailbox.contents) == 28


async def test_a_refused_recipient_does_not_spoil_the_connection() -> None:
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        mailbox.answers = {"RCPT": "550 5.1.1 no such mailbox"}
        assert (await made.send(composed(made), "abcd")).kind is Kind.REJECTED
        mailbox.answers = {}
        assert await made.send(composed(made), "abcd") == TAKEN
        assert mailbox.connections == 1
        await made.close()


async def test_a_kept_connection_that_the_server_has_closed_is_replaced_at_once() -> None:
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        assert await made.send(composed(made), "abcd") == TAKEN
        mailbox.hang_up()
        assert await made.send(composed(made), "abcd") == TAKEN
        mailbox.answers = {"MAIL": "421 4.4.2 idle too long"}
        again = asyncio.gather(made.send(composed(made), "abcd"))
        assert (await again)[0] == Outcome(Kind.RETRY, Reason.TRY_LATER, code="421 4.4.2")
        assert mailbox.connections == 3
        await made.close()


async def test_a_connection_lost_after_the_final_dot_is_not_tried_again_by_itself() -> None:
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        assert await made.send(composed(made), "abcd") == TAKEN
        mailbox.answers = {"DATA": "drop"}
        assert (await made.send(composed(made), "abcd")).kind is Kind.UNKNOWN
        await made.close()
    assert len(mailbox.contents) == 2


async def test_an_answer_given_twice_costs_a_connection_and_never_a_message() -> None:
    async with running_mailbox() as mailbox:
        made = channel(mailbox.port)
        mailbox.answers = {"DATA": "250 2.0.0 queued\r\n250 2.0.0 queued"}
        found = [await made.send(composed(made), "abcd") for _ in range(4)]
        await made.close()
    assert found == [TAKEN, Outcome(Kind.RETRY, Reason.CONNECTION_LOST)] * 2
    assert len(mailbox.contents) == 2


async def test_mail_goes_over_starttls_with_a_login() -> None:
    trusted = ssl.create_default_context(cafile=CERTIFICATE)
    async with running_mailbox(start_tls=True, login=("northwind", "secret")) as mailbox:
        secure = {"start_tls": True, "tls_context": trusted, "username": "northwind"}
        assert await one_try(mailbox, **secure, password="secret") == TAKEN  # noqa: S106  # of a test's server
        refused = await one_try(mailbox, **secure, password="wrong")  # noqa: S106  # of a test's server
    assert (refused.kind, refused.reason) == (Kind.RETRY, Reason.NO_CONNECTION)
    assert len(mailbox.contents) == 1


async def test_mail_goes_over_tls_from_the_first_byte() -> None:
    trusted = ssl.create_default_context(cafile=CERTIFICATE)
    async with running_mailbox(tls=True) as mailbox:
        assert await one_try(mailbox, use_tls=True, tls_context=trusted) == TAKEN


@pytest.mark.parametrize("kind", ["use_tls", "start_tls"])
async def test_a_server_that_cannot_prove_its_name_gets_nothing(kind: str) -> None:
    async with running_mailbox(tls=kind == "use_tls", start_tls=kind == "start_tls") as mailbox:
        found = await one_try(mailbox, **{kind: True, "tls_context": ssl.create_default_context()})
    assert found == Outcome(Kind.RETRY, Reason.NO_CONNECTION)
    assert mailbox.contents == []
