"""The commands about policies, each a thin way into the module that does the work.

Only `activate`, `history` and `rollback` need Kafka.

What a command needs is imported when it runs, so that `clarion policy --help` answers at once.
Exit codes: 0 good, 1 the answer is bad (for `diff`: something differs), 2 wrong usage.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.control.policies import Activated

Json = Annotated[bool, typer.Option("--json", help="Facts for programs.")]
PolicyFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the policy.")]
Author = Annotated[str, typer.Option(help="Who puts it in force.", show_default="the user")]
Tenant = Annotated[str, typer.Option(help="Whose policy.", show_default="the only one")]
Bootstrap = Annotated[str, typer.Option(help="Kafka brokers.", show_default="127.0.0.1:19092")]

policy_app = typer.Typer(no_args_is_help=True, help="Check, test, read and compare policies, and put one in force.")


@policy_app.command("check")
def check(
    folder: PolicyFolder,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are mistakes.")] = False,
    as_json: Json = False,
) -> None:
    """Name every mistake in a policy and its tests; exit code 1 if there is one.

    Example: clarion policy check deploy/policy --strict
    """
    import msgspec  # noqa: PLC0415  # see the module's rules

    from services.control.policies import read  # noqa: PLC0415
    from services.control.trial import try_templates  # noqa: PLC0415
    from services.policy import check as work  # noqa: PLC0415

    bundle = read(folder)
    report = work.check(bundle, try_templates)
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        typer.echo(work.render(report, bundle, color=_on_terminal()), nl=False)
    if report.mistakes or (strict and report.warnings):
        raise typer.Exit(1)


@policy_app.command("test")
def run_tests(
    folder: PolicyFolder,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Test files; all if none.")] = None,
    *,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML.", metavar="FILE")] = None,
    as_json: Json = False,
) -> None:
    """Run the rule tests of a policy on a virtual clock; exit code 1 if one fails.

    Example: clarion policy test deploy/policy deploy/policy/tests/outage_night.yaml
    """
    from services.control import policy_tests as work  # noqa: PLC0415

    report = work.run_folder(folder, files or ())
    if junit is not None:
        junit.write_bytes(work.as_junit(report))
    if as_json:
        typer.echo(work.as_json(report).decode())
    else:
        typer.echo(work.as_text(report, color=_on_terminal()), nl=False)
    if not report.passed:
        raise typer.Exit(1)


@policy_app.command("explain")
def explain(
    folder: PolicyFolder,
    *,
    event: Annotated[str, typer.Option(metavar="FILE", help="One event in JSON; - reads stdin.")],
    customer: Annotated[str, typer.Option(metavar="FILE", help="One customer in JSON; - reads stdin.")],
    at: Annotated[str, typer.Option(metavar="INSTANT", help="When.", show_default="the event's time, else now")] = "",
    as_json: Json = False,
) -> None:
    """Say what would become of an event for a customer, why, and what the message says; exit code 1 if it is refused.

    Example: clarion policy explain deploy/policy --event event.json --customer ana.json --at 2026-03-28T22:30:00+01:00
    """
    from services.common.clock import WallClock  # noqa: PLC0415
    from services.control import policy_explain as work  # noqa: PLC0415

    if event == customer == "-":
        raise typer.BadParameter("only one of --event and --customer can be -")
    found = work.answer(folder, _read(event), _read(customer), at, WallClock().now())
    typer.echo(work.as_json(found).decode() if as_json else work.as_text(found), nl=as_json)
    if found.refused:
        raise typer.Exit(1)


@policy_app.command("preview")
def preview(
    folder: PolicyFolder,
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="Name of the template.")],
    *,
    channel: Annotated[
        list[str] | None, typer.Option(help="A channel; may be repeated.", show_default="those of its rules")
    ] = None,
    locale: Annotated[
        list[str] | None, typer.Option(help="A locale; may be repeated.", show_default="those it has")
    ] = None,
    data: Annotated[str, typer.Option(metavar="FILE", help="The event's data in JSON; - reads stdin.")] = "",
    event: Annotated[str, typer.Option(metavar="FILE", help="A whole event in JSON; - reads stdin.")] = "",
    as_json: Json = False,
) -> None:
    """Show a template as each channel and language would; without data, with data made up from the schema.

    Example: clarion policy preview deploy/policy outage_opened --channel sms --locale de
    """
    from services.control import policy_preview as work  # noqa: PLC0415

    if data and event:
        raise typer.BadParameter("give --data or --event, not both: an event has its data")
    wishes = work.Wishes(template, tuple(channel or ()), tuple(locale or ()), data=_read(data), event=_read(event))
    shown = work.preview(folder, wishes)
    typer.echo(work.as_json(shown).decode() if as_json else work.as_text(shown), nl=as_json)
    if any(each.why_not for each in shown):
        raise typer.Exit(1)


@policy_app.command("show")
def show(folder: PolicyFolder, *, as_json: Json = False) -> None:
    """Tell a policy in words: what it says, rule by rule.

    Example: clarion policy show deploy/policy
    """
    from services.control import policy_show as work  # noqa: PLC0415

    found = work.described(folder)
    typer.echo(work.as_json(found).decode() if as_json else work.as_text(found), nl=as_json)


@policy_app.command("diff")
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="Folder of the policy as it was.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Folder of the policy as it is to be.")],
    *,
    as_json: Json = False,
) -> None:
    """Say what differs between two policies, and which decisions of their tests; exit code 1 if anything does.

    Example: clarion policy diff deploy/policy my/policy
    """
    from services.control import policy_diff as work  # noqa: PLC0415

    found = work.compare(before, after)
    typer.echo(work.as_json(found).decode() if as_json else work.as_text(found), nl=as_json)
    if found.differs:
        raise typer.Exit(1)


@policy_app.command("activate")
def activate(folder: PolicyFolder, *, author: Author = "", bootstrap: Bootstrap = "", as_json: Json = False) -> None:
    """Check a policy and put it in force for its tenant.

    Example: clarion policy activate deploy/policy
    """
    from services.control import policies  # noqa: PLC0415
    from services.control.place import place  # noqa: PLC0415

    _tell_activated(asyncio.run(policies.activate(place(bootstrap, "", author), folder)), as_json=as_json)


@policy_app.command("history")
def history(*, tenant: Tenant = "", bootstrap: Bootstrap = "", as_json: Json = False) -> None:
    """List the policies that were put in force, the newest first, by whom and when.

    Example: clarion policy history --tenant northwind
    """
    import msgspec  # noqa: PLC0415

    from services.common.clock import iso  # noqa: PLC0415
    from services.control import policies  # noqa: PLC0415
    from services.control.place import place  # noqa: PLC0415

    active = asyncio.run(policies.in_force(place(bootstrap, tenant)))
    entries = [] if active is None else [active, *active.history]
    if as_json:
        facts = [{"hash": e.hash, "author": e.author, "time": iso(e.time), "in_force": e is active} for e in entries]
        typer.echo(msgspec.json.encode(facts).decode())
        return
    if not entries:
        from services.control.errors import ClarionError  # noqa: PLC0415

        raise ClarionError(f"no policy was ever in force for {tenant}")
    for entry in entries:
        mark = "in force" if entry is active else ""
        typer.echo(f"{iso(entry.time)[:19].replace('T', ' ')}  {entry.hash[:12]}  {entry.author:<16} {mark}".rstrip())


@policy_app.command("rollback")
def rollback(
    *,
    to: Annotated[str, typer.Option(metavar="HASH", help="Beginning of a hash.", show_default="the one before")] = "",
    tenant: Tenant = "",
    author: Author = "",
    bootstrap: Bootstrap = "",
    as_json: Json = False,
) -> None:
    """Put a policy in force again that was so before.

    Example: clarion policy rollback --tenant northwind
    """
    from services.control import policies  # noqa: PLC0415
    from services.control.place import place  # noqa: PLC0415

    done = asyncio.run(policies.roll_back(place(bootstrap, tenant, author), to))
    _tell_activated(done, as_json=as_json)


def _tell_activated(done: "Activated", *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415

    if as_json:
        facts = {
            "tenant": done.policy.tenant,
            "hash": done.policy.hash,
            "languages": done.languages,
            "unserved": done.unserved,
        }
        typer.echo(msgspec.json.encode(facts).decode())
        return
    typer.echo(f"in force{f' already, by {done.already}' if done.already else ''}: {done}")
    if done.warning:
        typer.echo(f"warning: {done.warning}", err=True)


def _read(file: str) -> tuple[str, bytes]:
    """Return name and content of a file of JSON; nothing for no file."""
    if file in ("", "-"):
        return ("stdin", sys.stdin.buffer.read()) if file else ("", b"")
    try:
        return file, Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"can't read {file}: {error.strerror}") from None


def _on_terminal() -> bool:
    from rich.console import Console  # noqa: PLC0415

    return Console().is_terminal
