"""Operating-system processes that outlive whoever started them.

A process is known by its number and its time of birth, since numbers are used again.
It gets a session of its own, so that Ctrl-C in a terminal does not reach it, and nothing of our environment.
"""

import asyncio
import os
import signal
from pathlib import Path

import psutil

# Without it Java cannot open a folder whose name is not ASCII.
ENVIRONMENT = {"LC_ALL": "C.UTF-8"}

_LOOK_AGAIN_S = 0.02


def spawn(arguments: list[str], output: Path) -> tuple[int, float]:
    """Start a program whose output goes to a file; return its number and time of birth."""
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        pid = os.posix_spawn(arguments[0], arguments, ENVIRONMENT, file_actions=actions, setsid=True)
    finally:
        os.close(log)
    return pid, psutil.Process(pid).create_time()


def is_alive(pid: int, started: float) -> bool:
    """Tell whether that very process runs."""
    return _process(pid, started) is not None


async def end(pid: int, started: float, grace_s: float) -> bool:
    """Ask a process to stop, kill it when the grace is over, wait until it is gone; true if it went by itself."""
    send(pid, started, signal.SIGTERM)
    try:
        async with asyncio.timeout(grace_s):
            await gone(pid, started)
    except TimeoutError:
        send(pid, started, signal.SIGKILL)
        await gone(pid, started)
        return False
    return True


async def gone(pid: int, started: float) -> None:
    """Wait until a process has ended."""
    while is_alive(pid, started):  # noqa: ASYNC110  # the system has no event for processes of others
        await asyncio.sleep(_LOOK_AGAIN_S)


def send(pid: int, started: float, number: signal.Signals) -> None:
    """Send a signal to a process if it still runs."""
    if process := _process(pid, started):
        process.send_signal(number)


def _process(pid: int, started: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid) if pid else None
        if process is None or abs(process.create_time() - started) > 1:
            return None
        # A killed process shows as a zombie while its last threads still hold its files and ports.
        if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
            _reap(pid)
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def _reap(pid: int) -> None:
    # Ours if we started it; a child of another process is that one's to reap.
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
