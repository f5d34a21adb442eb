"""`clarion demo` does the main job on everything that is real, and ends by itself."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("kafka_packages")]


def test_the_demo_ends_with_what_the_policy_demands_and_leaves_nothing_running(tmp_path: Path) -> None:
    before = set(psutil.pids())
    done = subprocess.run(
        [sys.executable, "-m", "services.control", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 6 promises hold" in done.stdout
    assert "DIFFERENT" not in done.stdout
    assert done.stdout.count("  Why?  ") == 4
    assert done.stderr == ""
    assert _left_by(before) == []


def test_a_good_day_that_is_kept_ends_with_0_at_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "services.control", "demo", "--keep"],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        ) as process,
    ):
        wait_until(lambda: "Ctrl-C stops everything" in log.read_text() or process.poll() is not None, deadline_s=240)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    assert code == 0, log.read_text()
    assert "Everything came out as the policy demands" in log.read_text()
    assert "stopped before the end" not in log.read_text()


def _left_by(before: set[int]) -> list[str]:
    """Return the demo's own processes that still run: its services, and a Kafka of a temporary folder of its own."""
    left = []
    for process in psutil.process_iter(["pid", "cmdline", "environ", "ppid"]):
        command = " ".join(process.info["cmdline"] or ())
        ours = "-m services." in command and (process.info["environ"] or {}).get("CLARION_INSTANCE") == "up"
        if process.info["pid"] not in before and ours and process.info["ppid"] == 1:
            left.append(command)
    return left
