"""A process that is kept running: its lines, its end, its restart, its stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.common.clock import WallClock
from services.control.children import Child
from services.control.settings import child_environment
from tests.support.waiting import wait_until_async

SAYS_AND_ENDS = "print('one word'); print('another'); raise SystemExit(3)"
STAYS = "import time; print('here', flush=True)\nwhile True: time.sleep(0.1)"
STAYS_ON_TERM = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('drained', flush=True), sys.exit(0)))\n"
    "print('here', flush=True)\n"
    "while True: time.sleep(0.1)"
)


@asynccontextmanager
async def kept(folder: Path, program: str) -> AsyncIterator[tuple[Child, list[str]]]:
    (folder / "child_of_a_test.py").write_text(program)
    lines: list[str] = []
    environment = child_environment({"PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"})
    child = Child("it", ("child_of_a_test",), environment, lambda _, line: lines.append(line), WallClock())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.keep_running(lambda: None))
        try:
            yield child, lines
        finally:
            await child.stop()


async def test_what_it_says_goes_out_line_by_line(tmp_path: Path) -> None:
    async with kept(tmp_path, STAYS) as (child, lines):
        await wait_until_async(lambda: lines == ["here"])
        assert child.pid > 0
    assert child.pid == 0


async def test_a_process_that_ends_is_named_with_its_last_lines_and_started_again(tmp_path: Path) -> None:
    async with kept(tmp_path, SAYS_AND_ENDS) as (child, lines):
        await wait_until_async(lambda: child.starts >= 2)
    assert lines[:3] == [
        "one word",
        "another",
        "it ended with 3; its last lines:\n    one word\n    another; started again in 0.5 s",
    ]


async def test_a_stop_lets_it_drain_and_does_not_start_it_again(tmp_path: Path) -> None:
    async with kept(tmp_path, STAYS_ON_TERM) as (child, lines):
        await wait_until_async(lambda: lines == ["here"])
        await child.stop()
        assert lines == ["here", "drained"]
    assert child.starts == 1


async def test_a_process_that_was_killed_is_said_to_be(tmp_path: Path) -> None:
    async with kept(tmp_path, STAYS) as (child, lines):
        await wait_until_async(lambda: lines == ["here"])
        psutil.Process(child.pid).kill()
        await wait_until_async(lambda: child.starts == 2)
    assert lines[1] == "it ended by signal 9; its last lines:\n    here; started again in 0.5 s"


@pytest.mark.parametrize("code", [1, -9])
def test_an_obituary_says_how_it_ended(code: int) -> None:
    child = Child("it", ("nothing",), {}, lambda _, __: None, WallClock())
    assert child.obituary(code) == f"it ended {'with 1' if code > 0 else 'by signal 9'} without a word"
