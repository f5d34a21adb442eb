"""kill -9 of the router and of the sender in the middle of 5,000 events: each decided once, each send one mail."""

import asyncio
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from services.common.clock import WallClock
from services.common.topics import Topics
from services.control.audit.evidence import Evidence
from services.control.audit.promises import audit
from services.router.decision.model import Feedback, Outcome
from tests.support.daytime import daytime_zone
from tests.support.following import Following, following
from tests.support.stack import Headers, Stack, event, running_stack

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

EVENTS = 5_000
CUSTOMERS = 900
SENDER_DEATHS = 3
AT_ONCE = 64
CRITICAL_DATA = {"area": "Mitte", "feeder": "F-17", "customers_affected": 12}


def customers() -> dict[str, dict[str, object]]:
    zone = daytime_zone()
    return {
        f"c{number}": {"addresses": {"email": f"c{number}@example.org"}, "timezone": zone}
        for number in range(CUSTOMERS)
    }


def events() -> list[tuple[bytes, bytes, Headers]]:
    """Every tenth is critical: a power cut; the others are order errors, far more than the caps let through."""
    found = []
    for number in range(EVENTS):
        customer = f"c{number % CUSTOMERS}"
        if number % 10 == 0:
            cut = {"type": "com.northwind.outage", "lifecycle": "opened", "subject": f"INC-{number}"}
            found.append(event(customer, f"e{number}", CRITICAL_DATA, **cut))
        else:
            data = {"order": f"O-{number}", "problem": "delayed", "fixed_by": "2027-01-01T00:00:00Z"}
            found.append(event(customer, f"e{number}", data))
    return found


async def publish(stack: Stack) -> None:
    """Publish in portions, so that the kills fall between and into them."""
    given = events()
    for start in range(0, EVENTS, 250):
        await stack.write(stack.topics.events, given[start : start + 250])


def _ended(count: int, found: Following) -> bool:
    return found.ended() >= count


def _settled(count: int, found: Following) -> bool:
    return len(found.settled()) >= count


async def kill_in_turn(stack: Stack, found: Following) -> None:
    """Kill the router and the sender, each three times, while decisions and mails go on."""
    for share in (1, 2, 3):
        await found.until(partial(_ended, EVENTS * share // 4))
        stack.kill("router")
        await stack.start("router")
        await found.until(partial(_settled, EVENTS * share // 20))
        stack.kill("sender")
        await stack.start("sender")


async def test_each_event_is_decided_once_and_each_send_is_one_mail(kafka: str, topics: Topics, tmp_path: Path) -> None:
    patient = {"CLARION_SENDER_TIMEOUT_S": "2", "CLARION_SENDER_LEASE_GRACE_S": "2.5"}
    async with running_stack(kafka, topics, tmp_path, **patient) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.put(customers())
        await stack.start("router", "sender")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publish(stack))
            tasks.create_task(kill_in_turn(stack, found))
        await found.until(lambda found: found.ended() >= EVENTS)
        await found.until(lambda found: found.sends() <= found.settled())
        async with stack.reading() as log:
            evidence = await stack.evidence(log)
    judged = audit(evidence, WallClock().now())
    assert judged.broken() == ()
    report(evidence)
    ends = Counter(decision.event_id for decision in evidence.decisions if decision.terminal)
    assert ends == Counter(f"e{number}" for number in range(EVENTS))
    assert any(decision.outcome is Outcome.SUPPRESSED for decision in evidence.decisions), "no cap was ever reached"
    # Nothing but a death between intent and result makes an outcome unknown.
    assert len([each for each in evidence.feedback if each.outcome is Feedback.UNKNOWN]) <= SENDER_DEATHS * AT_ONCE


def report(evidence: Evidence) -> None:
    """Say what happened: the run is its own report (`pytest -s`)."""
    sent = Counter(mail.key for mail in evidence.mails)
    unknown = [finding for finding in evidence.feedback if finding.outcome is Feedback.UNKNOWN]
    parked = sum(finding.parked for finding in unknown)
    twice = sum(count - 1 for count in sent.values())
    sys.stdout.write(f"{len(evidence.sends)} sends, {len(sent)} mails, {twice} of them twice; ")
    sys.stdout.write(f"{len(unknown)} unknown outcomes, {parked} parked\n")
