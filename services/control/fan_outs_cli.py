"""`clarion fanout list|show`: events for many."""

import asyncio
from typing import Annotated

import typer

from services.common.topics import Topics
from services.control import fan_outs
from services.control.settings import ControlSettings

fanout_app = typer.Typer(no_args_is_help=True, help="Events for many: how far they are, what became of them.")

Bootstrap = Annotated[str, typer.Option(help="Kafka brokers.", show_default="127.0.0.1:19092")]
Tenant = Annotated[str, typer.Option(help="Whose events.", show_default="all tenants")]
Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]


@fanout_app.command("list")
def list_all(*, tenant: Tenant = "", bootstrap: Bootstrap = "", as_json: Json = False) -> None:
    """List events for many, the newest first.

    Example: clarion fanout list
    """
    found = _read(bootstrap, tenant)
    typer.echo(fan_outs.as_json(found).decode() if as_json else fan_outs.table(found))


@fanout_app.command()
def show(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The fan-out's id or its beginning, or SOURCE/ID.")],
    *,
    tenant: Tenant = "",
    bootstrap: Bootstrap = "",
    as_json: Json = False,
) -> None:
    """Say how far one is, what became of its members, and where it stands on each partition.

    Example: clarion fanout show oms/e-1
    """
    one = fan_outs.chosen(_read(bootstrap, tenant), wanted)
    typer.echo(fan_outs.as_json(one).decode() if as_json else fan_outs.tell(one))


def _read(bootstrap: str, tenant: str) -> list[fan_outs.Summed]:
    settings = ControlSettings()
    topics = Topics(settings.topic_prefix, settings.partitions)
    return asyncio.run(fan_outs.fan_outs(bootstrap or settings.kafka_bootstrap, topics, tenant))
