"""`clarion up`: all of Clarion on this machine in one terminal, until Ctrl-C.

One log of all processes, each line under the name of its process; one table of addresses when everything answers.
Ctrl-C, SIGTERM and a terminal that is closed stop everything in order and end with 0. Programs wait for the ready
file: it appears whole, when everything answers, and is written again when a process was replaced.
"""

import asyncio
import os
import signal
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.common.clock import WallClock
from services.control.customers import TENANT, customers
from services.control.errors import ClarionError
from services.control.publish import put_customers, read_customers
from services.control.stack import Options, Progress, Stack, running

_COLOURS = {"ingest": "cyan", "router": "green", "sender": "magenta", "sandbox": "yellow", "kafka": "blue"}


class Wishes(Struct, frozen=True):
    """What the person asked for beyond the running whole."""

    ready_file: Path | None = None
    demo_customers: bool = False


def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run work until it ends or is told to stop by a signal; what it opened is closed first. True: it was stopped."""

    async def main() -> bool:
        task = asyncio.current_task()
        stopped = False

        def stop() -> None:
            nonlocal stopped
            if task is not None and not stopped:  # a second Ctrl-C must not disturb the stop
                stopped = True
                task.cancel()

        def hang_up() -> None:
            _leave_terminal()
            stop()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: who ignores it wants us to stay
            loop.add_signal_handler(signal.SIGHUP, hang_up)
        try:
            await work
        except asyncio.CancelledError:
            if not stopped:
                raise
        except BaseExceptionGroup as group:
            # Task groups wrap what ends them; a person is told the one thing that he can act on.
            raise _actionable(group) or group from None
        return stopped

    return asyncio.run(main())


def _leave_terminal() -> None:
    """Write nowhere from now on where a terminal was: it is gone, and a write would fail in the middle of the stop."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        if stat.S_ISCHR(os.fstat(output).st_mode):
            os.dup2(nowhere, output)
    os.close(nowhere)


def _actionable(group: BaseExceptionGroup[BaseException]) -> ClarionError | None:
    for error in group.exceptions:
        found = _actionable(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, ClarionError):
            return found
    return None


def up(options: Options, wishes: Wishes, console: Console) -> None:
    """Start everything, show where it is, and stay until someone stops it."""
    if until_stopped(_stay(options, wishes, console)):
        console.print("stopped")


async def _stay(options: Options, wishes: Wishes, console: Console) -> None:
    def say(name: str, line: str) -> None:
        colour = _COLOURS.get(name, "white")
        console.print(f"[{colour}]{name:<8}|[/{colour}] {escape(line)}", highlight=False, soft_wrap=True)

    stacks: list[Stack] = []

    def changed() -> None:
        if stacks:
            _write_ready_file(wishes.ready_file, stacks[0])

    _remove(wishes.ready_file)
    try:
        async with running(options, say, lambda progress: show(progress, console), changed) as stack:
            if wishes.demo_customers:
                await put_demo_customers(stack, console)
            console.print(address_table(stack))
            console.print("Ctrl-C stops everything.", highlight=False)
            stacks.append(stack)
            changed()
            await asyncio.Event().wait()
    finally:
        _remove(wishes.ready_file)


def show(progress: Progress, console: Console) -> None:
    """Show one step of the start; that it begins is shown on a terminal only, until it is done."""
    if progress.seconds is None:
        if console.is_terminal:
            console.print(f"  {progress.what} ...", highlight=False, end="\r")
        return
    seconds = f"{progress.seconds:.1f} s" if progress.seconds else ""
    line = f"  {progress.what:<22} {seconds:>7}   {escape(progress.detail)}".rstrip()
    console.print(line, highlight=False, soft_wrap=True)


async def put_demo_customers(stack: Stack, console: Console) -> None:
    """Give the invented customers of the example policy to the door."""
    if stack.tenant != TENANT:
        raise ClarionError(f"the demo customers are {TENANT}'s; the policy in force is {stack.tenant}'s")
    lines = [msgspec.json.encode(customer.line()) for customer in customers(WallClock().now())]
    report = await put_customers(stack.addresses().ingest_grpc, read_customers(lines, TENANT))
    if report.refused:
        raise ClarionError(f"the door refused a demo customer: {report.refused[0]}")
    console.print(f"  {report.taken} invented customers of {TENANT}", highlight=False)


def address_table(stack: Stack) -> Table:
    """Return the one table of what listens where."""
    addresses = stack.addresses()
    table = Table("what", "where", "how to use it", box=SIMPLE_HEAD, title="Clarion is up", title_justify="left")
    table.add_row("messages", f"{addresses.sandbox_http}/", "what customers would get, in a browser")
    table.add_row("events", addresses.ingest_grpc, "clarion publish FILE --address ...")
    table.add_row("Kafka", addresses.kafka, "clarion explain --bootstrap ...")
    for name, address in addresses.health.items():
        table.add_row(name, address, "/live, /ready, /metrics")
    return table


def _write_ready_file(path: Path | None, stack: Stack) -> None:
    if path is None:
        return
    part = path.with_name(path.name + ".part")
    part.write_bytes(msgspec.json.encode(stack.addresses()))
    part.replace(path)


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
