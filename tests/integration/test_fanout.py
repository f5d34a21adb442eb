"""An event for everyone on a real Kafka: kill -9 of the router in its middle, and each member has one decision.

Then its end, for a selector that nobody fits any more: it reaches those who were told of the beginning, and no others.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import pytest

from services.common.clock import WallClock
from services.common.topics import Topics
from services.control import fan_outs
from services.control.audit.promises import audit
from services.control.read import fan_outs as read_fan_outs
from services.control.records import DecisionRecord
from services.router.decision.model import Outcome, Reason
from tests.support.daytime import daytime_zone
from tests.support.following import Following, following
from tests.support.stack import Message, Stack, event, running_stack

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

CUSTOMERS = 5_000
REACHED = 1_000
DATA = {"area": "Mitte", "feeder": "F-17", "customers_affected": 5_000}
ENDED = {**DATA, "cause": "a tree"}


def customers() -> dict[str, dict[str, object]]:
    """Every fifth has an address: their mails are enough."""
    zone = daytime_zone()
    return {
        f"c{number}": {
            "addresses": {"email": f"c{number}@example.org"} if number < REACHED else {},
            "timezone": zone,
            "attributes": {"feeder": "F-17"},
        }
        for number in range(CUSTOMERS)
    }


def for_many(event_id: str, audience: Mapping[str, object], data: object, **attributes: str) -> Message:
    """Return an event about the incident, under its subject's key."""
    outage = {"type": "com.northwind.outage", "subject": "INC-7", **attributes}
    whom = msgspec.json.encode(audience).decode()
    _, value, headers = event("nobody", event_id, data, audience=whom, **outage)
    return b"northwind|INC-7", value, headers


def of(found: Following, event_id: str) -> list[DecisionRecord]:
    return [each for each in found.decisions if each.event_id == event_id and each.terminal]


def _judged(event_id: str, count: int, found: Following) -> bool:
    return len(of(found, event_id)) >= count


async def kill_in_turn(stack: Stack, found: Following, event_id: str, members: int, kills: int) -> None:
    """Kill the router several times while members are judged."""
    for share in range(1, kills + 1):
        enough = members * share // (kills + 2)
        await found.until(partial(_judged, event_id, enough))
        stack.kill("router")
        assert len(of(found, event_id)) < members, "it was too late to kill it in the middle"
        await stack.start("router")


async def test_everyone_is_told_once_though_the_router_is_killed(kafka: str, topics: Topics, tmp_path: Path) -> None:
    async with running_stack(kafka, topics, tmp_path) as stack, following(kafka, topics) as found:
        await stack.activate()
        await stack.put(customers())
        await stack.start("router", "sender")
        opened = for_many("open", {"everyone": True}, DATA, lifecycle="opened", sequence="1")
        await stack.write(topics.events, [opened])
        await kill_in_turn(stack, found, "open", CUSTOMERS, 3)
        await found.until(lambda found: len(of(found, "open")) >= CUSTOMERS)
        await stack.write(topics.events, [opened])  # the same again
        await stack.put({f"c{number}": {"attributes": {"feeder": "F-18"}} for number in range(CUSTOMERS)})
        nobody = {"select": 'customer.attributes.feeder == "F-17"'}
        over = for_many("over", nobody, ENDED, lifecycle="resolved", sequence="2")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stack.write(topics.events, [over]))
            tasks.create_task(kill_in_turn(stack, found, "over", REACHED, 1))
        await found.until(lambda found: len(of(found, "over")) >= REACHED)
        await found.until(lambda found: found.sends() <= found.settled(), 120)
        async with stack.reading() as log:
            evidence = await stack.evidence(log)
            reports = fan_outs.summed(await read_fan_outs(log))
    assert audit(evidence, WallClock().now()).broken() == ()
    told = [f"c{number}" for number in range(REACHED)]
    members = [each for each in evidence.decisions if each.customer]
    assert Counter(each.customer for each in members if each.event_id == "open") == Counter(list(customers()))
    assert Counter(each.customer for each in members if each.event_id == "over") == Counter(told)
    assert {each.reason for each in members if each.event_id == "over"} == {Reason.CLOSURE}
    assert [each.outcome for each in evidence.decisions if not each.customer] == [Outcome.DUPLICATE]
    became = {"SUPPRESSED NO_ADDRESS": CUSTOMERS - REACHED, "SEND ALLOWED": REACHED}
    assert [(each.event, each.state, each.missing, each.pending, each.decisions) for each in reports] == [
        ("test/over", "finished", 0, 0, {"SEND CLOSURE": REACHED}),
        ("test/open", "finished", 0, 0, became),
    ]
    assert len(evidence.mails) >= 2 * REACHED
