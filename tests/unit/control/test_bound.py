"""A process that is bound to the one that started it ends with it; on Linux, where these tests run."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from services.control.bound import bound
from tests.support.waiting import wait_until

STARTS_ANOTHER = (
    "import subprocess, sys, time\n"
    "from services.control.bound import bound\n"
    "sleeper = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
    "started = subprocess.Popen(bound(sleeper) if sys.argv[1] == 'bound' else sleeper, start_new_session=True)\n"
    "print(started.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def test_it_becomes_the_program_itself() -> None:
    program = "import os, sys; print(os.getpid(), sys.argv[1])"
    with subprocess.Popen(bound([sys.executable, "-c", program, "a b"]), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == f"{process.pid} a b\n"


def test_it_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ANOTHER, "bound"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_it_does_not_begin_when_its_parent_ended_before() -> None:
    command = bound([sys.executable, "-c", "print('it began')"])
    other = ["sh", "-c", '"$@" & wait', "sh", *command]
    done = subprocess.run(other, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert str(os.getpid()) in command[4]
