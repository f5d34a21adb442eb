"""Runs the day on a Kafka, services and sandbox of its own, and checks what came out.

Good is only what the policy demands, event by event and mail by mail, with all promises kept; anything else is printed
as a difference. Everything that was started is stopped again, whatever happens.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from time import perf_counter

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from services.common.clock import WallClock
from services.common.processor.ports import Record
from services.common.tables import Table
from services.control import codec, mails, read
from services.control.audit.evidence import Evidence
from services.control.audit.promises import Audit, audit
from services.control.customers import TENANT, DemoCustomer, customers
from services.control.demo import expectations
from services.control.demo.scenario import Happening, day, malformed
from services.control.demo.show import Day, opening, show_day
from services.control.errors import ClarionError
from services.control.policies import example_folder
from services.control.publish import Report, publish, put_customers, read_customers, read_events
from services.control.records import Mail
from services.control.settings import ControlSettings
from services.control.stack import Options, Progress, Stack, running
from services.control.topics import connected
from services.control.up import show, until_stopped
from services.router.decision.model import Feedback, Outcome

DEADLINE_S = 60.0
_DIFFERENCES_SHOWN = 40
_FINAL = (Feedback.ACCEPTED, Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED)


class Outcomes(Struct):
    """How far the day is: decisions made, sends decided, sends that have an outcome."""

    decided: int = 0
    sends: int = 0
    finished: int = 0

    def complete(self, events: int) -> bool:
        """Say whether all that was published came to an end."""
        return self.decided >= events and self.finished >= self.sends


def demo(console: Console, *, keep: bool) -> bool:
    """Run the demo; return whether everything came out as it must."""
    good: list[bool] = []

    async def work() -> None:
        await _demo(console, good.append, keep=keep)

    stopped = until_stopped(work())
    if stopped and not good:
        console.print("stopped before the end")
    return bool(good) and good[0]


async def _demo(console: Console, tell: Callable[[bool], None], *, keep: bool) -> None:
    now = WallClock().now()
    people = customers(now)
    happenings = day(people, now)
    console.print(opening(people, happenings), highlight=False, soft_wrap=True)

    def say(name: str, line: str) -> None:
        # What processes write is of interest only when one of them ended: the last lines are in that message.
        if " ended" in line:
            console.print(f"{name}: {line}", highlight=False, markup=False)

    # On a Kafka that is not ours the demo has topics of its own, and removes them.
    given = ControlSettings().kafka_is_given
    options = Options(example_folder(), ephemeral=True, free_ports=True, prefix=f"demo-{now}-" if given else "")
    async with (
        _topics_removed(options),
        running(options, say, lambda step: show(step, console), lambda: None) as stack,
    ):
        refused = await _publish(stack, people, happenings, malformed(people, now), console)
        await _wait(stack, len(happenings), console)
        evidence, taken = await _gather(stack)
        found = audit(evidence, WallClock().now(), grace=0)
        tell(_judge(console, people, happenings, refused, evidence, taken, found))
        if keep:
            console.print(f"\n  See the messages: {stack.addresses().sandbox_http}/   Ctrl-C stops everything.")
            await asyncio.Event().wait()
    console.print("  See the messages: `clarion demo --keep`, or `make up` and its page.", highlight=False)


@asynccontextmanager
async def _topics_removed(options: Options) -> AsyncIterator[None]:
    """Remove the demo's topics at the end, where they are on a Kafka that stays."""
    try:
        yield
    finally:
        if options.prefix:
            settings = ControlSettings()
            async with connected(settings.kafka_bootstrap) as admin:
                await admin.delete_topics([topic.name for topic in options.topics(settings).all()])


async def _publish(
    stack: Stack,
    people: tuple[DemoCustomer, ...],
    happenings: tuple[Happening, ...],
    broken: dict[str, object],
    console: Console,
) -> Report:
    """Put the customers, publish the day and the event that must be refused."""
    door = stack.addresses().ingest_grpc
    start = perf_counter()
    known = await put_customers(door, read_customers([msgspec.json.encode(each.line()) for each in people], TENANT))
    if known.refused:
        raise ClarionError(f"the door refused a demo customer: {known.refused[0]}")
    show(Progress("customers known", perf_counter() - start, f"{known.taken}"), console)
    start = perf_counter()
    lines = [msgspec.json.encode(line) for line in (broken, *(each.line for each in happenings))]
    report = await publish(door, read_events(lines))
    show(Progress("events published", perf_counter() - start, f"{report.taken:,} taken over gRPC"), console)
    return report


async def _wait(stack: Stack, events: int, console: Console) -> None:
    """Follow decisions and feedback until every event has come to an end, or the deadline has."""
    outcomes, start = Outcomes(), perf_counter()
    with _bar(console) as bar:
        task = bar.add_task("deciding and sending", total=2 * events) if bar is not None else None
        tables = (
            Table(stack.kafka, stack.topics.decisions, _count_decision(outcomes), "clarion-demo-decisions"),
            Table(stack.kafka, stack.topics.feedback, _count_feedback(outcomes), "clarion-demo-feedback"),
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                for table in tables:
                    await table.start()
                while not outcomes.complete(events):
                    for table in tables:
                        await table.catch_up()
                    if bar is not None and task is not None:
                        unsent = max(0, outcomes.decided - outcomes.sends)
                        bar.update(task, completed=outcomes.decided + outcomes.finished + unsent)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            console.print(f"  not everything came to an end within {DEADLINE_S:g} s: {outcomes}", highlight=False)
        finally:
            for table in tables:
                await table.stop()
    detail = f"{outcomes.decided:,} decisions, {outcomes.sends:,} to send"
    show(Progress("decided and sent", perf_counter() - start, detail), console)


def _count_decision(outcomes: Outcomes) -> Callable[[bytes, bytes | None], None]:
    def take(key: bytes, value: bytes | None) -> None:
        found = codec.decision(Record("", 0, 0, 0, key, value))
        if found is not None and found.revision == 0:
            outcomes.decided += 1
            outcomes.sends += len(found.send_ids) if found.outcome is Outcome.SEND else 0

    return take


def _count_feedback(outcomes: Outcomes) -> Callable[[bytes, bytes | None], None]:
    def take(key: bytes, value: bytes | None) -> None:
        found = codec.feedback(Record("", 0, 0, 0, key, value))
        outcomes.finished += found.outcome in _FINAL or found.parked

    return take


def _bar(console: Console) -> AbstractContextManager[Bar | None]:
    if not console.is_terminal:
        return nullcontext()
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    return Bar(*columns, console=console, transient=True)


async def _gather(stack: Stack) -> tuple[Evidence, list[Mail]]:
    """Read the topics whole, and what the sandbox took."""
    taken = await mails.taken(stack.addresses().sandbox_http)
    async with read.reading(stack.kafka, stack.topics) as log:
        return await read.evidence(log, taken), taken


def _judge(
    console: Console,
    people: tuple[DemoCustomer, ...],
    happenings: tuple[Happening, ...],
    refused: Report,
    evidence: Evidence,
    taken: list[Mail],
    found: Audit,
) -> bool:
    """Show the day and what differs from what the policy demands."""
    show_day(Day(people, happenings, evidence.decisions, evidence.feedback, refused.refused, found), console)
    differences = [
        *expectations.differences(expectations.expected(happenings), evidence.decisions),
        *_mail_differences(happenings, taken),
        *([] if len(refused.refused) == 1 else [f"the door refused {len(refused.refused)} events, not 1"]),
        *found.broken(),
    ]
    for line in differences[:_DIFFERENCES_SHOWN]:
        console.print(f"  DIFFERENT  {line}", highlight=False, markup=False, soft_wrap=True)
    said = f"{len(differences)} differences from what" if differences else "Everything came out as"
    console.print(f"  {said} the policy demands.", highlight=False)
    return not differences


def _mail_differences(happenings: tuple[Happening, ...], taken: list[Mail]) -> list[str]:
    """Compare the mails that must have gone out with those that the sandbox took, address by address."""
    wanted = expectations.mails(happenings)
    came = Counter(address for mail in taken if mail.taken for address in mail.to)
    return [
        f"{address}: {wanted[address]} mails expected, {came[address]} came"
        for address in sorted(wanted.keys() | came.keys())
        if wanted[address] != came[address]
    ]
