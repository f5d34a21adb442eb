"""`clarion control stop|pause|lift|list`: what people steer a running Clarion with.

What a command needs is imported when it runs, so that `clarion control --help` answers at once.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from services.router.decision.model import Control

Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]
Tenant = Annotated[str, typer.Option(help="Whose messages.", show_default="the only one")]
Bootstrap = Annotated[str, typer.Option(help="Kafka brokers.", show_default="127.0.0.1:19092")]
Rule = Annotated[str, typer.Option(help="Messages of this rule.")]
Category = Annotated[str, typer.Option(help="Messages of this category.")]
Channel = Annotated[str, typer.Option(help="This channel only; the plan goes on, or waits for it.")]
MessageClass = Annotated[
    Literal["", "critical", "transactional", "informational", "marketing"],
    typer.Option("--class", help="Messages of this class."),
]
Source = Annotated[str, typer.Option(help="Messages about events of this source.")]
Event = Annotated[str, typer.Option(help="Messages about the event of this id.")]
Name = Annotated[str, typer.Option(help="Its name.", show_default="from what it concerns")]
Reason = Annotated[str, typer.Option(help="Why; people read it.")]
For = Annotated[
    str, typer.Option("--for", metavar="TIME", help="Ends by itself: 30m, 4h, 2d.", show_default="until lifted")
]
All = Annotated[bool, typer.Option("--all", help="Everything of the tenant.")]
Author = Annotated[str, typer.Option(help="Who sets it.", show_default="the user")]

control_app = typer.Typer(no_args_is_help=True, help="Stop and pause messages at once, and let them go again.")


@control_app.command("stop")
def stop(
    *,
    rule: Rule = "",
    category: Category = "",
    channel: Channel = "",
    message_class: MessageClass = "",
    source: Source = "",
    event: Event = "",
    everything: All = False,
    name: Name = "",
    reason: Reason = "",
    lasts: For = "",
    author: Author = "",
    tenant: Tenant = "",
    bootstrap: Bootstrap = "",
    as_json: Json = False,
) -> None:
    """End what matches: it is not sent (STOPPED), and not sent later.

    Example: clarion control stop --rule offer --reason "wrong price"
    """
    match = (rule, category, channel, message_class, source, event)
    _set("STOP", match, everything, (name, reason, lasts), (author, tenant, bootstrap), as_json=as_json)


@control_app.command("pause")
def pause(
    *,
    rule: Rule = "",
    category: Category = "",
    channel: Channel = "",
    message_class: MessageClass = "",
    source: Source = "",
    event: Event = "",
    everything: All = False,
    name: Name = "",
    reason: Reason = "",
    lasts: For = "",
    author: Author = "",
    tenant: Tenant = "",
    bootstrap: Bootstrap = "",
    as_json: Json = False,
) -> None:
    """Hold what matches until it is lifted: it is decided again then, unless it has expired.

    Example: clarion control pause --channel sms --reason "provider is down" --for 2h
    """
    match = (rule, category, channel, message_class, source, event)
    _set("PAUSE", match, everything, (name, reason, lasts), (author, tenant, bootstrap), as_json=as_json)


@control_app.command("lift")
def lift(
    name: Annotated[str, typer.Argument(help="Name of the control.")],
    *,
    tenant: Tenant = "",
    bootstrap: Bootstrap = "",
    as_json: Json = False,
) -> None:
    """End a control; what it paused is decided again at once.

    Example: clarion control lift stop-rule-offer
    """
    from services.control import steering  # noqa: PLC0415
    from services.control.place import place  # noqa: PLC0415

    _tell([asyncio.run(steering.lift(place(bootstrap, tenant), name))], "lifted: ", as_json=as_json)


@control_app.command("list")
def show(*, tenant: Tenant = "", bootstrap: Bootstrap = "", as_json: Json = False) -> None:
    """List the controls in force, with who set them and why.

    Example: clarion control list
    """
    from services.control import steering  # noqa: PLC0415
    from services.control.place import place  # noqa: PLC0415

    _, found = asyncio.run(steering.controls(place(bootstrap, tenant)))
    if not found and not as_json:
        typer.echo("no control is in force")
    _tell(list(found), "", as_json=as_json, many=True)


def _set(
    kind: str,
    match: tuple[str, str, str, str, str, str],
    everything: bool,
    said: tuple[str, str, str],
    who: tuple[str, str, str],
    *,
    as_json: bool,
) -> None:
    from services.control import steering  # noqa: PLC0415
    from services.control.place import place  # noqa: PLC0415
    from services.policy import words  # noqa: PLC0415
    from services.router.decision.model import Control, ControlKind  # noqa: PLC0415

    if any(match) == everything:
        names = "--rule, --category, --channel, --class, --source, --event"
        raise typer.BadParameter(f"say what it concerns ({names}), or --all")
    (rule, category, channel, message_class, source, event), (name, reason, lasts) = match, said
    author, tenant, bootstrap = who
    where = place(bootstrap, tenant, author)
    try:
        expires = where.now + words.duration(lasts) if lasts else 0
    except words.WordError as error:
        raise typer.BadParameter(f"--for: {error}") from None
    wanted = Control(
        name=name,
        kind=ControlKind[kind],
        rule=rule,
        category=category,
        channel=channel,
        message_class=words.CLASSES[message_class] if message_class else None,
        source=source,
        event=event,
        reason=reason,
        expires=expires,
    )
    _tell([asyncio.run(steering.set_control(where, wanted))], "in force: ", as_json=as_json)


def _tell(controls: "list[Control]", before: str, *, as_json: bool, many: bool = False) -> None:
    import msgspec  # noqa: PLC0415

    from services.control.control_words import facts, line  # noqa: PLC0415

    if as_json:
        found = [facts(control) for control in controls]
        typer.echo(msgspec.json.encode(found if many else found[0]).decode())
        return
    for control in controls:
        typer.echo(f"{before}{line(control)}")
