"""`clarion up` as a person and a program use it: start, publish, ask why, a process dies, Ctrl-C."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from services.control.settings import child_environment
from tests.support.daytime import daytime_zone
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("kafka_packages")]

ORDER = {
    "id": "4711",
    "source": "oms",
    "type": "com.northwind.order.error",
    "subject": "order-4711",
    "audience": {"customers": ["ana"]},
    "data": {"order": "4711", "problem": "delayed", "fixed_by": "2099-01-01T12:00:00Z"},
}
ANA = {
    "customer": "ana",
    "addresses": {"email": "ana.lopes@example.org"},
    "timezone": daytime_zone(),
}


def without_kafka() -> dict[str, str]:
    """Return an environment in which `clarion up` starts a Kafka of its own."""
    return {name: value for name, value in child_environment({}).items() if name != "CLARION_KAFKA_BOOTSTRAP"}


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Up:
    """A running `clarion up` of this test's own."""

    def __init__(self, folder: Path, terminal: int | None = None) -> None:
        self.folder = folder
        self.ready_file = folder / "ready.json"
        self.log = folder / "up.log"
        self._output = self.log.open("w")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "services.control", "up"),
                *("--ephemeral", "--ports", "free", "--ready-file", str(self.ready_file)),
            ],
            stdin=terminal,
            stdout=self._output if terminal is None else terminal,
            stderr=subprocess.STDOUT,
            env=without_kafka(),
            start_new_session=terminal is not None,
            preexec_fn=None if terminal is None else _take_terminal,  # noqa: PLW1509  # no threads here
        )

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def addresses(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
        return found

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.ready_file.exists() or self.process.poll() is not None, deadline_s=120)
        assert self.process.poll() is None, self.text()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=60)
        self._output.close()
        return code


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("up"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def clarion(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.control", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=child_environment(environment),
    )


def mails(up: Up, address: str) -> list[dict[str, Any]]:
    answer = httpx2.get(f"{up.addresses()['sandbox_http']}/v1/messages", params={"to": address})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
    return found


def publish(up: Up, *events: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(json.dumps(event) for event in events)
    return clarion("publish", "-", "--address", up.addresses()["ingest_grpc"], stdin=lines)


def explain(up: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    return clarion("explain", *arguments, "--bootstrap", up.addresses()["kafka"])


def test_the_ready_file_names_everything_that_answers(up: Up) -> None:
    addresses = up.addresses()
    assert set(addresses["health"]) == {"ingest", "router", "sender", "sandbox"}
    for name, address in addresses["health"].items():
        assert httpx2.get(f"{address}/ready").json() == {"ready": True, "waits_for": []}, name
    assert set(addresses["pids"]) == {"ingest", "router", "sender", "sandbox", "kafka"}
    assert all(psutil.pid_exists(pid) for pid in addresses["pids"].values())
    assert addresses["tenant"] == "northwind"
    assert "Clarion is up" in up.text()
    assert "\x1b[" not in up.text()


def test_a_published_event_becomes_a_mail_and_can_be_explained(up: Up) -> None:
    put = clarion("customer", "put", "-", "--address", up.addresses()["ingest_grpc"], stdin=json.dumps(ANA))
    assert put.returncode == 0, put.stderr
    assert publish(up, ORDER).returncode == 0
    wait_until(lambda: mails(up, "ana.lopes@example.org"), deadline_s=30)

    wait_until(lambda: "accepted by" in explain(up, "--customer", "ana").stdout, deadline_s=30)
    told = explain(up, "--customer", "ana", "--event", "oms/4711")
    assert told.returncode == 0
    assert told.stdout.startswith("oms/4711  com.northwind.order.error about order-4711  accepted ")
    assert "rule order-problem (rules/20-orders.yaml:3, policy " in told.stdout
    assert "-> SEND by email (ALLOWED), decided " in told.stdout

    facts = json.loads(explain(up, "--customer", "ana", "--json").stdout)
    assert [made["reason"] for made in facts["decisions"]] == ["ALLOWED"]
    assert facts["feedback"][0]["outcome"] == "ACCEPTED"


def test_what_nobody_knows_is_said_and_ends_with_1(up: Up) -> None:
    nobody = explain(up, "--customer", "nobody")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr == ("clarion: nobody is not known at northwind: no profile and no event names this customer\n")
    publish(up, ORDER)
    wait_until(lambda: explain(up, "--customer", "ana").returncode == 0, deadline_s=30)
    other = explain(up, "--customer", "ana", "--event", "oms/9999")
    assert other.returncode == 1
    assert other.stderr == ("clarion: no event oms/9999 came for ana; the last ones were oms/4711 (give SOURCE/ID)\n")


def test_a_process_that_is_killed_is_named_and_started_again(up: Up) -> None:
    before = up.addresses()["pids"]["router"]
    psutil.Process(before).kill()
    wait_until(lambda: up.addresses()["pids"]["router"] not in {0, before}, deadline_s=30)
    health = up.addresses()["health"]["router"]
    wait_until(lambda: _ready(health), deadline_s=60)
    assert "router ended by signal 9" in up.text()
    after = {**ORDER, "id": "4712", "data": {**ORDER["data"], "order": "4712"}}  # type: ignore[dict-item]
    assert publish(up, after).returncode == 0
    wait_until(lambda: explain(up, "--customer", "ana", "--event", "oms/4712").returncode == 0, deadline_s=30)


def test_a_busy_port_is_named_with_what_to_do(up: Up) -> None:
    port = up.addresses()["ingest_grpc"].rpartition(":")[2]
    found = clarion(
        "up",
        "--ephemeral",
        CLARION_INGEST_GRPC_PORT=port,
        CLARION_KAFKA_BOOTSTRAP=up.addresses()["kafka"],
    )
    assert found.returncode == 1
    assert f"{port} (ingest grpc)" in found.stderr
    assert f"taken by process {up.addresses()['pids']['ingest']}: stop" in found.stderr
    assert "--ports free" in found.stderr
    assert found.stderr.count("\n") == 1


def test_ctrl_c_stops_everything_in_order_and_ends_with_0(tmp_path: Path) -> None:
    up = Up(tmp_path)
    try:
        up.wait_until_ready()
        pids = up.addresses()["pids"]
    finally:
        code = up.stop()
    assert code == 0
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not up.ready_file.exists()
    stops = [line.split()[0] for line in up.text().splitlines() if " stopped " in line]
    assert stops == ["ingest", "router", "sender", "sandbox"]
    assert up.text().rstrip().endswith("stopped")


def test_what_was_started_ends_when_clarion_up_is_killed(tmp_path: Path) -> None:
    up = Up(tmp_path)
    try:
        up.wait_until_ready()
        pids = up.addresses()["pids"]
        up.process.kill()
        wait_until(lambda: not any(_runs(pid) for pid in pids.values()), deadline_s=60)
    finally:
        up.stop()


def test_a_terminal_that_is_closed_stops_everything_and_ends_with_0(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    up = Up(tmp_path, terminal=theirs)
    try:
        os.close(theirs)
        up.wait_until_ready()
        pids = up.addresses()["pids"]
        os.close(ours)
        code = up.process.wait(timeout=60)
    finally:
        up.stop()
    assert code == 0
    assert not any(_runs(pid) for pid in pids.values())
    assert not up.ready_file.exists()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ready(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/ready").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False
