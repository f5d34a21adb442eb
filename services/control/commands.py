"""The commands that run, steer and explain, each a thin way into the module that does the work.

What a command needs is imported when it runs, so that `clarion --help` answers at once.
"""

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]


def up(
    *,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep no data after the stop.")] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Gets all addresses as JSON once everything answers."),
    ] = None,
    demo_customers: Annotated[bool, typer.Option("--demo-customers", help="Put 200 invented customers.")] = False,
    policy: Annotated[
        Path | None,
        typer.Option(help="Folder of the policy.", show_default="the one in force, at first the example"),
    ] = None,
    ports: Annotated[
        Literal["default", "free"],
        typer.Option(help="The usual ports, or any that are free."),
    ] = "default",
) -> None:
    """Run all of Clarion on this machine until Ctrl-C.

    Example: clarion up --ephemeral --demo-customers
    """
    from rich.console import Console  # noqa: PLC0415  # see the module's rules

    from services.control import stack  # noqa: PLC0415
    from services.control import up as work  # noqa: PLC0415

    options = stack.Options(policy, ephemeral=ephemeral, free_ports=ports == "free")
    work.up(options, work.Wishes(ready_file, demo_customers), Console())


def explain(
    *,
    customer: Annotated[str, typer.Option(help="Whom to ask about.")],
    event: Annotated[str, typer.Option(metavar="SOURCE/ID", help="One event.", show_default="all of them")] = "",
    tenant: Annotated[str, typer.Option(help="Whose customer.", show_default="the only one")] = "",
    bootstrap: Annotated[str, typer.Option(help="Kafka brokers.", show_default="127.0.0.1:19092")] = "",
    as_json: Json = False,
) -> None:
    """Say what happened to a customer's events, and why.

    Example: clarion explain --customer ana-lopes --event oms/4711
    """
    from services.common.topics import Topics  # noqa: PLC0415
    from services.control import explain as work  # noqa: PLC0415
    from services.control.settings import ControlSettings  # noqa: PLC0415

    settings = ControlSettings()
    topics = Topics(settings.topic_prefix, settings.partitions)
    question = work.Question(customer, event, tenant or settings.tenant)
    told = asyncio.run(work.story(bootstrap or settings.kafka_bootstrap, topics, question))
    typer.echo(work.as_json(told).decode() if as_json else work.tell(told))


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
) -> None:
    """Run a day at a power company on a real Kafka, and check what came out.

    Example: clarion demo
    """
    from rich.console import Console  # noqa: PLC0415

    from services.control.demo.run import demo as work  # noqa: PLC0415

    if not work(Console(), keep=keep):
        raise typer.Exit(1)


def settings(*, as_json: Json = False) -> None:
    """Show every setting with its meaning and its value now; secrets are hidden.

    Example: clarion settings
    """
    import msgspec  # noqa: PLC0415

    from services.control.all_settings import all_settings, as_table  # noqa: PLC0415

    found = all_settings()
    typer.echo(msgspec.json.encode(found).decode() if as_json else as_table(found))


def ingest() -> None:
    """Run the doors for events and customers.

    Example: clarion ingest
    """
    _run("services.ingest.__main__")


def router() -> None:
    """Run the router: it decides.

    Example: clarion router
    """
    _run("services.router.__main__")


def sender(channel: Annotated[Literal["email"], typer.Argument(metavar="CHANNEL", help="email")]) -> None:
    """Run the sender of one channel.

    Example: clarion sender email
    """
    _run("services.senders.__main__", channel)


def sandbox() -> None:
    """Run the pretend providers and their page.

    Example: clarion sandbox
    """
    _run("services.sandbox.__main__")


def _run(module: str, *arguments: str) -> None:
    """Become a service: its own start, with its own arguments."""
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()
