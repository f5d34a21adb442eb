"""`clarion publish` and `clarion customer put`: lines of JSON to the gRPC door.

Exit codes: 0 all lines were taken, 1 some were refused or the door does not answer, 2 wrong usage.
"""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.text import Text

from services.control.errors import ClarionError
from services.control.event_lines import EventLine
from services.control.publish import Report, publish_portions, put_customers, read_customers, read_events
from services.control.settings import ControlSettings
from services.ingest.settings import IngestSettings

customer_app = typer.Typer(no_args_is_help=True, add_completion=False, help="What is known about customers.")

_READ_BYTES = 65_536
_MAX_LINE_BYTES = 2_097_152

File = Annotated[str, typer.Argument(metavar="FILE|-", help="A file with one JSON object a line; - reads stdin.")]
Address = Annotated[str, typer.Option("--address", help="The gRPC door, host:port.", show_default="127.0.0.1:9700")]
Tenant = Annotated[
    str, typer.Option("--tenant", help="Of lines that name none.", show_default="CLARION_TENANT, else the door's")
]
Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]


def publish(file: File, *, address: Address = "", tenant: Tenant = "", as_json: Json = False) -> None:
    """Publish events, one CloudEvent in JSON a line.

    Example: clarion publish events.jsonl
    """
    report = Report()

    async def work(stream: BinaryIO) -> None:
        portions = _event_portions(stream, tenant or ControlSettings().tenant)
        await publish_portions(address or IngestSettings().grpc_address, portions, report)

    with _opened(file) as stream:
        asyncio.run(_watched(work(stream), report, "event"))
    _answer(report, "event", as_json=as_json)


@customer_app.callback()
def _customers() -> None:
    """Make `put` a command of its own though it is the only one so far."""


@customer_app.command()
def put(file: File, *, address: Address = "", tenant: Tenant = "", as_json: Json = False) -> None:
    """Change customers: a line is {"customer": ID, ...what changes}, a JSON merge patch of the profile.

    Example: clarion customer put customers.jsonl
    """
    report = Report()

    async def work(stream: BinaryIO) -> None:
        lines = read_customers(stream, tenant or ControlSettings().tenant)
        await put_customers(address or IngestSettings().grpc_address, lines, report)

    with _opened(file) as stream:
        asyncio.run(_watched(work(stream), report, "customer"))
    _answer(report, "customer", as_json=as_json)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise typer.BadParameter(f"can't read {file}: {error.strerror}") from None
    with stream:
        yield stream


async def _event_portions(stream: BinaryIO, tenant: str) -> AsyncIterator[Sequence[EventLine]]:
    first, rest = 1, b""
    async for chunk in _chunks(stream):
        *lines, rest = (rest + chunk).split(b"\n")
        yield list(read_events(lines, tenant, first))
        first += len(lines)
        if len(rest) > _MAX_LINE_BYTES:
            raise ClarionError(f"line {first} is longer than 2 MiB: is this one JSON object a line?")
    yield list(read_events([rest], tenant, first))


async def _chunks(stream: BinaryIO) -> AsyncIterator[bytes]:
    """Read what is there, without waiting for more while events could be sent."""
    mode = os.fstat(stream.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        while chunk := stream.read(_READ_BYTES):
            yield chunk
        return
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
    while chunk := await reader.read(_READ_BYTES):
        yield chunk


class _SoFar(ProgressColumn):
    """Shows how far a report has grown."""

    def __init__(self, report: Report, what: str) -> None:
        super().__init__()
        self._report = report
        self._what = what

    def render(self, task: Task) -> Text:  # noqa: ARG002  # the report knows more than the task
        """Say how many lines were taken and refused."""
        return Text(_counts(self._report, self._what))


async def _watched(work: Awaitable[None], report: Report, what: str) -> None:
    """Do the work; on a terminal show how far it is."""
    columns = (SpinnerColumn(), _SoFar(report, what), TimeElapsedColumn())
    terminal = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not terminal) as progress:
        progress.add_task("")
        await work


def _counts(report: Report, what: str) -> str:
    several = "" if report.taken == 1 else "s"
    return f"{report.taken:,} {what}{several} taken, {len(report.refused):,} refused"


def _answer(report: Report, what: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        for refused in report.refused:
            typer.echo(str(refused), err=True)
        typer.echo(_counts(report, what))
    if report.refused:
        raise typer.Exit(1)
