"""The sandbox as its clients see it: a real process, real SMTP and HTTP over loopback."""

import asyncio
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import aiosmtplib
import httpx2
import psutil
import pytest

from tests.support.sandbox import Sandbox, running_sandbox
from tests.support.waiting import wait_until

FROM = "no-reply@northwind.example"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    httpx2.delete(f"{shared.http}/v1/messages").raise_for_status()
    httpx2.delete(f"{shared.http}/v1/faults").raise_for_status()
    return shared


def mail(key: str = "s1", to: str = "ana@example.com", subject: str = "Your power is back", **headers: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Northwind Power <{FROM}>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = f"<{key}@northwind.example>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Hello Ana,\nthe cut in Mitte is over.\n")
    message.add_alternative("<h1>Hello Ana</h1><p>the cut in <b>Mitte</b> is over</p>", subtype="html")
    message.set_boundary("next-part")
    return message.as_bytes()


def connect(sandbox: Sandbox) -> smtplib.SMTP:
    return smtplib.SMTP(sandbox.smtp_host, sandbox.smtp_port, timeout=10)


def send(sandbox: Sandbox, raw: bytes, to: str = "ana@example.com") -> None:
    with connect(sandbox) as client:
        client.sendmail(FROM, [to], raw)


def get(sandbox: Sandbox, path: str) -> Any:
    return httpx2.get(sandbox.http + path).raise_for_status().json()


def switch_on(sandbox: Sandbox, **fault: object) -> None:
    httpx2.put(f"{sandbox.http}/v1/faults", json=[fault]).raise_for_status()


def counted(sandbox: Sandbox, answer: str) -> float:
    lines = httpx2.get(f"{sandbox.http}/metrics").text.splitlines()
    series = f'clarion_sandbox_messages_total{{answer="{answer}",channel="email"}} '
    return next(float(line.removeprefix(series)) for line in lines if line.startswith(series))


def test_a_mail_is_shown_with_all_that_it_says(sandbox: Sandbox) -> None:
    raw = mail("7h2k", subject="Störung in Mitte", X_Clarion_Customer="ana")
    send(sandbox, raw)
    (listed,) = get(sandbox, "/v1/messages")["messages"]
    whole = get(sandbox, f"/v1/messages/{listed['number']}")
    assert listed["from"] == FROM
    assert listed["to"] == ["ana@example.com"]
    assert listed["subject"] == "Störung in Mitte"
    assert listed["preview"] == "Hello Ana, the cut in Mitte is over."
    assert (listed["channel"], listed["customer"]) == ("email", "ana")
    assert (listed["message_id"], listed["idempotency_key"]) == ("<7h2k@northwind.example>", "7h2k")
    assert (listed["answer"], listed["accepted"]) == ("accepted", True)
    assert listed["reply"] == f"250 2.0.0 Ok: recorded as {listed['number']}"
    assert listed.items() <= whole.items()
    assert whole["text"] == "Hello Ana,\nthe cut in Mitte is over.\n"
    assert "<b>Mitte</b>" in whole["html"]
    assert ["Subject", "Störung in Mitte"] in whole["headers"]
    assert httpx2.get(f"{sandbox.http}/v1/messages/{listed['number']}/raw").content == raw


async def test_many_connections_that_are_kept_open_lose_nothing(sandbox: Sandbox) -> None:
    async def worker(name: int) -> None:
        client = aiosmtplib.SMTP(hostname=sandbox.smtp_host, port=sandbox.smtp_port, start_tls=False)
        async with client:
            for index in range(50):
                await client.sendmail(FROM, ["ana@example.com"], mail(f"w{name}-{index}"))

    process = psutil.Process(sandbox.process.pid)
    before = process.cpu_times().user
    await asyncio.gather(*(worker(name) for name in range(6)))
    each = (process.cpu_times().user - before) / 300
    counts = get(sandbox, "/v1/counts")
    assert (counts["accepted"], counts["distinct_message_ids"], counts["duplicates"]) == (300, 300, 0)
    assert each < 0.003, f"{each * 1000:.1f} ms of CPU a mail: too slow for a few hundred a second"


def test_a_second_mail_of_the_same_id_is_counted_as_a_duplicate(sandbox: Sandbox) -> None:
    for key in ("a", "b", "a"):
        send(sandbox, mail(key))
    counts = get(sandbox, "/v1/counts")
    assert counts == {
        "accepted": 3,
        "refused": 0,
        "distinct_message_ids": 2,
        "duplicates": 1,
        "kept": 3,
        "dropped": 0,
    }


def test_messages_are_found_by_recipient_subject_and_text_newest_first(sandbox: Sandbox) -> None:
    for key, to in (("1", "ana@example.com"), ("2", "ben@example.com"), ("3", "ana@example.com")):
        send(sandbox, mail(key, to, subject=f"Order {key}"), to)

    def keys(query: str) -> list[str]:
        return [message["idempotency_key"] for message in get(sandbox, f"/v1/messages?{query}")["messages"]]

    assert keys("") == ["3", "2", "1"]
    assert keys("to=ANA@") == ["3", "1"]
    assert keys("subject=order+2") == ["2"]
    assert keys("search=mitte&channel=email&accepted=true") == ["3", "2", "1"]
    assert keys("search=nowhere") == []


def test_pages_of_the_list_follow_each_other_without_a_gap(sandbox: Sandbox) -> None:
    for index in range(5):
        send(sandbox, mail(str(index)))
    first = get(sandbox, "/v1/messages?limit=3")
    second = get(sandbox, f"/v1/messages?limit=3&before={first['before']}")
    newest = first["messages"][0]["number"]
    assert [len(first["messages"]), len(second["messages"])] == [3, 2]
    assert first["messages"][-1]["number"] == second["messages"][0]["number"] + 1
    assert (first["total"], second["total"], second["before"]) == (5, 5, None)
    assert get(sandbox, f"/v1/messages?after={newest}")["messages"] == []
    assert get(sandbox, f"/v1/messages?after={newest - 1}")["messages"] == first["messages"][:1]


@pytest.mark.parametrize(
    ("kind", "code", "answer"),
    [("refuse", 550, "refused"), ("try_later", 451, "try_later"), ("rate_limit", 421, "rate_limited")],
)
def test_a_message_that_is_not_taken_gets_its_code(sandbox: Sandbox, kind: str, code: int, answer: str) -> None:
    before = counted(sandbox, answer)
    switch_on(sandbox, kind=kind)
    with pytest.raises(smtplib.SMTPDataError) as error:
        send(sandbox, mail())
    (listed,) = get(sandbox, "/v1/messages")["messages"]
    assert error.value.smtp_code == code
    assert (listed["answer"], listed["accepted"]) == (answer, False)
    assert get(sandbox, "/v1/counts")["refused"] == 1
    assert counted(sandbox, answer) == before + 1


def test_a_rate_limit_closes_the_connection(sandbox: Sandbox) -> None:
    switch_on(sandbox, kind="rate_limit")
    with connect(sandbox) as client:
        client.ehlo()
        client.mail(FROM)
        client.rcpt("ana@example.com")
        assert client.data(mail())[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()


def test_accept_then_drop_records_the_message_and_gives_no_answer(sandbox: Sandbox) -> None:
    switch_on(sandbox, kind="accept_then_drop", times=1)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(sandbox, mail("lost"))
    send(sandbox, mail("lost"))
    second, first = get(sandbox, "/v1/messages")["messages"]
    assert (first["answer"], first["accepted"], first["reply"]) == ("accepted_unanswered", True, "")
    assert second["answer"] == "accepted"
    assert get(sandbox, "/v1/counts")["duplicates"] == 1


def test_a_stalled_message_is_recorded_before_its_late_answer(sandbox: Sandbox) -> None:
    switch_on(sandbox, kind="stall", seconds=0.5)
    started = time.perf_counter()
    with connect(sandbox) as client:
        client.ehlo()
        client.mail(FROM)
        client.rcpt("ana@example.com")
        client.putcmd("data")
        client.getreply()
        client.send(mail("late").replace(b"\n.", b"\n..") + b".\r\n")
        wait_until(lambda: get(sandbox, "/v1/counts")["accepted"] == 1, 5)
        seen = time.perf_counter() - started
        code, _ = client.getreply()
    answered = time.perf_counter() - started
    assert code == 250
    assert seen < answered
    assert answered > 0.5
    assert get(sandbox, "/v1/messages")["messages"][0]["answer"] == "accepted_late"


def test_others_are_served_while_one_connection_stalls(sandbox: Sandbox) -> None:
    switch_on(sandbox, kind="stall", seconds=60, to="ben@")
    stalled = smtplib.SMTP(sandbox.smtp_host, sandbox.smtp_port, timeout=0.3)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        stalled.sendmail(FROM, ["ben@example.com"], mail())
    send(sandbox, mail("2"))
    assert get(sandbox, "/v1/messages?to=ana")["messages"][0]["answer"] == "accepted"


def test_answer_twice_leaves_a_second_answer_on_the_connection(sandbox: Sandbox) -> None:
    switch_on(sandbox, kind="answer_twice")
    client = connect(sandbox)
    client.sendmail(FROM, ["ana@example.com"], mail())
    left_over = client.noop()
    client.close()
    assert left_over[1].startswith(b"2.0.0 Ok: recorded as")
    assert get(sandbox, "/v1/messages")["messages"][0]["answer"] == "accepted_twice"


def test_a_fault_ends_after_its_times_and_says_how_often_it_was_met(sandbox: Sandbox) -> None:
    switch_on(sandbox, kind="try_later", times=2)
    codes = []
    with connect(sandbox) as client:
        for index in range(4):
            client.ehlo()
            client.mail(FROM)
            client.rcpt("ana@example.com")
            codes.append(client.data(mail(str(index)))[0])
    assert codes == [451, 451, 250, 250]
    assert get(sandbox, "/v1/faults")[0]["used"] == 2


def test_a_message_over_one_mebibyte_is_refused_and_counted(sandbox: Sandbox) -> None:
    before = counted(sandbox, "too_large")
    announced = mail() + b"x" * 76 + b"\r\n" * 600_000
    with pytest.raises(smtplib.SMTPSenderRefused) as error:
        send(sandbox, announced)
    with connect(sandbox) as client:
        client.helo()  # no SIZE: the server sees it in the data
        client.mail(FROM)
        client.rcpt("ana@example.com")
        assert client.data(announced)[0] == 552
    assert error.value.smtp_code == 552
    assert counted(sandbox, "too_large") == before + 2
    assert get(sandbox, "/v1/messages")["total"] == 0


def test_garbage_on_the_wire_ends_nothing(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:<")[0] in {500, 501, 553}
        assert client.docmd('MAIL FROM:<"')[1] == b"5.5.2 Error: bad syntax"
        assert client.docmd("ana@example.com\x00 is here")[0] == 500
        client.sendmail(FROM, ["ana@example.com"], b"\x80\xff no headers at all, \x00\r\n")
    (listed,) = get(sandbox, "/v1/messages")["messages"]
    assert get(sandbox, f"/v1/messages/{listed['number']}")["message_id"] == ""
    assert "ana@example.com" not in sandbox.log.read_text()


def test_the_html_of_a_mail_can_run_and_load_nothing(sandbox: Sandbox) -> None:
    raw = mail().replace(b"<h1>", b"<script>fetch('/v1/messages',{method:'DELETE'})</script><h1>")
    send(sandbox, raw)
    (listed,) = get(sandbox, "/v1/messages")["messages"]
    response = httpx2.get(f"{sandbox.http}/v1/messages/{listed['number']}/html")
    policy = [part.strip() for part in response.headers["content-security-policy"].split(";")]
    assert "<script>" in response.text
    assert "sandbox" in policy  # no allow-scripts, no allow-same-origin
    assert "default-src 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    raw_response = httpx2.get(f"{sandbox.http}/v1/messages/{listed['number']}/raw")
    assert raw_response.headers["content-type"].startswith("text/plain")
    assert "sandbox" in raw_response.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('[{"kind": "explode"}]', "[0].kind"),
        ('[{"kind": "refuse", "share": 1.5}]', "[0].share"),
        ('[{"kind": "refuse", "chanel": "email"}]', "[0].chanel"),
        ('[{"kind": "refuse", "channel": "sms"}]', "[0].channel"),
        ('[{"share": 1}]', "[0].kind"),
        ('[{"kind": "stall", "seconds": "long"}]', "[0].seconds"),
        ("{}", "body"),
        ("not json", "body"),
        ("[" + " " * 70_000 + "]", "body"),
    ],
)
def test_a_wrong_fault_is_a_problem_that_names_its_field(sandbox: Sandbox, body: str, field: str) -> None:
    response = httpx2.put(f"{sandbox.http}/v1/faults", content=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert get(sandbox, "/v1/faults") == []


@pytest.mark.parametrize(("query", "field"), [("limit=0", "limit"), ("limit=x", "limit"), ("too=ana", "too")])
def test_a_wrong_parameter_is_a_problem_that_names_it(sandbox: Sandbox, query: str, field: str) -> None:
    response = httpx2.get(f"{sandbox.http}/v1/messages?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/messages/99999", 404),
        ("GET", "/v1/messages/99999/html", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/v1/faults", 405),
    ],
)
def test_what_is_not_there_is_a_problem(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    response = httpx2.request(method, sandbox.http + path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert response.json()["status"] == status


def test_health_and_all_series_are_there_from_the_start(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox:
        assert get(sandbox, "/live") == {"live": True}
        assert get(sandbox, "/ready") == {"ready": True, "waits_for": []}
        answers = ("accepted", "accepted_late", "accepted_unanswered", "refused", "try_later", "too_large")
        assert [counted(sandbox, answer) for answer in answers] == [0] * 6


def test_a_restart_keeps_messages_even_after_a_kill(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with running_sandbox(tmp_path, sandbox_data=data) as sandbox:
        send(sandbox, mail("kept"))
        sandbox.kill()
    with running_sandbox(tmp_path, sandbox_data=data) as sandbox:
        send(sandbox, mail("next"))
        listed = get(sandbox, "/v1/messages")["messages"]
        assert [(message["number"], message["idempotency_key"]) for message in listed] == [(2, "next"), (1, "kept")]
        assert httpx2.get(f"{sandbox.http}/v1/messages/1/raw").content == mail("kept")
        httpx2.delete(f"{sandbox.http}/v1/messages")
        assert sandbox.terminate() == 0
    with running_sandbox(tmp_path, sandbox_data=data) as sandbox:
        assert get(sandbox, "/v1/counts")["kept"] == 0


def test_a_signal_lets_open_connections_go_and_ends_with_zero(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as sandbox, connect(sandbox) as client:
        client.ehlo()
        assert sandbox.terminate() == 0
        assert b"failed" not in sandbox.log.read_bytes()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()


def test_a_taken_port_is_said_and_ends_the_process(sandbox: Sandbox, tmp_path: Path) -> None:
    taken = str(sandbox.smtp_port)
    with (
        pytest.raises(AssertionError, match=r"can.t listen on 127.0.0.1:\d+: does another program"),
        running_sandbox(tmp_path, sandbox_smtp_port=taken),
    ):
        pass


def test_a_disk_that_takes_nothing_more_accepts_nothing_and_ends_the_process(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_sandbox(tmp_path, sandbox_data=str(data)) as sandbox:
        data.rmdir()
        with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPServerDisconnected)):
            send(sandbox, mail())
        assert sandbox.process.wait(10) == 1
