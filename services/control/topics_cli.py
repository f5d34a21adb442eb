"""`clarion topics apply|check|yaml`: the topics of a Kafka against the one list."""

import asyncio
from typing import Annotated

import msgspec
import typer

from services.common.settings import CommonSettings
from services.common.topics import DEFAULT_PARTITIONS, Topics
from services.control import topics as control

topics_app = typer.Typer(no_args_is_help=True, help="The topics of a Kafka against the one list.")

REPLICATION_IN_PRODUCTION = 3

Bootstrap = Annotated[str | None, typer.Option("--bootstrap", help="Kafka brokers.", show_default="127.0.0.1:19092")]
Partitions = Annotated[
    int | None, typer.Option("--partitions", min=1, help="Of co-partitioned topics, for life.", show_default="8")
]
Replication = Annotated[
    int | None, typer.Option("--replication", min=1, help="Replicas.", show_default="as there are, else 3 or fewer")
]
Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]


@topics_app.command()
def apply(
    *,
    bootstrap: Bootstrap = None,
    partitions: Partitions = None,
    replication: Replication = None,
    fix_configs: Annotated[bool, typer.Option("--fix-configs", help="Set what differs, too.")] = False,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing, and name what differs; exit code 1 if a difference remains.

    Example: clarion topics apply --partitions 8
    """
    address, topics = asyncio.run(_wanted(bootstrap, partitions, replication))
    applied = asyncio.run(control.apply(address, topics, fix_configs=fix_configs))
    if as_json:
        typer.echo(msgspec.json.encode(applied).decode())
    else:
        for line in applied.drift:
            typer.echo(str(line))
        for line in applied.fixed:
            typer.echo(f"{line} (set)")
        typer.echo(f"{len(applied.created)} created, {len(applied.fixed)} set, {len(applied.drift)} left different")
    if applied.drift:
        raise typer.Exit(1)


@topics_app.command()
def check(
    *,
    bootstrap: Bootstrap = None,
    partitions: Partitions = None,
    replication: Replication = None,
    as_json: Json = False,
) -> None:
    """Name every difference and change nothing; exit code 1 if there is one.

    Example: clarion topics check --json
    """
    address, topics = asyncio.run(_wanted(bootstrap, partitions, replication))
    drift = asyncio.run(control.check(address, topics))
    if as_json:
        typer.echo(msgspec.json.encode({"drift": drift}).decode())
    else:
        for line in drift:
            typer.echo(str(line))
        typer.echo(f"{len(topics.all())} topics, {len(drift)} differences")
    if drift:
        raise typer.Exit(1)


@topics_app.command()
def yaml(*, partitions: Partitions = None, replication: Replication = None) -> None:
    """Print the list as deploy/kafka/topics.yaml has it, for those who create topics by other means.

    Example: clarion topics yaml > deploy/kafka/topics.yaml
    """
    topics = Topics(partitions=partitions or DEFAULT_PARTITIONS, replication=replication or REPLICATION_IN_PRODUCTION)
    typer.echo(as_yaml(topics), nl=False)


def as_yaml(topics: Topics) -> str:
    """Write the list as YAML."""
    lines = ["# Made from services/common/topics.py: clarion topics yaml > deploy/kafka/topics.yaml", "topics:"]
    for topic in topics.all():
        lines += [
            f"  - name: {topic.name}",
            f"    partitions: {topic.partitions}",
            f"    replication: {topic.replication}",
            f"    co_partitioned: {str(topic.co_partitioned).lower()}",
            "    configs:",
            *(f'      {name}: "{value}"' for name, value in topic.configs.items()),
        ]
    return "\n".join(lines) + "\n"


async def _wanted(bootstrap: str | None, partitions: int | None, replication: int | None) -> tuple[str, Topics]:
    settings = CommonSettings()
    address = bootstrap or settings.kafka_bootstrap
    topics = Topics(prefix=settings.topic_prefix, partitions=partitions or settings.partitions)
    replicas = replication or await control.usual_replication(address, topics)
    return address, Topics(prefix=topics.prefix, partitions=topics.partitions, replication=replicas)
