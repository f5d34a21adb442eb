"""`clarion kafka start|stop|status`: a real Kafka on this machine, without Docker and without Java installed."""

import asyncio
import signal
from pathlib import Path
from time import perf_counter
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from services.control.broker import cluster
from services.control.broker.cluster import Cluster
from services.control.broker.jars import KAFKA_VERSION
from services.control.broker.settings import BrokerSettings
from services.control.errors import ClarionError

kafka_app = typer.Typer(no_args_is_help=True, help="A real Kafka on this machine, from packages.")

Data = Annotated[Path | None, typer.Option("--data", help="Folder of the data.", show_default="the user's data folder")]
Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]

_WATCH_S = 0.5


@kafka_app.command()
def start(
    *,
    brokers: Annotated[int, typer.Option(help="1, or 3 for replicas that survive the loss of a broker.")] = 1,
    port: Annotated[int | None, typer.Option(help="Port of the first broker.", show_default="19092")] = None,
    data: Data = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep no data after the stop.")] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop Kafka with Ctrl-C.")] = False,
) -> None:
    """Start Kafka and return when it is ready; the first time it is downloaded.

    Example: clarion kafka start --ephemeral
    """
    if brokers not in {1, 3}:
        raise typer.BadParameter("1 or 3", param_hint="--brokers")
    settings = BrokerSettings()
    if foreground:
        asyncio.run(_stay(settings, brokers, port, data, ephemeral))
    else:
        asyncio.run(_start(settings, brokers, port, data, ephemeral, ours=False))


@kafka_app.command()
def stop(data: Data = None) -> None:
    """Stop Kafka.

    Example: clarion kafka stop
    """
    home = _home(BrokerSettings(), data)
    if found := cluster.attach(home):
        asyncio.run(found.stop())
        typer.echo(f"Kafka at {found.bootstrap} stopped")
    else:
        typer.echo(f"no Kafka of {home} is running")


@kafka_app.command()
def status(*, data: Data = None, as_json: Json = False) -> None:
    """Say whether Kafka runs, where, and on which data; exit code 1 if it is not ready.

    Example: clarion kafka status --json
    """
    home = _home(BrokerSettings(), data)
    found = cluster.attach(home)
    answer = asyncio.run(found.status()) if found else None
    if as_json:
        typer.echo(msgspec.json.encode(answer or {"ready": False, "data": str(home)}).decode())
    elif answer is None:
        typer.echo(f"no Kafka of {home} is running; start one: clarion kafka start")
    else:
        word = "ready" if answer.ready else f"not ready ({answer.brokers_ready} of {answer.brokers} brokers)"
        typer.echo(f"Kafka {KAFKA_VERSION} {word} at {answer.bootstrap}")
        typer.echo(f"data {answer.data}{' (ephemeral)' if answer.ephemeral else ''}, pids {_list(answer.pids)}")
    if answer is None or not answer.ready:
        raise typer.Exit(1)


async def _start(
    settings: BrokerSettings, brokers: int, port: int | None, data: Path | None, ephemeral: bool, *, ours: bool
) -> Cluster:
    home = _home(settings, data)
    if found := cluster.attach(home):
        typer.echo(f"Kafka is running already at {found.bootstrap}")
        return found
    begun = perf_counter()
    first = port or settings.kafka_port
    started = await cluster.start(
        settings,
        brokers=brokers,
        ephemeral=ephemeral,
        home=home,
        ports=tuple(range(first, first + brokers)),
        ours=ours,
        console=Console(stderr=True),
    )
    typer.echo(f"Kafka {KAFKA_VERSION} ready at {started.bootstrap} in {perf_counter() - begun:.1f} s")
    typer.echo(f"data {started.data_dir}{' (ephemeral)' if ephemeral else ''}")
    return started


async def _stay(settings: BrokerSettings, brokers: int, port: int | None, data: Path | None, ephemeral: bool) -> None:
    if found := cluster.attach(_home(settings, data)):
        raise ClarionError(f"Kafka is running already at {found.bootstrap}: stop it first")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    started = await _start(settings, brokers, port, data, ephemeral, ours=True)
    try:
        while not stop.is_set():
            if not started.is_running():
                raise ClarionError(f"a broker of {started.bootstrap} ended by itself; its log is in {started.data_dir}")
            try:
                await asyncio.wait_for(stop.wait(), _WATCH_S)
            except TimeoutError:
                continue
    finally:
        await started.stop()
        typer.echo("Kafka stopped")


def _home(settings: BrokerSettings, data: Path | None) -> Path:
    return (data or settings.data_dir / "kafka").absolute()


def _list(pids: tuple[int, ...]) -> str:
    return ", ".join(str(pid) for pid in pids)
